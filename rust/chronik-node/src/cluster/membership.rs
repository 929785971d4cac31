//! Nodes that join a running cluster and nodes that leave it for good, and disks that are admitted again.
//!
//! Everything is decided by the controller and carried out by the Raft groups; here it is asked for and waited for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chronik_broker::coord::Action;
use chronik_broker::{Broker, ControllerError, RemovalError};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, PartitionKey};
use std::rc::Rc;

use super::error::ClusterError;
use super::lifecycle::End;
use super::options::NewNode;
use super::record::{self, Presence};
use super::{Cluster, timed_out};
use crate::launch;
use crate::limits;
use crate::shard::Shard;
use crate::shard::seat::Seat;

impl Cluster {
    /// A new node, with an id that no other had, joins the cluster. Returns when every node knows it, it has its vote
    /// among the controllers, and it accepts clients. It holds no replica until a topic is created or moved there.
    pub fn add_node(&self, newcomer: &NewNode) -> Result<NodeId, ClusterError> {
        if self.records().len() >= limits::NODES_MAX {
            let text = format!("the cluster has {} nodes already; remove one first", limits::NODES_MAX);
            return Err(ClusterError::InvalidOption(text));
        }
        let node = NodeId(self.next_node.fetch_add(1, Ordering::Relaxed));
        let (record, held) =
            record::prepare_node(node, newcomer, &self.options, &self.name, self.seed, &self.config)?;
        let record = Arc::new(record.intercepted_by(&self.interceptions));
        self.nodes.write().push(Arc::clone(&record));
        for doors in self.seat(&[record], vec![held])? {
            self.start_brokers(vec![node])?;
            if self.expects_all_to_join() {
                self.await_joined(limits::CONTROL_TIMEOUT)?;
            }
            self.await_members("the new node's vote", limits::CONTROL_TIMEOUT, move |broker| {
                broker.node().image().has_vote(node) && is_controller_settled(broker)
            })?;
            self.open_doors(node, doors)?;
        }
        Ok(node)
    }

