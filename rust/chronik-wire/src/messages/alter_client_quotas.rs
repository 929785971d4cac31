//! AlterClientQuotas (key 49), versions 0-1: sets and removes quotas of clients. Versions: 1 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks to change quotas.
    pub struct AlterClientQuotasRequest [0..=1, flexible 1..] {
        /// The quotas by entity.
        entries: Vec<EntryData> [0..],
        /// Whether only to check the request.
        validate_only: bool [0..],
    }

    /// The changes for one entity.
    pub struct EntryData {
        /// What the quotas are for.
        entity: Vec<EntityData> [0..],
        /// The changes.
        ops: Vec<OpData> [0..],
    }

    /// A part of an entity.
    pub struct EntityData {
        /// `user`, `client-id` or `ip`.
        entity_type: String [0..],
        /// The entity's name; null for the default.
        entity_name: Option<String> [0..],
    }

    /// One change.
    pub struct OpData {
        /// The quota's name.
        key: String [0..],
        /// What the quota shall allow.
        value: f64 [0..],
        /// Whether to remove the quota.
        remove: bool [0..],
    }

    /// What became of the changes.
    pub struct AlterClientQuotasResponse [0..=1, flexible 1..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// One result per entity.
        entries: Vec<EntryResult> [0..],
    }

    /// What became of one entity.
    pub struct EntryResult {
        /// An error of this entity.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// What the quotas are for.
        entity: Vec<EntityData> [0..],
    }
}
