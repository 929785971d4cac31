//! UpdateFeatures (key 57), versions 0-2.
//!
//! Behaviour: every feature has one level (see `features`). Asking for it succeeds and changes nothing; any other level,
//! and a feature that does not exist, is 95, and then nothing of the request is carried out.
//! Versions: 1 kinds of upgrades, only checking · 2 no results per feature.
//! Tests: tests/administration/features.rs.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use super::{Answer, Context};
use crate::features::features;

/// The last version with a result per feature.
const RESULTS_UNTIL: i16 = 1;

pub(crate) async fn handle(
    context: Context,
    request: UpdateFeaturesRequest,
) -> Answer<UpdateFeaturesResponse> {
    let refusals: Vec<Option<String>> = request.feature_updates.iter().map(refusal).collect();
    if context.version > RESULTS_UNTIL {
        let first = refusals.into_iter().flatten().next();
        return Ok(Some(UpdateFeaturesResponse {
            error_code: first.as_ref().map_or(ErrorCode::NONE, |_| ErrorCode::INVALID_UPDATE_VERSION),
            error_message: first,
            ..UpdateFeaturesResponse::default()
        }));
    }
    let results =
        request.feature_updates.into_iter().zip(refusals).map(|(update, refusal)| UpdatableFeatureResult {
            feature: update.feature,
            error_code: refusal.as_ref().map_or(ErrorCode::NONE, |_| ErrorCode::INVALID_UPDATE_VERSION),
            error_message: refusal,
        });
    Ok(Some(UpdateFeaturesResponse { results: results.collect(), ..UpdateFeaturesResponse::default() }))
}

fn refusal(update: &FeatureUpdateKey) -> Option<String> {
    let name: String = update.feature.chars().take(100).collect();
    match features().find(|feature| feature.name == update.feature) {
        None => Some(format!("there is no feature {name:?} here")),
        Some(feature) if feature.level != update.max_version_level => Some(format!(
            "feature {name:?} exists at level {} only; {} is not possible",
            feature.level, update.max_version_level
        )),
        Some(_) => None,
    }
}
