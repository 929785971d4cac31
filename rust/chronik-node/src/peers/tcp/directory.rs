//! Whom a node calls: the nodes it was configured with or has heard of, and those that the metadata knows.
//!
//! Follows the metadata for the whole life of the node. Who has registered is called at the address it has registered; who
//! was removed is parted from. A configured address is never changed by what a node says of itself.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use chronik_broker::NodeState;
use chronik_broker::coord::MetaImage;
use chronik_wire::types::NodeId;

use super::questions::{self, Answer, Question};
use super::{ANYBODY, Peers, key_of};
use crate::gate::Life;
use crate::limits;
use crate::server::HostPort;

/// Keeps the connections as the metadata says.
pub(crate) async fn follow(peers: Rc<Peers>, state: Arc<NodeState>, life: Rc<Life>) {
    if !peers.plan.joins.is_empty() {
        life.spawn(look_around(Rc::clone(&peers), Arc::clone(&state), Rc::clone(&life)));
    }
    let mut images = state.subscribe_image();
    let mut registered = BTreeSet::new();
    loop {
        let image = Arc::clone(&images.borrow_and_update());
        align(&peers, &state, &image, &mut registered, &life);
        if images.changed().await.is_err() {
            return;
        }
    }
}

fn align(
    peers: &Rc<Peers>,
    state: &NodeState,
    image: &MetaImage,
    registered: &mut BTreeSet<NodeId>,
    life: &Rc<Life>,
) {
    peers.cluster_id.set(image.cluster_id.as_deref().map_or(0, key_of));
    *peers.founders.borrow_mut() = state.founders();
    for (node, broker) in image.brokers.iter().filter(|(node, _)| **node != peers.plan.node) {
        peers.newcomers.borrow_mut().remove(node);
        peers.removed.borrow_mut().remove(node);
        if let Some(peer) = &broker.peer {
            let address = HostPort { host: peer.host.clone(), port: peer.port };
            peers.meet(*node, &address.to_string(), life);
        }
    }
    let gone: Vec<NodeId> =
        registered.iter().filter(|node| !image.brokers.contains_key(node)).copied().collect();
    gone.into_iter().for_each(|node| peers.dismiss(node));
    *registered = image.brokers.keys().copied().filter(|node| *node != peers.plan.node).collect();
    // Founders that left before this node was started are still in its configuration.
    let wanted = state.other_nodes(image);
    let unwanted = |node: &&NodeId| !wanted.contains(node) && !peers.newcomers.borrow().contains(node);
    let unwanted: Vec<NodeId> = peers.known.borrow().keys().filter(unwanted).copied().collect();
    for node in unwanted {
        peers.part(node);
    }
}

/// Asks the nodes that this one was told to join who belongs to the cluster, until it belongs to it itself. What it was
/// told when it first started may be on no disk yet.
async fn look_around(peers: Rc<Peers>, state: Arc<NodeState>, life: Rc<Life>) {
    while !state.is_registered() {
        for address in &peers.plan.joins {
            let answer = questions::ask(address, peers.hello(ANYBODY), &Question::Join).await;
            if let Ok((_, Answer::Welcome { nodes, .. })) = answer {
                for (node, address) in nodes.iter().filter(|(node, _)| **node != peers.plan.node) {
                    peers.meet(*node, address, &life);
                }
            }
        }
        tokio::time::sleep(limits::PEER_QUESTION_INTERVAL).await;
    }
}
