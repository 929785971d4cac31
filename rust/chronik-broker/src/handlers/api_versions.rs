//! ApiVersions (key 18), versions 0-4.
//!
//! Behaviour: answers from the dispatch table, so what is advertised is what is served. An unknown version is answered
//! by the dispatcher with error 35 in the layout of version 0 (KIP-511).
//! Versions: 3 flexible, features · 4 features from version 0 on.
//! Features are those whose APIs are in the table, at their one level, which is the finalised one.
//! Tests: tests/apis.rs, tests/administration/features.rs.

use chronik_wire::messages::api_versions::{
    ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use super::{Answer, Context};
use crate::dispatch::api_versions;
use crate::features::{Feature, features};

/// Features never change, so that what is finalised has one epoch.
const FEATURES_EPOCH: i64 = 0;

pub(crate) async fn handle(_context: Context, _request: ApiVersionsRequest) -> Answer<ApiVersionsResponse> {
    let supported = |Feature { name, level }| SupportedFeatureKey {
        name: name.to_owned(),
        min_version: level,
        max_version: level,
    };
    let finalized = |Feature { name, level }| FinalizedFeatureKey {
        name: name.to_owned(),
        min_version_level: level,
        max_version_level: level,
    };
    Ok(Some(ApiVersionsResponse {
        api_keys: api_versions(),
        supported_features: features().map(supported).collect(),
        finalized_features: features().map(finalized).collect(),
        finalized_features_epoch: FEATURES_EPOCH,
        ..ApiVersionsResponse::default()
    }))
}
