//! AlterConfigs (key 33), versions 0-2: the old way, which replaces all overrides of a resource.
//!
//! Behaviour: topics, groups and the default of all brokers at any node, a broker's own configuration at that broker. The
//! controller decides; the answer comes when every live node acts on the change. An unknown name, a bad value, one
//! outside a broker's bounds for groups and a key that only counts at start are 40; a null value, a key named twice, a resource named twice, another broker and
//! another kind of resource are 42. `validate_only` changes nothing.
//! Versions: 2 flexible.
//! Not done: client metrics and loggers have no configuration here.
//! Tests: tests/administration/configs.rs.

use chronik_coord::Change;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::{Answer, Context};
use crate::config_admin::Wish;

pub(crate) async fn handle(context: Context, request: AlterConfigsRequest) -> Answer<AlterConfigsResponse> {
    let wishes = request.resources.iter().map(|resource| wish(&context, resource)).collect();
    let deadline_ms = context.admin_deadline_ms();
    let outcomes = context.broker.alter_configs(wishes, request.validate_only, deadline_ms).await;
    let response = |(resource, outcome): (AlterConfigsResource, Result<(), chronik_coord::ItemError>)| {
        let error = outcome.err();
        AlterConfigsResourceResponse {
            error_code: error.as_ref().map_or(ErrorCode::NONE, |error| error.code),
            error_message: error.map(|error| error.message),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        }
    };
    let responses = request.resources.into_iter().zip(outcomes).map(response).collect();
    Ok(Some(AlterConfigsResponse { throttle_time_ms: 0, responses }))
}

fn wish(context: &Context, resource: &AlterConfigsResource) -> Wish {
    let named = context.broker.config_resource(resource.resource_type, &resource.resource_name)?;
    let configs = resource.configs.iter().map(|config| (config.name.clone(), config.value.clone()));
    context.broker.config_wish(named, Change::Replace(configs.collect()))
}
