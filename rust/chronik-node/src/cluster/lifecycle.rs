//! Nodes come and go: start, kill, crash, restart, freeze, thaw, power cut.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chronik_wire::types::NodeId;

use super::error::ClusterError;
use super::options::Unsynced;
use super::record::{HeldPorts, NodeRecord, Presence};
use super::{Cluster, timed_out};
use crate::launch::{self, DoorStart, PeerStart};
use crate::limits;
use crate::peers::tcp::PeerPlan;
use crate::random::os_random_u64;
use crate::shard::Shard;
use crate::shard::seat::SeatPlan;

/// How a node goes down.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// The process dies: what the operating system has taken survives.
    Kill,
    /// The machine dies: unsynced bytes go the given way.
    Crash(Unsynced),
    /// The machine is lost with its disk.
    Wipe,
}

impl Cluster {
    /// First start of all nodes: replicas, peers, brokers, the controller, and only then the doors.
    pub(super) fn start_all(&self, bound: Vec<HeldPorts>) -> Result<(), ClusterError> {
        let nodes = self.records();
        let doors = self.seat(&nodes, bound)?;
        self.start_brokers(self.node_ids())?;
        self.await_joined(limits::START_TIMEOUT)?;
        for (node, doors) in self.node_ids().into_iter().zip(doors) {
            self.open_doors(node, doors)?;
        }
        if let Ok(snapshot) = self.snapshot() {
            self.first_state.get_or_init(|| snapshot);
        }
        Ok(())
    }

    /// Starts nodes that are down, all at one instant, on their disks and addresses. Returns when they accept clients
    /// and, if a majority runs and no link is faulty, know each other.
    pub(super) fn start_together(&self, records: &[Arc<NodeRecord>]) -> Result<(), ClusterError> {
        let held = records.iter().map(|record| held_ports(record)).collect::<Result<Vec<_>, _>>()?;
        let doors = self.seat(records, held)?;
        let ids: Vec<NodeId> = records.iter().map(|record| record.node()).collect();
        self.start_brokers(ids.clone())?;
        if self.expects_all_to_join() {
            self.await_joined(limits::START_TIMEOUT)?;
        }
        ids.into_iter().zip(doors).try_for_each(|(node, doors)| self.open_doors(node, doors))
    }

    /// Ends the node as the death of its process would: connections reset, unsynced bytes kept by the system.
    pub fn kill(&self, node: NodeId) -> Result<(), ClusterError> {
        self.take_down(node, End::Kill)
    }

    /// Ends the node as the death of its machine would. With files this is the same as [`Cluster::kill`]: nothing
    /// takes bytes back from the operating system.
    pub fn crash(&self, node: NodeId, unsynced: Unsynced) -> Result<(), ClusterError> {
        self.take_down(node, End::Crash(unsynced))
    }

    /// Takes a node's disk away, and the node with it if it runs: it starts again with an empty one, under the same id.
    /// The cluster knows the difference: a founder follows and serves reads from then on, without a vote. A node that came
    /// later, or was admitted again, hears nothing before it is admitted again, and clients wait at it.
    pub fn wipe(&self, node: NodeId) -> Result<(), ClusterError> {
        match self.take_down(node, End::Wipe) {
            Err(ClusterError::NotRunning { .. }) => self.record(node)?.wipe_disk(),
            taken => taken,
        }
    }

    /// Starts a node again, with its disk and its ports. Returns when it accepts clients and, if a majority runs and no
    /// link is faulty, the others know it.
    pub fn restart(&self, node: NodeId) -> Result<(), ClusterError> {
        let record = self.record(node)?;
        let held = held_ports(&record)?;
        for doors in self.seat(&[Arc::clone(&record)], vec![held])? {
            self.start_brokers(vec![node])?;
            self.open_doors(node, doors)?;
        }
        if self.expects_all_to_join() {
            self.await_joined(limits::CONTROL_TIMEOUT)?;
        }
        Ok(())
    }

    /// Whether every running node can be expected to hear of every other.
    pub(super) fn expects_all_to_join(&self) -> bool {
        let records = self.records();
        let votes = |record: &&Arc<NodeRecord>| record.awake().is_some_and(|state| state.has_vote());
        let voters = records.iter().filter(votes).count();
        let frozen =
            records.iter().any(|record| matches!(*record.presence(), Presence::Running { frozen: true, .. }));
        2 * voters > records.len() && !frozen && !self.links_faulty.load(Ordering::Relaxed)
    }

