//! IncrementalAlterConfigs (key 44), versions 0-1.
//!
//! Behaviour: sets, deletes, appends to and subtracts from single entries; topics, groups and the default of all brokers at
//! any node, a broker's own configuration at that broker. The controller decides; the answer comes when every live node
//! acts on the change. An unknown name, a bad value, one outside a broker's bounds for groups, a key that only counts
//! at start and appending to what is no list are 40; an unknown operation, a null value, a key named twice, a resource named twice, another broker and another kind
//! of resource are 42. `validate_only` changes nothing.
//! Versions: 1 flexible.
//! Not done: client metrics and loggers have no configuration here.
//! Tests: tests/administration/configs.rs.

use chronik_coord::{Change, ConfigOp, ItemError, OpKind};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::{Answer, Context};
use crate::config_admin::{Wish, refusal};

pub(crate) async fn handle(
    context: Context,
    request: IncrementalAlterConfigsRequest,
) -> Answer<IncrementalAlterConfigsResponse> {
    let wishes = request.resources.iter().map(|resource| wish(&context, resource)).collect();
    let deadline_ms = context.admin_deadline_ms();
    let outcomes = context.broker.alter_configs(wishes, request.validate_only, deadline_ms).await;
    let response = |(resource, outcome): (AlterConfigsResource, Result<(), ItemError>)| {
        let error = outcome.err();
        AlterConfigsResourceResponse {
            error_code: error.as_ref().map_or(ErrorCode::NONE, |error| error.code),
            error_message: error.map(|error| error.message),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        }
    };
    let responses = request.resources.into_iter().zip(outcomes).map(response).collect();
    Ok(Some(IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses }))
}

fn wish(context: &Context, resource: &AlterConfigsResource) -> Wish {
    let named = context.broker.config_resource(resource.resource_type, &resource.resource_name)?;
    let ops: Vec<ConfigOp> = resource.configs.iter().map(operation).collect::<Result<_, _>>()?;
    context.broker.config_wish(named, Change::Incremental(ops))
}

fn operation(config: &AlterableConfig) -> Result<ConfigOp, ItemError> {
    let kind = OpKind::try_from(config.config_operation).map_err(|unknown| {
        refusal(format!(
            "operation {unknown} on {:?} is unknown; use 0 (set), 1 (delete), 2 (append) or 3 (subtract)",
            config.name
        ))
    })?;
    Ok(ConfigOp { name: config.name.clone(), kind, value: config.value.clone() })
}
