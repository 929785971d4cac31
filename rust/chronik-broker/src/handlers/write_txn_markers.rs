//! WriteTxnMarkers (key 27), versions 1-2.
//!
//! Behaviour: writes the markers into partitions led here and answers once they are committed; a partition fails alone.
//! A marker that has been written succeeds again without a second one. Epochs fence: 47 for a producer's older one, 52
//! for a coordinator's. Coordinators use it between brokers, administrators to abort a transaction that hangs.
//! Versions: 2 transaction version (KIP-890).
//! Tests: tests/transactions.rs of this crate.

use chronik_replica::EndMarker;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::{Answer, Context};
use crate::connection::CloseReason;
use crate::limits;
use crate::topics::{Absent, TopicName};
use crate::transaction_markers::bumps_epoch;

pub(crate) async fn handle(
    context: Context,
    request: WriteTxnMarkersRequest,
) -> Answer<WriteTxnMarkersResponse> {
    let (wanted, markers) = flatten(&context, &request);
    if wanted.len() > limits::REQUEST_PARTITIONS_MAX {
        return Err(CloseReason::Unanswerable("a request for transaction markers names too many partitions"));
    }
    let broker = &context.broker;
    let deadline_ms = context.arrived_ms + limits::MARKER_WAIT_MS_MAX;
    // All are under way before any is waited for.
    let started = broker.look_up(deadline_ms, &wanted, |place, _, target| {
        Some(broker.write_marker(target.key, *markers.get(place)?, deadline_ms))
    });
    let mut codes = Vec::with_capacity(wanted.len());
    for started in started.await {
        codes.push(match started {
            Ok(Some(writing)) => writing.await,
            Ok(None) => ErrorCode::UNKNOWN_SERVER_ERROR,
            Err(Absent::Unknown(code)) => code,
            Err(Absent::Unconfirmed) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        });
    }
    Ok(Some(respond(request, codes.into_iter())))
}

/// Every partition of every marker, and the marker for it.
fn flatten(context: &Context, request: &WriteTxnMarkersRequest) -> (Vec<(TopicName, i32)>, Vec<EndMarker>) {
    let timestamp_ms = context.broker.world.wall_ms();
    let (mut wanted, mut markers) = (Vec::new(), Vec::new());
    for marker in &request.markers {
        let end = end_marker(marker, timestamp_ms);
        for topic in &marker.topics {
            for partition in &topic.partition_indexes {
                wanted.push((TopicName::Name(topic.name.clone()), *partition));
                markers.push(end);
            }
        }
    }
    (wanted, markers)
}

fn end_marker(marker: &WritableTxnMarker, timestamp_ms: i64) -> EndMarker {
    EndMarker {
        producer: marker.producer_id,
        epoch: marker.producer_epoch,
        commit: marker.transaction_result,
        coordinator_epoch: marker.coordinator_epoch,
        bumps_epoch: bumps_epoch(marker.transaction_version),
        timestamp_ms,
    }
}

fn respond(
    request: WriteTxnMarkersRequest,
    mut codes: impl Iterator<Item = ErrorCode>,
) -> WriteTxnMarkersResponse {
    let mut partition = |index| WritableTxnMarkerPartitionResult {
        partition_index: index,
        error_code: codes.next().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR),
    };
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for topic in marker.topics {
            let partitions = topic.partition_indexes.into_iter().map(&mut partition).collect();
            topics.push(WritableTxnMarkerTopicResult { name: topic.name, partitions });
        }
        markers.push(WritableTxnMarkerResult { producer_id: marker.producer_id, topics });
    }
    WriteTxnMarkersResponse { markers }
}
