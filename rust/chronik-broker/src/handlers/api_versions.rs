//! ApiVersions (key 18), versions 0-4.
//!
//! Behaviour: answers from the dispatch table, so what is advertised is what is served. An unknown version is answered
//! by the dispatcher with error 35 in the layout of version 0 (KIP-511).
//! Versions: 3 flexible, features · 4 features from version 0 on.
//! Not done: no feature is finalised: transactions and the new group protocol do not exist yet.
//! Tests: tests of this crate.

use chronik_wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};

use super::{Answer, Context};
use crate::dispatch::api_versions;

pub(crate) async fn handle(_context: Context, _request: ApiVersionsRequest) -> Answer<ApiVersionsResponse> {
    Ok(Some(ApiVersionsResponse { api_keys: api_versions(), ..ApiVersionsResponse::default() }))
}
