//! Orders of the transaction coordinator: a marker into every partition of a decided transaction, wherever it is led.
//!
//! An order is repeated until every partition has its marker: markers are harmless when repeated. It ends with its office,
//! whose successor orders anew, and where somebody newer is in charge.

use std::collections::BTreeMap;
use std::rc::Rc;

use chronik_coord::coordinator::MarkerOrder;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use chronik_wire::types::{LeaderEpoch, NodeId, PartitionIndex, PartitionKey};
use tokio::sync::{mpsc, oneshot};

use super::kinds::{Asked, Kind};
use crate::broker::Broker;
use crate::counters::count;
use crate::limits;

/// The version in which markers travel between nodes: it carries the transaction version.
const VERSION: i16 = 2;

type Place = (String, PartitionIndex);

impl Broker {
    /// Carries an order out beside everything else.
    pub(super) fn carry_out<K: Kind>(
        self: &Rc<Self>,
        key: PartitionKey,
        epoch: LeaderEpoch,
        order: MarkerOrder,
    ) {
        let Some(door) = K::doors(&self.node).find(key) else { return };
        // Only a weak hold on the door: the office must be able to close.
        let door = door.downgrade();
        self.world.spawn(Box::pin(write_markers::<K>(Rc::clone(self), epoch, order, door)));
    }
}

async fn write_markers<K: Kind>(
    broker: Rc<Broker>,
    epoch: LeaderEpoch,
    order: MarkerOrder,
    door: mpsc::WeakSender<Asked<K>>,
) {
    let mut missing: Vec<Place> =
        order.partitions.iter().map(|(topic, partition)| (topic.to_string(), *partition)).collect();
    let mut view_changes = broker.node.subscribe_view();
    loop {
        view_changes.borrow_and_update();
        let written = write_once(&broker, epoch, &order, &missing).await;
        missing.retain(|place| !written.contains(place));
        let Some(door) = door.upgrade() else { return };
        if !written.is_empty()
            && let Some(request) = K::markers_written(&order, written)
        {
            // The office waits for nobody's answer, and nobody for that of the office.
            let (reply, _) = oneshot::channel();
            if door.send(Asked { request, verified: None, reply }).await.is_err() {
                return;
            }
        }
        drop(door);
        if missing.is_empty() {
            return;
        }
        count(&broker.node.counters.marker_retries);
        let pause_ms = broker.world.now_ms() + limits::MARKER_RETRY_MS;
        crate::world::until(&*broker.world, pause_ms, view_changes.changed()).await;
    }
}

/// Asks every leader once. Returns the places that need no marker any more.
async fn write_once(
    broker: &Rc<Broker>,
    epoch: LeaderEpoch,
    order: &MarkerOrder,
    missing: &[Place],
) -> Vec<Place> {
    let mut done = Vec::new();
    let mut by_leader: BTreeMap<NodeId, Vec<Place>> = BTreeMap::new();
    let mut unknown = Vec::new();
    let image = broker.node.image();
    for place in missing {
        match image.topic(&place.0).filter(|topic| (place.1.0 as usize) < topic.partitions.len()) {
            Some(topic) => {
                let key = PartitionKey::new(topic.id, place.1);
                if let Some((leader, _)) = broker.node.view(|view| view.leader(key)) {
                    by_leader.entry(leader).or_default().push(place.clone());
                }
            }
            None => unknown.push(place.clone()),
        }
    }
    if !unknown.is_empty()
        && broker.meta_barrier(broker.world.now_ms() + limits::MARKER_CALL_MS).await.is_ok()
    {
        // A partition that is gone has nothing to be decided.
        let image = broker.node.image();
        done.extend(unknown.into_iter().filter(|(topic, _)| image.topic(topic).is_none()));
    }
    for (leader, places) in by_leader {
        let request = markers_request(epoch, order, &places);
        let until_ms = broker.world.now_ms() + limits::MARKER_CALL_MS;
        let Some(response) = broker.served_by(leader, VERSION, &request, until_ms).await else { continue };
        let results = response.markers.into_iter().flat_map(|marker| marker.topics);
        for topic in results {
            for partition in topic.partitions {
                // Fenced: a newer producer or coordinator has decided what is in this partition.
                let settled = matches!(
                    partition.error_code,
                    ErrorCode::NONE
                        | ErrorCode::INVALID_PRODUCER_EPOCH
                        | ErrorCode::TRANSACTION_COORDINATOR_FENCED
                );
                if settled {
                    done.push((topic.name.clone(), PartitionIndex(partition.partition_index)));
                }
            }
        }
    }
    done
}

fn markers_request(epoch: LeaderEpoch, order: &MarkerOrder, places: &[Place]) -> WriteTxnMarkersRequest {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(topic).or_default().push(partition.0);
    }
    WriteTxnMarkersRequest {
        markers: vec![WritableTxnMarker {
            producer_id: order.producer_id,
            producer_epoch: order.producer_epoch,
            transaction_result: order.commit,
            topics: topics
                .into_iter()
                .map(|(name, partition_indexes)| WritableTxnMarkerTopic {
                    name: name.to_owned(),
                    partition_indexes,
                })
                .collect(),
            coordinator_epoch: epoch.0,
            transaction_version: order.transaction_version,
        }],
    }
}
