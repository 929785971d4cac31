//! AlterConfigs (key 33), versions 0-2: replaces the whole configuration of resources. Versions: 2 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks to replace configuration.
    pub struct AlterConfigsRequest [0..=2, flexible 2..] {
        /// The resources to change.
        resources: Vec<AlterConfigsResource> [0..],
        /// Whether only to check the request.
        validate_only: bool [0..],
    }

    /// The new configuration of one resource.
    pub struct AlterConfigsResource {
        /// 2 for a topic, 4 for a broker, 8 for broker loggers, 16 for client metrics, 32 for a group.
        resource_type: i8 [0..],
        /// The resource's name; the empty name stands for all brokers.
        resource_name: String [0..],
        /// The entries.
        configs: Vec<AlterableConfig> [0..],
    }

    /// One entry.
    pub struct AlterableConfig {
        /// The key.
        name: String [0..],
        /// The value, or null.
        value: Option<String> [0..],
    }

    /// What became of each resource.
    pub struct AlterConfigsResponse [0..=2, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// One result per resource.
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    /// What became of one resource.
    pub struct AlterConfigsResourceResponse {
        /// An error of this resource.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// 2 for a topic, 4 for a broker, 8 for broker loggers, 16 for client metrics, 32 for a group.
        resource_type: i8 [0..],
        /// The resource's name; the empty name stands for all brokers.
        resource_name: String [0..],
    }
}