    /// Takes a node out of the cluster for good: its replicas move to the others, which lead them from then on, and it
    /// stops. Where no other node is left for a replica the partition has one replica less. The files of the node stay.
    pub fn remove_node(&self, node: NodeId) -> Result<(), ClusterError> {
        self.record(node)?;
        let removed = self.ports[0].call(move |shard: Rc<Shard>| {
            Box::pin(async move {
                let other = |seat: &Rc<Seat>| seat.node != node && !seat.life.is_frozen();
                let broker = Rc::clone(&shard.seats().into_iter().find(other)?.broker);
                let deadline_ms = shard.clock().now_ms() + limits::DRAIN_TIMEOUT.as_millis() as u64;
                Some(broker.remove_node(node, deadline_ms).await)
            })
        });
        let removed = removed.recv_timeout(limits::DRAIN_TIMEOUT + limits::CONTROL_TIMEOUT);
        let removed = removed.map_err(|_| ClusterError::Stopped)?.ok_or(ClusterError::NobodyToAsk)?;
        // An attempt whose answer was lost has removed it.
        if let Err(error) = removed
            && !(is_unknown(&error) && self.has_left(node)?)
        {
            return Err(not_removed(node, error));
        }
        match self.take_down(node, End::Kill) {
            Ok(()) | Err(ClusterError::NotRunning { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(record) = self.records().iter().find(|record| record.node() == node) {
            record.forget();
        }
        self.nodes.write().retain(|record| record.node() != node);
        Ok(())
    }

    /// Whether a running node knows that this one has left the cluster.
    fn has_left(&self, node: NodeId) -> Result<bool, ClusterError> {
        self.ask(0, "the nodes that have left", move |shard| {
            let seats = shard.seats();
            launch::ready(seats.iter().any(|seat| seat.state.image().has_left(node)))
        })
    }

    /// Admits the disk that a node runs on in place of the one it lost: it gets its votes back, as a new member of every
    /// group, once it has caught up. Returns then.
    pub fn readmit(&self, node: NodeId) -> Result<(), ClusterError> {
        let record = self.record(node)?;
        if !matches!(*record.presence(), Presence::Running { .. }) {
            return Err(ClusterError::NotRunning { node });
        }
        self.control(node, move |_| Action::ReadmitBroker { id: node })?;
        self.await_members("the node catching up", limits::DRAIN_TIMEOUT, move |broker| {
            broker.node().image().has_vote(node) && is_controller_settled(broker)
        })?;
        let moved = self.ask_every_shard("the node catching up", move |shard| {
            Box::pin(async move {
                let settled = move |shard: &Shard| are_members_settled(shard, node).then_some(());
                shard.find(limits::CONTROL_TIMEOUT, settled).await.is_some()
            })
        })?;
        if moved.into_iter().all(|moved| moved) {
            return Ok(());
        }
        Err(timed_out(
            "the node catching up",
            limits::CONTROL_TIMEOUT,
            "does a majority of its partitions run?",
        ))
    }

    /// Has the controller do something, by way of a running node, if possible another one than `about`.
    fn control(
        &self,
        about: NodeId,
        action: impl FnOnce(&Broker) -> Action + Send + 'static,
    ) -> Result<(), ClusterError> {
        let failed = |message: String, code: ErrorCode| not_changed(about, message, code);
        let reply = self.ask(0, "the controller", move |shard| {
            Box::pin(async move {
                let awake: Vec<_> = shard.seats().into_iter().filter(|seat| !seat.life.is_frozen()).collect();
                let seat = awake.iter().find(|seat| seat.node != about).or(awake.first())?;
                let broker = Rc::clone(&seat.broker);
                let action = action(&broker);
                let deadline_ms = shard.clock().now_ms() + limits::ADMIN_TIMEOUT.as_millis() as u64;
                drop(awake);
                Some(broker.controller_call(action, deadline_ms).await)
            })
        })?;
        match reply {
            None => Err(ClusterError::NobodyToAsk),
            Some(Err(error)) => Err(failed(error.to_string(), ErrorCode::REQUEST_TIMED_OUT)),
            Some(Ok(reply)) => match reply.body.rejection() {
                Some(error) => Err(failed(error.message.clone(), error.code)),
                None => Ok(()),
            },
        }
    }

    /// Waits until `reached` holds at a running node.
    fn await_members(
        &self,
        what: &'static str,
        limit: Duration,
        reached: impl Fn(&Broker) -> bool + Send + 'static,
    ) -> Result<(), ClusterError> {
        let answer = self.ports[0].call(move |shard: Rc<Shard>| {
            Box::pin(async move {
                let found = move |shard: &Shard| {
                    shard
                        .seats()
                        .iter()
                        .any(|seat| !seat.life.is_frozen() && reached(&seat.broker))
                        .then_some(())
                };
                shard.find(limit, found).await.is_some()
            })
        });
        let reached =
            answer.recv_timeout(limit + limits::CONTROL_TIMEOUT).map_err(|_| ClusterError::Stopped)?;
        if reached { Ok(()) } else { Err(timed_out(what, limit, "does a majority of the nodes run?")) }
    }
}

fn not_changed(node: NodeId, message: String, code: ErrorCode) -> ClusterError {
    ClusterError::Kafka { action: format!("change the membership of node {node}"), code: code.0, message }
}

fn is_unknown(error: &RemovalError) -> bool {
    let unknown = ErrorCode::BROKER_ID_NOT_REGISTERED;
    matches!(error, RemovalError::Controller(ControllerError::Refused(refused)) if refused.code == unknown)
}

fn not_removed(node: NodeId, error: RemovalError) -> ClusterError {
    match error {
        RemovalError::Controller(ControllerError::Refused(refused)) => {
            not_changed(node, refused.message, refused.code)
        }
        RemovalError::Controller(error) => not_changed(node, error.to_string(), ErrorCode::REQUEST_TIMED_OUT),
        RemovalError::Own(_) => ClusterError::NobodyToAsk,
        RemovalError::NotEmpty { .. } => timed_out(
            "the replicas moving away",
            limits::DRAIN_TIMEOUT,
            "does a majority of their partitions run?",
        ),
        RemovalError::StillVotes { .. } => {
            timed_out("the node losing its vote", limits::DRAIN_TIMEOUT, "does a majority of the nodes run?")
        }
    }
}

/// Whether this node leads the metadata group, and the group consists of who is wanted.
fn is_controller_settled(broker: &Broker) -> bool {
    let host = broker.hosts().own().borrow();
    host.replica(PartitionKey::META).is_some_and(|replica| replica.is_settled_as_wanted())
}

/// Whether every partition of this shard that a node has a replica of consists of who is wanted.
fn are_members_settled(shard: &Shard, node: NodeId) -> bool {
    let seats = shard.seats();
    let Some(image) = seats.iter().map(|seat| seat.state.image()).max_by_key(|image| image.offset) else {
        return true;
    };
    let here = |key: &PartitionKey| {
        chronik_broker::Hosts::shard_of(*key, seats.first().map_or(1, |seat| seat.state.config.shards))
            == shard.index()
    };
    let mut keys = image.partitions_of(node).map(|(key, ..)| key).filter(here);
    keys.all(|key| {
        let settled = |replica: &chronik_replica::Replica| replica.is_settled_as_wanted();
        seats.iter().any(|seat| seat.host.borrow().replica(key).is_some_and(settled))
    })
}
