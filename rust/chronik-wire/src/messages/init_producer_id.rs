//! InitProducerId (key 22), versions 0-5. Versions: 2 flexible · 3 bumps a known producer's epoch (KIP-360) · 5 for
//! transactions that bump the epoch themselves (KIP-890).

use crate::error_code::ErrorCode;

message! {
    /// Asks for a producer id.
    pub struct InitProducerIdRequest [0..=5, flexible 2..] {
        /// The transactional id, or null for a producer that is only idempotent.
        transactional_id: Option<String> [0..],
        /// When an open transaction is to be aborted, in milliseconds.
        transaction_timeout_ms: i32 [0..],
        /// The id whose epoch is to be bumped, or -1.
        producer_id: i64 [3..] = -1,
        /// The epoch known so far, or -1.
        producer_epoch: i16 [3..] = -1,
    }

    /// A producer id and its epoch.
    pub struct InitProducerIdResponse [0..=5, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the request.
        error_code: ErrorCode [0..],
        /// The producer id, or -1.
        producer_id: i64 [0..] = -1,
        /// Its epoch.
        producer_epoch: i16 [0..],
    }
}
