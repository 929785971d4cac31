//! DescribeCluster (key 60), versions 0-2.
//!
//! Behaviour: passes the gate of the metadata group; lists live brokers, from version 2 on request the others too,
//! marked as fenced. If the gate fails: error 5, and the other brokers are listed.
//! Versions: 1 kinds of endpoints · 2 fenced brokers.
//! Not done: controllers as endpoints of their own; every broker is one, and asking for them is error 114.
//! Tests: tests/metadata.rs.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::{Answer, Context};
use crate::authorized_operations;
use crate::cluster_picture::ClusterPicture;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) async fn handle(
    context: Context,
    request: DescribeClusterRequest,
) -> Answer<DescribeClusterResponse> {
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            "this address serves brokers; ask for endpoint type 1",
        )),
        _ => Some((
            ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
            "endpoint types are 1 for brokers and 2 for controllers",
        )),
    };
    if let Some((error_code, message)) = refused {
        return Ok(Some(failed(&request, error_code, message)));
    }
    let picture = ClusterPicture::take(&context).await;
    let listed = picture.brokers(&context.broker, request.include_fenced_brokers).into_iter();
    let brokers = listed
        .map(|listed| DescribeClusterBroker {
            broker_id: listed.id.0,
            host: listed.endpoint.host,
            port: listed.endpoint.port.into(),
            rack: listed.rack,
            is_fenced: !listed.is_live,
        })
        .collect();
    let mut response = if picture.confirmed {
        DescribeClusterResponse { endpoint_type: BROKERS, ..DescribeClusterResponse::default() }
    } else {
        failed(
            &request,
            ErrorCode::LEADER_NOT_AVAILABLE,
            "the metadata cannot be confirmed; ask another node",
        )
    };
    response.cluster_id = picture.image.cluster_id.clone().unwrap_or_default();
    response.controller_id = picture.controller_id(&context.broker).await;
    response.brokers = brokers;
    response.cluster_authorized_operations =
        authorized_operations::cluster(request.include_cluster_authorized_operations);
    Ok(Some(response))
}

fn failed(request: &DescribeClusterRequest, error_code: ErrorCode, message: &str) -> DescribeClusterResponse {
    DescribeClusterResponse {
        error_code,
        error_message: Some(message.to_owned()),
        endpoint_type: request.endpoint_type,
        ..DescribeClusterResponse::default()
    }
}
