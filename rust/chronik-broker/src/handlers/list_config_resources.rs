//! ListConfigResources (key 74), versions 0-1.
//!
//! Behaviour: topics, brokers and the groups that have a configuration of their own, as of the metadata gate, by name and
//! id; client metrics never have configuration here, so that none is listed. A kind that Kafka does not know is 35.
//! Versions: 0 lists client metrics only · 1 the kinds asked for, or all.
//! Tests: tests/administration/configs.rs.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::{Answer, Context};
use crate::cluster_picture::ClusterPicture;
use crate::config_admin::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};

const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(crate) async fn handle(
    context: Context,
    request: ListConfigResourcesRequest,
) -> Answer<ListConfigResourcesResponse> {
    let kinds = match (context.version, request.resource_types.as_slice()) {
        (0, _) => &[CLIENT_METRICS],
        (_, []) => &ALL[..],
        (_, asked) => asked,
    };
    if kinds.iter().any(|kind| !ALL.contains(kind)) {
        return refused(ErrorCode::UNSUPPORTED_VERSION);
    }
    let picture = ClusterPicture::take(&context).await;
    if !picture.confirmed {
        return refused(ErrorCode::LEADER_NOT_AVAILABLE);
    }
    let list = |kind: i8| -> Vec<ConfigResource> {
        let resource = |resource_name| ConfigResource { resource_name, resource_type: kind };
        match kind {
            TOPIC => picture.image.topics().map(|topic| resource(topic.name.to_string())).collect(),
            BROKER | BROKER_LOGGER => {
                let brokers = picture.brokers(&context.broker, false);
                brokers.iter().map(|broker| resource(broker.id.to_string())).collect()
            }
            GROUP => {
                let groups = picture.image.configured_groups();
                groups.map(|group| resource(group.to_owned())).collect()
            }
            _ => Vec::new(),
        }
    };
    let config_resources = ALL.into_iter().filter(|kind| kinds.contains(kind)).flat_map(list).collect();
    Ok(Some(ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }))
}

fn refused(error_code: ErrorCode) -> Answer<ListConfigResourcesResponse> {
    Ok(Some(ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() }))
}
