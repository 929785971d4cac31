//! UnregisterBroker (key 64), version 0: forgets a broker that is gone for good.

use crate::error_code::ErrorCode;

message! {
    /// Names the broker to forget.
    pub struct UnregisterBrokerRequest [0..=0, flexible 0..] {
        /// The broker's node id.
        broker_id: i32 [0..],
    }

    /// Whether it was forgotten.
    pub struct UnregisterBrokerResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