    /// Stops a node where it stands, as SIGSTOP does: its sockets stay open and nothing is read, sent or timed.
    pub fn freeze(&self, node: NodeId) -> Result<(), ClusterError> {
        self.set_frozen(node, true)
    }

    /// Lets a frozen node go on, with whatever piled up meanwhile.
    pub fn thaw(&self, node: NodeId) -> Result<(), ClusterError> {
        self.set_frozen(node, false)
    }

    /// The power of all nodes fails at one instant and comes back: unsynced bytes are lost, nodes that ran start again.
    /// Returns when they are a cluster again. Nodes that were down stay down.
    pub fn power_cut(&self) -> Result<(), ClusterError> {
        let running = self.take_all_down()?;
        for record in self.records() {
            record.disk.crash(Unsynced::Drop, os_random_u64());
            record.say("without power");
        }
        running.into_iter().try_for_each(|record| self.restart(record.node()))
    }

    /// Ends all nodes at one instant. Returns those that ran.
    pub(super) fn take_all_down(&self) -> Result<Vec<Arc<NodeRecord>>, ClusterError> {
        let runs = |record: &Arc<NodeRecord>| matches!(*record.presence(), Presence::Running { .. });
        let running: Vec<Arc<NodeRecord>> = self.records().into_iter().filter(runs).collect();
        self.ask_every_shard("the end of all nodes", |shard| {
            Box::pin(async move {
                for seat in shard.take_all() {
                    seat.life.end().await;
                }
            })
        })?;
        for record in &running {
            *record.presence() = Presence::Down(record.addresses.hold().ok());
        }
        Ok(running)
    }

    pub(super) fn take_down(&self, node: NodeId, end: End) -> Result<(), ClusterError> {
        let record = self.record(node)?;
        let mut presence = record.presence();
        if !matches!(*presence, Presence::Running { .. }) {
            return Err(ClusterError::NotRunning { node });
        }
        self.ask_every_shard("the end of a node", move |shard| {
            Box::pin(async move {
                shard.remove(node).await;
            })
        })?;
        match end {
            End::Kill => record.disk.kill(),
            End::Crash(unsynced) => record.disk.crash(unsynced, os_random_u64()),
            End::Wipe => record.disk.kill(),
        }
        record.say(match end {
            End::Kill => "killed",
            End::Crash(_) => "crashed",
            End::Wipe => "lost with its disk",
        });
        let wiped = if matches!(end, End::Wipe) { record.wipe_disk() } else { Ok(()) };
        // If somebody snatched a port in between, the restart will say so.
        *presence = Presence::Down(record.addresses.hold().ok());
        drop(presence);
        self.tell_others(node)?;
        wiped
    }

    /// A dead process resets its connections, so the others know at once, unless the link to them is cut.
    fn tell_others(&self, node: NodeId) -> Result<(), ClusterError> {
        self.ask(0, "telling the other nodes", move |shard| {
            for seat in shard.seats() {
                if !shard.links().borrow().is_cut(node, seat.node) {
                    let _scope = seat.life.log_scope();
                    if let Some(peers) = &*seat.peers.borrow() {
                        peers.hang_up(node);
                    }
                    seat.broker.on_peer_stopped(node);
                }
            }
            launch::ready(())
        })
    }

    fn set_frozen(&self, node: NodeId, frozen: bool) -> Result<(), ClusterError> {
        let record = self.record(node)?;
        let mut presence = record.presence();
        let Presence::Running { frozen: was_frozen, .. } = &mut *presence else {
            return Err(ClusterError::NotRunning { node });
        };
        self.on_every_shard(move |shard| {
            if let Some(seat) = shard.seat(node) {
                if frozen {
                    seat.freeze();
                } else {
                    seat.thaw(shard.clock().now_ms());
                    shard.port().wake();
                }
            }
        })?;
        *was_frozen = frozen;
        record.say(if frozen { "frozen" } else { "thawed" });
        Ok(())
    }

