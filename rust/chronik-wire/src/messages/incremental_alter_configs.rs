//! IncrementalAlterConfigs (key 44), versions 0-1: changes single configuration entries. Versions: 1 flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks to change configuration.
    pub struct IncrementalAlterConfigsRequest [0..=1, flexible 1..] {
        /// The resources to change.
        resources: Vec<AlterConfigsResource> [0..],
        /// Whether only to check the request.
        validate_only: bool [0..],
    }

    /// The changes to one resource.
    pub struct AlterConfigsResource {
        /// 2 for a topic, 4 for a broker, 8 for broker loggers, 16 for client metrics, 32 for a group.
        resource_type: i8 [0..],
        /// The resource's name; the empty name stands for all brokers.
        resource_name: String [0..],
        /// The entries.
        configs: Vec<AlterableConfig> [0..],
    }

    /// One change.
    pub struct AlterableConfig {
        /// The key.
        name: String [0..],
        /// 0 sets, 1 deletes, 2 appends to a list, 3 subtracts from a list.
        config_operation: i8 [0..],
        /// The value, or null.
        value: Option<String> [0..],
    }

    /// What became of each resource.
    pub struct IncrementalAlterConfigsResponse [0..=1, flexible 1..] {
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
