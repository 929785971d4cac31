//! AddOffsetsToTxn (key 25), versions 0-4: a transaction is about to commit offsets of a group. Versions: 3 flexible ·
//! 4 new errors.

use crate::error_code::ErrorCode;

message! {
    /// Adds a group to a transaction.
    pub struct AddOffsetsToTxnRequest [0..=4, flexible 3..] {
        /// The transactional id.
        transactional_id: String [0..],
        /// The producer's id.
        producer_id: i64 [0..],
        /// The producer's epoch.
        producer_epoch: i16 [0..],
        /// The group.
        group_id: String [0..],
    }

    /// Whether the group was added.
    pub struct AddOffsetsToTxnResponse [0..=4, flexible 3..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
    }
}
