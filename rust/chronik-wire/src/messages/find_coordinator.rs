//! FindCoordinator (key 10), versions 0-6. Versions: 1 kinds of keys · 3 flexible · 4 several keys at once · 5 new
//! errors for transactions · 6 share groups.

use crate::error_code::ErrorCode;

/// Key type of a consumer group.
pub const GROUP: i8 = 0;
/// Key type of a transactional id.
pub const TRANSACTION: i8 = 1;
/// Key type of a share group's partition.
pub const SHARE: i8 = 2;

message! {
    /// Asks who coordinates.
    pub struct FindCoordinatorRequest [0..=6, flexible 3..] {
        /// The group or transactional id, up to version 3.
        key: String [0..=3],
        /// What kind of key it is.
        key_type: i8 [1..],
        /// The keys, from version 4 on.
        coordinator_keys: Vec<String> [4..],
    }

    /// Who coordinates.
    pub struct FindCoordinatorResponse [0..=6, flexible 3..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error of the request, up to version 3.
        error_code: ErrorCode [0..=3],
        /// The error in words, up to version 3.
        error_message: Option<String> [1..=3],
        /// The coordinator's node id, up to version 3.
        node_id: i32 [0..=3],
        /// The coordinator's host, up to version 3.
        host: String [0..=3],
        /// The coordinator's port, up to version 3.
        port: i32 [0..=3],
        /// One result per key, from version 4 on.
        coordinators: Vec<Coordinator> [4..],
    }

    /// The coordinator of one key.
    pub struct Coordinator {
        /// The key.
        key: String [4..],
        /// The coordinator's node id, or -1.
        node_id: i32 [4..],
        /// Its host.
        host: String [4..],
        /// Its port, or -1.
        port: i32 [4..],
        /// An error of this key.
        error_code: ErrorCode [4..],
        /// The error in words.
        error_message: Option<String> [4..],
    }
}