    /// Seats nodes on all shards, each with a start number of its own. Returns their doors, still shut.
    ///
    /// All are seated at one instant of their shard: the replica that campaigns at once finds the others there. Shard 0
    /// comes last: with it the metadata group and the peers begin to move.
    pub(super) fn seat(
        &self,
        records: &[Arc<NodeRecord>],
        held: Vec<HeldPorts>,
    ) -> Result<Vec<DoorStart>, ClusterError> {
        let mut plans = Vec::with_capacity(records.len());
        let mut peers = Vec::with_capacity(records.len());
        let mut doors = Vec::with_capacity(records.len());
        for (record, held) in records.iter().zip(held) {
            let mut setup = record.setup.clone();
            // The handle of an earlier life may have died with it.
            setup.disk = record.disk.handle();
            setup.contacts = self.node_ids();
            let plan = setup.plan(&self.ports);
            let peer_plan = self.peer_plan(record, plan.host.incarnation);
            peers.push(held.peer.map(|port| PeerStart { plan: peer_plan, port }));
            plans.push(plan);
            doors.push(held.doors);
        }
        for (index, port) in self.ports.iter().enumerate().rev() {
            let plans = plans.clone();
            let peers = if index == 0 { std::mem::take(&mut peers) } else { Vec::new() };
            let seated = port.call(move |shard| launch::ready(seat_all(&shard, plans, peers)));
            self.wait("the start of the nodes", &seated)?
                .map_err(|(node, problem)| ClusterError::NodeStart { node, problem })?;
        }
        for (record, plan) in records.iter().zip(plans) {
            *record.presence() = Presence::Running { state: plan.node, frozen: false };
        }
        Ok(doors)
    }

    fn peer_plan(&self, record: &NodeRecord, incarnation: u64) -> PeerPlan {
        let records = self.records();
        let others = records.iter().filter(|other| other.node() != record.node());
        let addresses = others.filter_map(|other| Some((other.node(), other.addresses.peer?.to_string())));
        PeerPlan {
            cluster_key: self.cluster_key,
            node: record.node(),
            incarnation,
            own_address: record.addresses.peer.map_or_else(String::new, |address| address.to_string()),
            addresses: addresses.collect(),
            contacts: BTreeMap::new(),
            joins: Vec::new(),
            // A node that leaves is stopped by whoever removes it.
            removed: tokio::sync::watch::Sender::new(false),
        }
    }

    pub(super) fn start_brokers(&self, nodes: Vec<NodeId>) -> Result<(), ClusterError> {
        self.on_every_shard(move |shard| nodes.iter().for_each(|node| launch::start_broker(shard, *node)))
    }

    pub(super) fn open_doors(&self, node: NodeId, doors: DoorStart) -> Result<(), ClusterError> {
        let admission = Arc::clone(&self.admission);
        self.ask(0, "opening the doors of a node", move |shard| {
            launch::ready(launch::open_doors(&shard, node, doors, &admission))
        })?
        .map_err(|source| ClusterError::System { what: "a listening socket", source })
    }

    pub(super) fn await_joined(&self, limit: Duration) -> Result<(), ClusterError> {
        let joined = self.ask(0, "the nodes finding each other", move |shard| {
            Box::pin(async move {
                let found = shard.find(limit, |shard| launch::all_joined(shard).then_some(())).await;
                found.is_some()
            })
        })?;
        if joined {
            return Ok(());
        }
        Err(timed_out("the nodes finding each other", limit, "see the node logs; is the machine overloaded?"))
    }
}

/// The ports of a node that is down.
fn held_ports(record: &NodeRecord) -> Result<HeldPorts, ClusterError> {
    let held = match &mut *record.presence() {
        Presence::Running { .. } => return Err(ClusterError::AlreadyRunning { node: record.node() }),
        Presence::Down(held) => held.take(),
    };
    match held {
        Some(held) => Ok(held),
        None => record
            .addresses
            .hold()
            .map_err(|source| ClusterError::Bind { address: record.addresses.ordinary.to_string(), source }),
    }
}

fn seat_all(
    shard: &Rc<Shard>,
    plans: Vec<SeatPlan>,
    peers: Vec<Option<PeerStart>>,
) -> Result<(), (NodeId, String)> {
    let mut peers = peers.into_iter();
    for plan in plans {
        let node = plan.host.node;
        launch::seat(shard, plan, peers.next().flatten()).map_err(|problem| (node, problem))?;
    }
    Ok(())
}
