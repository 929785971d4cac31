//! DescribeTransactions (key 65), version 0: the state of transactions.

use crate::error_code::ErrorCode;

message! {
    /// Asks about transactions.
    pub struct DescribeTransactionsRequest [0..=0, flexible 0..] {
        /// The transactional ids.
        transactional_ids: Vec<String> [0..],
    }

    /// The transactions.
    pub struct DescribeTransactionsResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// One result per transactional id.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// One transaction.
    pub struct TransactionState {
        /// An error of this transaction.
        error_code: ErrorCode [0..],
        /// The transactional id.
        transactional_id: String [0..],
        /// Kafka's name of the transaction's state.
        transaction_state: String [0..],
        /// How long the transaction may stay open, in milliseconds.
        transaction_timeout_ms: i32 [0..],
        /// When the transaction began, in milliseconds since 1970; -1 if none is open.
        transaction_start_time_ms: i64 [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// The topics.
        topics: Vec<TopicData> [0..],
    }

    /// Its partitions of one topic.
    pub struct TopicData {
        /// The topic's name.
        topic: String [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }
}
