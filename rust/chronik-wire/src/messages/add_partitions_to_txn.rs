//! AddPartitionsToTxn (key 24), versions 0-5: partitions a transaction is about to write to. Versions: 3 flexible · 4
//! several transactions, for brokers · 5 new errors.

use crate::error_code::ErrorCode;

message! {
    /// Adds partitions to transactions.
    pub struct AddPartitionsToTxnRequest [0..=5, flexible 3..] {
        /// The transactions, from version 4 on.
        transactions: Vec<AddPartitionsToTxnTransaction> [4..],
        /// The transactional id, up to version 3.
        v3_and_below_transactional_id: String [0..=3],
        /// The producer's id, up to version 3.
        v3_and_below_producer_id: i64 [0..=3],
        /// The producer's epoch, up to version 3.
        v3_and_below_producer_epoch: i16 [0..=3],
        /// The topics, up to version 3.
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> [0..=3],
    }

    /// One transaction.
    pub struct AddPartitionsToTxnTransaction {
        /// The transactional id.
        transactional_id: String [4..],
        /// The producer's id.
        producer_id: i64 [4..],
        /// The producer's epoch.
        producer_epoch: i16 [4..],
        /// Whether only to check that the partitions belong to the transaction.
        verify_only: bool [4..],
        /// The topics.
        topics: Vec<AddPartitionsToTxnTopic> [4..],
    }

    /// The partitions of one topic.
    pub struct AddPartitionsToTxnTopic {
        /// The topic's name.
        name: String [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// What became of the partitions.
    pub struct AddPartitionsToTxnResponse [0..=5, flexible 3..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the request.
        error_code: ErrorCode [4..],
        /// The results by transaction, from version 4 on.
        results_by_transaction: Vec<AddPartitionsToTxnResult> [4..],
        /// The results by topic, up to version 3.
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> [0..=3],
    }

    /// The results of one transaction.
    pub struct AddPartitionsToTxnResult {
        /// The transactional id.
        transactional_id: String [4..],
        /// The results by topic.
        topic_results: Vec<AddPartitionsToTxnTopicResult> [4..],
    }

    /// The results of one topic.
    pub struct AddPartitionsToTxnTopicResult {
        /// The topic's name.
        name: String [0..],
        /// The results by partition.
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// The result of one partition.
    pub struct AddPartitionsToTxnPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// An error of this partition.
        partition_error_code: ErrorCode [0..],
    }
}
