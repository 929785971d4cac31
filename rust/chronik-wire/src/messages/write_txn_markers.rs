//! WriteTxnMarkers (key 27), versions 1-2: writes the end of transactions into partitions. Versions: 2 transaction
//! version.

use crate::error_code::ErrorCode;

message! {
    /// Asks for markers.
    pub struct WriteTxnMarkersRequest [1..=2, flexible 1..] {
        /// The markers to write.
        markers: Vec<WritableTxnMarker> [1..],
    }

    /// The end of one transaction.
    pub struct WritableTxnMarker {
        /// The producer's id.
        producer_id: i64 [1..],
        /// The producer's epoch.
        producer_epoch: i16 [1..],
        /// Whether the transaction was committed; else it was aborted.
        transaction_result: bool [1..],
        /// The topics.
        topics: Vec<WritableTxnMarkerTopic> [1..],
        /// The epoch of the coordinator's partition.
        coordinator_epoch: i32 [1..],
        /// 0 and 1 keep the producer epoch, 2 has raised it (KIP-890).
        transaction_version: i8 [2..],
    }

    /// The partitions of one topic.
    pub struct WritableTxnMarkerTopic {
        /// The topic's name.
        name: String [1..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [1..],
    }

    /// What became of the markers.
    pub struct WriteTxnMarkersResponse [1..=2, flexible 1..] {
        /// The results by producer.
        markers: Vec<WritableTxnMarkerResult> [1..],
    }

    /// The results of one producer.
    pub struct WritableTxnMarkerResult {
        /// The producer's id.
        producer_id: i64 [1..],
        /// The topics.
        topics: Vec<WritableTxnMarkerTopicResult> [1..],
    }

    /// The results of one topic.
    pub struct WritableTxnMarkerTopicResult {
        /// The topic's name.
        name: String [1..],
        /// The partitions.
        partitions: Vec<WritableTxnMarkerPartitionResult> [1..],
    }

    /// The result of one partition.
    pub struct WritableTxnMarkerPartitionResult {
        /// The partition's number.
        partition_index: i32 [1..],
        /// An error of this partition.
        error_code: ErrorCode [1..],
    }
}
