//! Refusals of requests to the coordinators of groups and of transactions.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::{
    add_offsets_to_txn, add_partitions_to_txn, alter_share_group_offsets, consumer_group_describe,
    consumer_group_heartbeat, delete_groups, delete_share_group_offsets, describe_groups,
    describe_share_group_offsets, describe_transactions, end_txn, find_coordinator, heartbeat,
    init_producer_id, join_group, leave_group, list_groups, list_transactions, offset_commit, offset_delete,
    offset_fetch, share_group_describe, share_group_heartbeat, sync_group, txn_offset_commit,
};

use super::refusal::{Named, Refusable, refused_as_a_whole};
use crate::topics::TopicName;

refused_as_a_whole! {
    heartbeat::HeartbeatRequest;
    sync_group::SyncGroupRequest;
    leave_group::LeaveGroupRequest;
    list_groups::ListGroupsRequest;
    init_producer_id::InitProducerIdRequest;
    add_offsets_to_txn::AddOffsetsToTxnRequest;
    end_txn::EndTxnRequest;
    list_transactions::ListTransactionsRequest;
    consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
    share_group_heartbeat::ShareGroupHeartbeatRequest;
}

const COORDINATOR_KEYS_FROM: i16 = 4;
const COMMIT_BY_ID_FROM: i16 = 10;
const FETCH_GROUPS_FROM: i16 = 8;
const TRANSACTIONS_FROM: i16 = 4;

impl Refusable for join_group::JoinGroupRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        join_group::JoinGroupResponse {
            error_code,
            // Before it could be absent, it was empty.
            protocol_name: Some(String::new()),
            member_id: self.member_id,
            ..join_group::JoinGroupResponse::default()
        }
    }
}

impl Refusable for find_coordinator::FindCoordinatorRequest {
    fn refused(self, version: i16, error_code: ErrorCode) -> Self::Response {
        use find_coordinator::{Coordinator, FindCoordinatorResponse};
        let nobody = (-1, -1);
        let coordinator = |key| Coordinator {
            key,
            node_id: nobody.0,
            port: nobody.1,
            error_code,
            ..Coordinator::default()
        };
        if version >= COORDINATOR_KEYS_FROM {
            let coordinators = self.coordinator_keys.into_iter().map(coordinator).collect();
            return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
        }
        FindCoordinatorResponse {
            error_code,
            node_id: nobody.0,
            port: nobody.1,
            ..FindCoordinatorResponse::default()
        }
    }
}

impl Refusable for offset_commit::OffsetCommitRequest {
    fn named(&self, version: i16) -> Named {
        let name = |topic: &offset_commit::OffsetCommitRequestTopic| {
            TopicName::of(version >= COMMIT_BY_ID_FROM, &topic.name, topic.topic_id)
        };
        Named::Topics(self.topics.iter().map(name).collect())
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use offset_commit::{OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic};
        let partition = |asked: offset_commit::OffsetCommitRequestPartition| OffsetCommitResponsePartition {
            partition_index: asked.partition_index,
            error_code,
        };
        let topic = |asked: offset_commit::OffsetCommitRequestTopic| OffsetCommitResponseTopic {
            name: asked.name,
            topic_id: asked.topic_id,
            partitions: asked.partitions.into_iter().map(partition).collect(),
        };
        OffsetCommitResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..OffsetCommitResponse::default()
        }
    }
}

impl Refusable for txn_offset_commit::TxnOffsetCommitRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use txn_offset_commit::{
            TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
        };
        let partition = |asked: txn_offset_commit::TxnOffsetCommitRequestPartition| {
            TxnOffsetCommitResponsePartition { partition_index: asked.partition_index, error_code }
        };
        let topic = |asked: txn_offset_commit::TxnOffsetCommitRequestTopic| TxnOffsetCommitResponseTopic {
            name: asked.name,
            partitions: asked.partitions.into_iter().map(partition).collect(),
        };
        TxnOffsetCommitResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            ..TxnOffsetCommitResponse::default()
        }
    }
}

impl Refusable for offset_fetch::OffsetFetchRequest {
    fn named(&self, version: i16) -> Named {
        if version < FETCH_GROUPS_FROM {
            let topics = self.topics.as_ref().map(|topics| topics.iter().map(|topic| &topic.name));
            return Named::names_or_all(topics);
        }
        let mut named = Vec::new();
        for group in &self.groups {
            let Some(topics) = &group.topics else { return Named::AllTopics };
            let by_id = version >= COMMIT_BY_ID_FROM;
            named.extend(topics.iter().map(|topic| TopicName::of(by_id, &topic.name, topic.topic_id)));
        }
        Named::Topics(named)
    }

    fn refused(self, version: i16, error_code: ErrorCode) -> Self::Response {
        use offset_fetch::{
            OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
            OffsetFetchResponseTopic,
        };
        let group = |asked: offset_fetch::OffsetFetchRequestGroup| OffsetFetchResponseGroup {
            group_id: asked.group_id,
            topics: Vec::new(),
            error_code,
        };
        if version >= FETCH_GROUPS_FROM {
            let groups = self.groups.into_iter().map(group).collect();
            return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
        }
        // Version 1 has no error but that of a partition.
        let partition = |partition_index: i32| OffsetFetchResponsePartition {
            partition_index,
            committed_offset: -1,
            metadata: Some(String::new()),
            error_code,
            ..OffsetFetchResponsePartition::default()
        };
        let topic = |asked: offset_fetch::OffsetFetchRequestTopic| OffsetFetchResponseTopic {
            name: asked.name,
            partitions: asked.partition_indexes.into_iter().map(partition).collect(),
        };
        OffsetFetchResponse {
            topics: self.topics.unwrap_or_default().into_iter().map(topic).collect(),
            error_code,
            ..OffsetFetchResponse::default()
        }
    }
}

