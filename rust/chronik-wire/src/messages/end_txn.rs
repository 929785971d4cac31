//! EndTxn (key 26), versions 0-5: commits or aborts. Versions: 3 flexible · 4 new errors · 5 the answer brings the
//! epoch of the next transaction (KIP-890).

use crate::error_code::ErrorCode;

message! {
    /// Ends a transaction.
    pub struct EndTxnRequest [0..=5, flexible 3..] {
        /// The transactional id.
        transactional_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// Whether to commit; else to abort.
        committed: bool [0..],
    }

    /// Whether the transaction ended.
    pub struct EndTxnResponse [0..=5, flexible 3..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The producer's next id, or -1.
        producer_id: i64 [5..] = -1,
        /// The producer's next epoch, or -1.
        producer_epoch: i16 [5..] = -1,
    }
}
