//! DescribeClientQuotas (key 48), versions 0-1: quotas of clients. Versions: 1 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks for quotas that match.
    pub struct DescribeClientQuotasRequest [0..=1, flexible 1..] {
        /// The parts of an entity that must match.
        components: Vec<ComponentData> [0..],
        /// Whether an entity must have no other parts.
        strict: bool [0..],
    }

    /// A part of an entity that must match.
    pub struct ComponentData {
        /// `user`, `client-id` or `ip`.
        entity_type: String [0..],
        /// 0 this name, 1 the default, 2 any name.
        match_type: i8 [0..],
        /// The name, or null.
        match_name: Option<String> [0..],
    }

    /// The quotas.
    pub struct DescribeClientQuotasResponse [0..=1, flexible 1..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The quotas by entity; null beside an error.
        entries: Option<Vec<EntryData>> [0..],
    }

    /// The quotas of one entity.
    pub struct EntryData {
        /// What the quotas are for.
        entity: Vec<EntityData> [0..],
        /// The quotas.
        values: Vec<ValueData> [0..],
    }

    /// A part of an entity.
    pub struct EntityData {
        /// `user`, `client-id` or `ip`.
        entity_type: String [0..],
        /// The entity's name; null for the default.
        entity_name: Option<String> [0..],
    }

    /// One quota.
    pub struct ValueData {
        /// The quota's name.
        key: String [0..],
        /// What the quota allows.
        value: f64 [0..],
    }
}
