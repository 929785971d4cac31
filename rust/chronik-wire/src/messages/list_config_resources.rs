//! ListConfigResources (key 74), versions 0-1: which resources have configuration of their own. Versions: 1 other
//! kinds than client metrics.

use crate::error_code::ErrorCode;

message! {
    /// Asks for resources.
    pub struct ListConfigResourcesRequest [0..=1, flexible 0..] {
        /// The kinds wanted; none for all that are supported.
        resource_types: Vec<i8> [1..],
    }

    /// The resources.
    pub struct ListConfigResourcesResponse [0..=1, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The resources.
        config_resources: Vec<ConfigResource> [0..],
    }

    /// One resource.
    pub struct ConfigResource {
        /// The resource's name.
        resource_name: String [0..],
        /// 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
        resource_type: i8 [1..] = 16,
    }
}
