//! ListTransactions (key 66), versions 0-2: the transactions this broker coordinates. Versions: 1 duration · 2
//! pattern.

use crate::error_code::ErrorCode;

message! {
    /// Asks for transactions.
    pub struct ListTransactionsRequest [0..=2, flexible 0..] {
        /// The states wanted; none for all.
        state_filters: Vec<String> [0..],
        /// The producer ids wanted; none for all.
        producer_id_filters: Vec<i64> [0..],
        /// Only transactions open for longer than this, in milliseconds; -1 for all.
        duration_filter: i64 [1..] = -1,
        /// A regular expression the transactional id must match, or null.
        transactional_id_pattern: Option<String> [2..],
    }

    /// The transactions.
    pub struct ListTransactionsResponse [0..=2, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The states asked for that do not exist.
        unknown_state_filters: Vec<String> [0..],
        /// The transactions.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// One transaction.
    pub struct TransactionState {
        /// The transactional id.
        transactional_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// Kafka's name of the transaction's state.
        transaction_state: String [0..],
    }
}
