//! UpdateFeatures (key 57), versions 0-2: raises and lowers the levels of features. Versions: 1 kinds of upgrades,
//! only checking · 2 no results per feature.

use crate::error_code::ErrorCode;

message! {
    /// Asks for other levels.
    pub struct UpdateFeaturesRequest [0..=2, flexible 0..] {
        /// How long to wait for the outcome, in milliseconds.
        timeout_ms: i32 [0..] = 60_000,
        /// The features to change.
        feature_updates: Vec<FeatureUpdateKey> [0..],
        /// Whether only to check the request.
        validate_only: bool [1..],
    }

    /// The level of one feature.
    pub struct FeatureUpdateKey {
        /// The feature's name.
        feature: String [0..],
        /// The level wanted; below 1 removes the feature.
        max_version_level: i16 [0..],
        /// Whether the level may fall, in version 0.
        allow_downgrade: bool [0..=0],
        /// 1 only upgrades, 2 allows safe downgrades, 3 unsafe ones too.
        upgrade_type: i8 [1..] = 1,
    }

    /// What became of the request.
    pub struct UpdateFeaturesResponse [0..=2, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the request.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// One result per feature, up to version 1.
        results: Vec<UpdatableFeatureResult> [0..=1],
    }

    /// What became of one feature.
    pub struct UpdatableFeatureResult {
        /// The feature's name.
        feature: String [0..],
        /// An error of this feature.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