impl Refusable for offset_delete::OffsetDeleteRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        offset_delete::OffsetDeleteResponse { error_code, ..offset_delete::OffsetDeleteResponse::default() }
    }
}

impl Refusable for describe_groups::DescribeGroupsRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use describe_groups::{DescribeGroupsResponse, DescribedGroup};
        let group = |group_id| DescribedGroup { group_id, error_code, ..DescribedGroup::default() };
        DescribeGroupsResponse {
            groups: self.groups.into_iter().map(group).collect(),
            ..DescribeGroupsResponse::default()
        }
    }
}

impl Refusable for consumer_group_describe::ConsumerGroupDescribeRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use consumer_group_describe::{ConsumerGroupDescribeResponse, DescribedGroup};
        let group = |group_id| DescribedGroup { group_id, error_code, ..DescribedGroup::default() };
        ConsumerGroupDescribeResponse {
            groups: self.group_ids.into_iter().map(group).collect(),
            ..ConsumerGroupDescribeResponse::default()
        }
    }
}

impl Refusable for share_group_describe::ShareGroupDescribeRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use share_group_describe::{DescribedGroup, ShareGroupDescribeResponse};
        let group = |group_id| DescribedGroup { group_id, error_code, ..DescribedGroup::default() };
        ShareGroupDescribeResponse {
            groups: self.group_ids.into_iter().map(group).collect(),
            ..ShareGroupDescribeResponse::default()
        }
    }
}

impl Refusable for describe_share_group_offsets::DescribeShareGroupOffsetsRequest {
    fn named(&self, _version: i16) -> Named {
        let mut named = Vec::new();
        for group in &self.groups {
            let Some(topics) = &group.topics else { return Named::AllTopics };
            named.extend(topics.iter().map(|topic| TopicName::Name(topic.topic_name.clone())));
        }
        Named::Topics(named)
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use describe_share_group_offsets::{
            DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsResponse,
            DescribeShareGroupOffsetsResponseGroup,
        };
        let group = |asked: DescribeShareGroupOffsetsRequestGroup| DescribeShareGroupOffsetsResponseGroup {
            group_id: asked.group_id,
            error_code,
            ..DescribeShareGroupOffsetsResponseGroup::default()
        };
        DescribeShareGroupOffsetsResponse {
            groups: self.groups.into_iter().map(group).collect(),
            ..DescribeShareGroupOffsetsResponse::default()
        }
    }
}

impl Refusable for alter_share_group_offsets::AlterShareGroupOffsetsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.topic_name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use alter_share_group_offsets::AlterShareGroupOffsetsResponse;
        AlterShareGroupOffsetsResponse { error_code, ..AlterShareGroupOffsetsResponse::default() }
    }
}

impl Refusable for delete_share_group_offsets::DeleteShareGroupOffsetsRequest {
    fn named(&self, _version: i16) -> Named {
        Named::names(self.topics.iter().map(|topic| &topic.topic_name))
    }

    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use delete_share_group_offsets::DeleteShareGroupOffsetsResponse;
        DeleteShareGroupOffsetsResponse { error_code, ..DeleteShareGroupOffsetsResponse::default() }
    }
}

impl Refusable for delete_groups::DeleteGroupsRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use delete_groups::{DeletableGroupResult, DeleteGroupsResponse};
        let group = |group_id| DeletableGroupResult { group_id, error_code };
        DeleteGroupsResponse {
            results: self.groups_names.into_iter().map(group).collect(),
            ..DeleteGroupsResponse::default()
        }
    }
}

impl Refusable for describe_transactions::DescribeTransactionsRequest {
    fn refused(self, _version: i16, error_code: ErrorCode) -> Self::Response {
        use describe_transactions::{DescribeTransactionsResponse, TransactionState};
        let state = |transactional_id| TransactionState {
            transactional_id,
            error_code,
            ..TransactionState::default()
        };
        DescribeTransactionsResponse {
            transaction_states: self.transactional_ids.into_iter().map(state).collect(),
            ..DescribeTransactionsResponse::default()
        }
    }
}

impl Refusable for add_partitions_to_txn::AddPartitionsToTxnRequest {
    fn named(&self, version: i16) -> Named {
        let topics: Vec<_> = if version >= TRANSACTIONS_FROM {
            self.transactions.iter().flat_map(|transaction| &transaction.topics).collect()
        } else {
            self.v3_and_below_topics.iter().collect()
        };
        Named::names(topics.into_iter().map(|topic| &topic.name))
    }

    fn refused(self, version: i16, code: ErrorCode) -> Self::Response {
        use add_partitions_to_txn::{
            AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnTopicResult,
        };
        let partition = |partition_index: i32| AddPartitionsToTxnPartitionResult {
            partition_index,
            partition_error_code: code,
        };
        let topic = |asked: add_partitions_to_txn::AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
            name: asked.name,
            results_by_partition: asked.partitions.into_iter().map(partition).collect(),
        };
        AddPartitionsToTxnResponse {
            error_code: if version >= TRANSACTIONS_FROM { code } else { ErrorCode::NONE },
            results_by_topic_v3_and_below: self.v3_and_below_topics.into_iter().map(topic).collect(),
            ..AddPartitionsToTxnResponse::default()
        }
    }
}
