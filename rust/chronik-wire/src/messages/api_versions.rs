//! ApiVersions (key 18), versions 0-4: which APIs and features the broker has.
//!
//! The response header is always v0. An unknown version is answered with error 35 and the body of v0.

use crate::error_code::ErrorCode;

message! {
    /// Asks which APIs the broker has.
    pub struct ApiVersionsRequest [0..=4, flexible 3..] {
        /// The client library's name.
        client_software_name: String [3..],
        /// The client library's version.
        client_software_version: String [3..],
    }

    /// The APIs and features the broker has.
    pub struct ApiVersionsResponse [0..=4, flexible 3..] {
        /// An error of the request, most often 35.
        error_code: ErrorCode [0..],
        /// The APIs, each with its versions.
        api_keys: Vec<ApiVersion> [0..],
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// The features the broker supports.
        supported_features: Vec<SupportedFeatureKey> [3.., tag 0],
        /// The epoch of the finalized features, or -1 if unknown.
        finalized_features_epoch: i64 [3.., tag 1] = -1,
        /// The features the cluster has finalized. Only valid with an epoch.
        finalized_features: Vec<FinalizedFeatureKey> [3.., tag 2],
        /// Whether a ZooKeeper migration could start; never true here.
        zk_migration_ready: bool [3.., tag 3],
    }

    /// One API and its versions.
    pub struct ApiVersion {
        /// The API's key.
        api_key: i16 [0..],
        /// Its lowest version.
        min_version: i16 [0..],
        /// Its highest version.
        max_version: i16 [0..],
    }

    /// A feature the broker supports.
    pub struct SupportedFeatureKey {
        /// The feature's name.
        name: String [3..],
        /// Its lowest supported version.
        min_version: i16 [3..],
        /// Its highest supported version.
        max_version: i16 [3..],
    }

    /// A feature the cluster has finalized.
    pub struct FinalizedFeatureKey {
        /// The feature's name.
        name: String [3..],
        /// Its highest finalized level.
        max_version_level: i16 [3..],
        /// Its lowest finalized level.
        min_version_level: i16 [3..],
    }
}
