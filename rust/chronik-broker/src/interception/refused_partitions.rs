//! Refusals of requests that concern records and where they are: the error stands at every partition.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::{
    delete_records, describe_producers, describe_topic_partitions, list_offsets, offset_for_leader_epoch,
    write_txn_markers,
};

use super::refusal::{Named, Refusable};

impl Refusable for list_offsets::ListOffsetsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use list_offsets::{ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse};
        let partition = |asked: list_offsets::ListOffsetsPartition| ListOffsetsPartitionResponse {
            partition_index: asked.partition_index,
            error_code,
            ..ListOffsetsPartitionResponse::default()
        };
        let topic = |asked: list_offsets::ListOffsetsTopic| ListOffsetsTopicResponse {
            name: asked.name,
            partitions: asked.partitions.into_iter().map(partition).collect(),
        };
        ListOffsetsResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..ListOffsetsResponse::default()
        }
    }
}

impl Refusable for offset_for_leader_epoch::OffsetForLeaderEpochRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.topic))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use offset_for_leader_epoch::{
            EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
        };
        let partition = |asked: offset_for_leader_epoch::OffsetForLeaderPartition| EpochEndOffset {
            partition: asked.partition,
            error_code,
            ..EpochEndOffset::default()
        };
        let topic = |asked: offset_for_leader_epoch::OffsetForLeaderTopic| OffsetForLeaderTopicResult {
            topic: asked.topic,
            partitions: asked.partitions.into_iter().map(partition).collect(),
        };
        OffsetForLeaderEpochResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..OffsetForLeaderEpochResponse::default()
        }
    }
}

impl Refusable for delete_records::DeleteRecordsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use delete_records::{DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult};
        let partition = |asked: delete_records::DeleteRecordsPartition| DeleteRecordsPartitionResult {
            partition_index: asked.partition_index,
            low_watermark: -1,
            error_code,
        };
        let topic = |asked: delete_records::DeleteRecordsTopic| DeleteRecordsTopicResult {
            name: asked.name,
            partitions: asked.partitions.into_iter().map(partition).collect(),
        };
        DeleteRecordsResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..DeleteRecordsResponse::default()
        }
    }
}

impl Refusable for describe_producers::DescribeProducersRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use describe_producers::{DescribeProducersResponse, PartitionResponse, TopicResponse};
        let partition = |partition_index: i32| PartitionResponse {
            partition_index,
            error_code,
            ..PartitionResponse::default()
        };
        let topic = |asked: describe_producers::TopicRequest| TopicResponse {
            name: asked.name,
            partitions: asked.partition_indexes.into_iter().map(partition).collect(),
        };
        DescribeProducersResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..DescribeProducersResponse::default()
        }
    }
}

impl Refusable for describe_topic_partitions::DescribeTopicPartitionsRequest {
    fn named(&self, _version: i16) -> Named {
        // No names ask for all.
        if self.topics.is_empty() {
            return Named::AllTopics;
        }
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use describe_topic_partitions::{
            DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponseTopic,
        };
        let topic = |asked: describe_topic_partitions::TopicRequest| DescribeTopicPartitionsResponseTopic {
            name: Some(asked.name),
            error_code,
            ..DescribeTopicPartitionsResponseTopic::default()
        };
        DescribeTopicPartitionsResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..DescribeTopicPartitionsResponse::default()
        }
    }
}

impl Refusable for write_txn_markers::WriteTxnMarkersRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.markers.iter().flat_map(|marker| &marker.topics).map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use write_txn_markers::{
            WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
            WriteTxnMarkersResponse,
        };
        let partition =
            |partition_index: i32| WritableTxnMarkerPartitionResult { partition_index, error_code };
        let topic = |asked: write_txn_markers::WritableTxnMarkerTopic| WritableTxnMarkerTopicResult {
            name: asked.name,
            partitions: asked.partition_indexes.into_iter().map(partition).collect(),
        };
        let marker = |asked: write_txn_markers::WritableTxnMarker| WritableTxnMarkerResult {
            producer_id: asked.producer_id,
            topics: asked.topics.into_iter().map(topic).collect(),
        };
        WriteTxnMarkersResponse { markers: self.markers.into_iter().map(marker).collect() }
    }
}
