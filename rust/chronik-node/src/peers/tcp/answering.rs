//! Who is let in, and what is answered to those who ask a question instead.
//!
//! A node that nobody knows is let in as a newcomer if it says where it can be called. A known one that calls from
//! elsewhere has moved, unless the process we know is alive: then the newcomer has its id by mistake.

use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use chronik_wire::types::NodeId;
use tokio::net::TcpStream;

use super::questions::{Answer, Question};
use super::{ANYBODY, Hello, HelloError, Peers};
use crate::gate::Life;
use crate::limits;
use crate::shard::Shard;

/// Lets a caller in whose hello fits.
pub(super) fn admit(
    peers: &Rc<Peers>,
    theirs: &Hello,
    shard: &Weak<Shard>,
    life: &Rc<Life>,
) -> Result<(), HelloError> {
    let from = theirs.from;
    check_id(peers, theirs, shard)?;
    if !peers.known.borrow().contains_key(&from) {
        if theirs.address.is_empty() {
            return Err(HelloError::Unknown { from });
        }
        let mut newcomers = peers.newcomers.borrow_mut();
        if newcomers.len() >= limits::PEER_NEWCOMERS_MAX {
            return Err(HelloError::TooManyNewcomers(limits::PEER_NEWCOMERS_MAX));
        }
        newcomers.insert(from);
        tracing::info!(peer = from.0, address = theirs.address, "a node that is not known yet calls");
    }
    if !theirs.address.is_empty() {
        peers.meet(from, &theirs.address, life);
    }
    Ok(())
}

/// Refuses an id that a living process has, at another address.
fn check_id(peers: &Peers, theirs: &Hello, shard: &Weak<Shard>) -> Result<(), HelloError> {
    let from = theirs.from;
    let in_use = |address: String| Err(HelloError::IdInUse { from, address });
    if from == peers.plan.node {
        return in_use(peers.plan.own_address.clone());
    }
    // Two processes cannot listen at one address. A peer that is called through a configured address may know another one
    // for itself; only who asks to join is doubted then.
    let known = peers.known.borrow().get(&from).map(|known| known.outbound.address());
    let configured = theirs.to != ANYBODY && peers.plan.addresses.contains_key(&from);
    let elsewhere = known.filter(|known| *known != theirs.address && !configured);
    let seat = shard.upgrade().and_then(|shard| shard.seat(peers.plan.node));
    let alive = seat.is_some_and(|seat| seat.state.view(|view| view.is_alive(from)));
    match elsewhere.filter(|_| alive) {
        Some(address) => in_use(address),
        None => Ok(()),
    }
}

/// Hears a question and answers it.
pub(super) async fn answer(
    peers: &Peers,
    stream: &mut TcpStream,
    asker: &Hello,
    shard: &Weak<Shard>,
) -> Result<(), HelloError> {
    let heard = tokio::time::timeout(limits::PEER_HELLO_TIMEOUT, Question::receive(stream)).await;
    let Ok(question) = heard else { return Ok(()) };
    let answer = match question? {
        Question::Join => match check_id(peers, asker, shard) {
            Ok(()) => welcome(peers),
            Err(error) => Answer::No(error.to_string()),
        },
        Question::Remove(node) => remove(peers, node, shard).await,
    };
    Ok(answer.send(stream).await?)
}

fn welcome(peers: &Peers) -> Answer {
    let founders = peers.founders.borrow().clone();
    if founders.is_empty() {
        return Answer::No(format!("node {} does not belong to a cluster itself yet", peers.plan.node));
    }
    let known = peers.known.borrow();
    let newcomers = peers.newcomers.borrow();
    let settled = known.iter().filter(|(node, _)| !newcomers.contains(node));
    let nodes: BTreeMap<NodeId, String> =
        settled.map(|(node, known)| (*node, known.outbound.address())).collect();
    Answer::Welcome { founders, nodes }
}

async fn remove(peers: &Peers, node: NodeId, shard: &Weak<Shard>) -> Answer {
    let Some(shard) = shard.upgrade() else { return Answer::No("this node is stopping".to_owned()) };
    let Some(seat) = shard.seat(peers.plan.node) else {
        return Answer::No("this node is stopping".to_owned());
    };
    let broker = Rc::clone(&seat.broker);
    drop(seat);
    let deadline_ms = shard.clock().now_ms() + limits::DRAIN_TIMEOUT.as_millis() as u64;
    drop(shard);
    match broker.remove_node(node, deadline_ms).await {
        Ok(()) => Answer::Removed,
        Err(error) => Answer::No(error.to_string()),
    }
}
