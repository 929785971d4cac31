//! Bringing a node to life on its shards: replicas first, then peers, then the broker, and the doors last.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use chronik_broker::coord::Endpoint;
use chronik_broker::{BrokerConfig, Interceptions, LocalFuture, NodeState};
use chronik_log::Disk;
use chronik_replica::{Faults, GateMode, HostConfig, SyncMode};
use chronik_wire::types::NodeId;

use crate::admission::Admission;
use crate::listener::{self, Door};
use crate::logs::NodeLog;
use crate::peers::tcp::{PeerPlan, Peers, directory};
use crate::ports::BoundPort;
use crate::profile::Profile;
use crate::random::os_random_u64;
use crate::shard::Shard;
use crate::shard::port::ShardPort;
use crate::shard::seat::{Seat, SeatPlan};
use crate::stats::NodeCounters;

/// What a node is, whatever starts it. Every start makes a plan of it with a start number of its own.
#[derive(Clone)]
pub(crate) struct NodeSetup {
    pub(crate) node: NodeId,
    pub(crate) voters: Vec<NodeId>,
    pub(crate) advertised: Endpoint,
    pub(crate) pinned: Option<Endpoint>,
    /// Where other processes call it.
    pub(crate) peer: Option<Endpoint>,
    /// Nodes that it has heard of when it starts.
    pub(crate) contacts: Vec<NodeId>,
    /// Whether it asks for its disk to be counted on.
    pub(crate) asks_admission: bool,
    pub(crate) rack: Option<String>,
    /// Kafka configuration, checked by the catalogue.
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) fetch_from_followers: bool,
    pub(crate) gate_cap_ms: u64,
    pub(crate) gate: GateMode,
    pub(crate) profile: Profile,
    pub(crate) sync: SyncMode,
    pub(crate) seed: u64,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) counters: NodeCounters,
    pub(crate) log: Arc<NodeLog>,
    pub(crate) interceptions: Arc<Interceptions>,
}

impl NodeSetup {
    /// Lets configuration keys that concern the edge win over the options. The catalogue has checked their values.
    pub(crate) fn with_config(mut self, config: BTreeMap<String, String>) -> NodeSetup {
        let value = |name: &str| config.get(name).map(String::as_str);
        if let Some(allowed) = value("chronik.fetch.from.followers").and_then(|text| text.parse().ok()) {
            self.fetch_from_followers = allowed;
        }
        if let Some(cap_ms) = value("chronik.fetch.follower.max.wait.ms").and_then(|text| text.parse().ok()) {
            self.gate_cap_ms = cap_ms;
        }
        if let Some(gate) = value("chronik.test.gate") {
            self.gate = if gate == "off" { GateMode::Off } else { GateMode::On };
        }
        self.config = config;
        self
    }

    /// Lets `log.dirs` name the folder the node really writes to, whatever the options say.
    pub(crate) fn with_folder(mut self, folder: Option<&Path>) -> NodeSetup {
        self.config.remove("log.dir");
        match folder {
            // A path that cannot be made absolute is shown as it was given.
            Some(folder) => {
                let shown = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
                self.config.insert("log.dirs".to_owned(), shown.display().to_string());
            }
            None => drop(self.config.remove("log.dirs")),
        }
        self
    }

    /// A plan for one start of the node.
    pub(crate) fn plan(&self, shards: &Arc<[Arc<ShardPort>]>) -> SeatPlan {
        let incarnation = os_random_u64();
        let config = BrokerConfig {
            node: self.node,
            incarnation,
            voters: self.voters.clone(),
            designated: self.voters.first().copied().unwrap_or(self.node),
            advertised: self.advertised.clone(),
            pinned: self.pinned.clone(),
            peer: self.peer.clone(),
            contacts: self.contacts.clone(),
            asks_admission: self.asks_admission,
            rack: self.rack.clone(),
            cluster_id_proposal: new_cluster_id(),
            broker_config: self.config.clone(),
            fetch_from_followers: self.fetch_from_followers,
            gate_cap_ms: self.gate_cap_ms,
            peer_timeout_ms: self.profile.peer_timeout_ms,
            shards: shards.len(),
            shard: 0,
            interceptions: Arc::clone(&self.interceptions),
        };
        let bell = Arc::clone(&shards[0]);
        let state = NodeState::new(config, Arc::clone(&self.counters.broker), Arc::new(move || bell.wake()));
        self.counters.edge.starts.add(1);
        SeatPlan {
            node: state,
            host: HostConfig {
                node: self.node,
                incarnation,
                seed: self.seed ^ incarnation,
                tick_ms: self.profile.tick_ms,
                election_ticks: self.profile.election_ticks,
                heartbeat_ticks: self.profile.heartbeat_ticks,
                gate_cap_ms: self.gate_cap_ms,
                hibernate_after_ticks: self.profile.hibernate_after_ticks,
                sync: self.sync,
                disk_reserve_bytes: chronik_replica::limits::DISK_RESERVE_BYTES,
                faults: Faults { gate: self.gate },
            },
            disk: Arc::clone(&self.disk),
            counters: self.counters.clone(),
            log: Arc::clone(&self.log),
            shards: Arc::clone(shards),
        }
    }
}

/// A peer listener that has been bound, and whom to call.
pub(crate) struct PeerStart {
    pub(crate) plan: PeerPlan,
    pub(crate) port: BoundPort,
}

/// The doors of a node, bound and still shut.
pub(crate) struct DoorStart {
    pub(crate) ordinary: BoundPort,
    pub(crate) pinned: Option<BoundPort>,
}

/// Seats a node on this shard. On shard 0 its peers are called, if it has any in other processes.
pub(crate) fn seat(shard: &Rc<Shard>, plan: SeatPlan, peers: Option<PeerStart>) -> Result<(), String> {
    let seat = Seat::open(&plan, shard.index(), shard.clock()).map_err(|error| error.to_string())?;
    if let Some(PeerStart { plan, port }) = peers {
        let listener = port.listen().map_err(|error| format!("cannot listen for peers: {error}"))?;
        let counters = Arc::clone(&seat.counters.edge);
        let peers = Peers::start(plan, listener, &seat.life, counters, Rc::downgrade(shard));
        let follow = directory::follow(Rc::clone(&peers), Arc::clone(&seat.state), Rc::clone(&seat.life));
        seat.life.spawn(follow);
        *seat.peers.borrow_mut() = Some(peers);
    }
    shard.add(seat);
    Ok(())
}

/// Starts what the node's broker does beside requests.
pub(crate) fn start_broker(shard: &Shard, node: NodeId) {
    if let Some(seat) = shard.seat(node) {
        let _scope = seat.life.log_scope();
        seat.broker.start();
        shard.port().wake();
    }
}

/// Opens a node's doors. Runs on shard 0.
pub(crate) fn open_doors(
    shard: &Rc<Shard>,
    node: NodeId,
    doors: DoorStart,
    admission: &Arc<Admission>,
) -> std::io::Result<()> {
    let Some(seat) = shard.seat(node) else { return Ok(()) };
    let _scope = seat.life.log_scope();
    let config = &seat.state.config;
    let rack = config.rack.as_deref().unwrap_or("none");
    match &config.pinned {
        Some(pinned) => {
            tracing::info!(kafka = %doors.ordinary.address(), pinned_port = pinned.port, rack, "listening");
        }
        None => tracing::info!(kafka = %doors.ordinary.address(), rack, "listening"),
    }
    let bound = [(Some(doors.ordinary), Door::Ordinary), (doors.pinned, Door::Pinned)];
    for (port, door) in bound {
        let Some(port) = port else { continue };
        let listener = port.listen()?;
        seat.life.spawn(listener::accept(Rc::clone(shard), node, listener, door, Arc::clone(admission)));
    }
    Ok(())
}

/// Whether every node that runs on this shard knows every other one, in its present life, and the controller; but for
/// those that nobody tells anything.
pub(crate) fn all_joined(shard: &Shard) -> bool {
    let seats = shard.seats();
    let seats: Vec<_> = seats.iter().filter(|seat| !awaits_admission(seat, &seats)).collect();
    seats.iter().all(|seat| {
        let image = seat.state.image();
        let registered = seats.iter().all(|other| {
            image.brokers.get(&other.node).is_some_and(|broker| broker.incarnation == other.incarnation())
        });
        registered
            && seat.state.view(|view| {
                seats.iter().all(|other| view.is_alive(other.node))
                    && view.leader(chronik_wire::types::PartitionKey::META).is_some()
            })
    })
}

/// Whether a node has lost a disk that the cluster was not founded with: the metadata group hears of the new one when it is
/// admitted again, while one in place of a founder's disk follows at once.
fn awaits_admission(seat: &Seat, all: &[Rc<Seat>]) -> bool {
    all.iter().any(|other| {
        let image = other.state.image();
        let lost = image.quorum_member(seat.node).filter(|member| member.generation != 0);
        lost.zip(image.brokers.get(&seat.node)).is_some_and(|(lost, broker)| {
            broker.incarnation == seat.incarnation() && broker.directory != lost.directory
        })
    })
}

/// A future that is ready.
pub(crate) fn ready<T: 'static>(value: T) -> LocalFuture<T> {
    Box::pin(std::future::ready(value))
}

/// A cluster id as Kafka makes them: a random uuid in 22 characters of url-safe base64.
fn new_cluster_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let random = (u128::from(os_random_u64()) << 64) | u128::from(os_random_u64());
    (0..22).map(|place| char::from(DIGITS[(random >> (6 * place)) as usize & 63])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_log::MemDisk;

    #[test]
    fn configuration_wins_over_options() {
        let setup = NodeSetup {
            node: NodeId(1),
            voters: vec![NodeId(1)],
            advertised: Endpoint { host: "h".to_owned(), port: 1 },
            pinned: None,
            peer: None,
            contacts: Vec::new(),
            asks_admission: false,
            rack: None,
            config: BTreeMap::new(),
            fetch_from_followers: true,
            gate_cap_ms: 5_000,
            gate: GateMode::On,
            profile: Profile::TEST,
            sync: SyncMode::Inline,
            seed: 1,
            disk: Arc::new(MemDisk::new()),
            counters: NodeCounters::default(),
            log: NodeLog::new("c", None),
            interceptions: Arc::default(),
        };
        let keys = [
            ("chronik.fetch.from.followers", "false"),
            ("chronik.fetch.follower.max.wait.ms", "700"),
            ("chronik.test.gate", "off"),
        ];
        let config = keys.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let setup = setup.with_config(config);
        assert_eq!((setup.fetch_from_followers, setup.gate_cap_ms, setup.gate), (false, 700, GateMode::Off));
    }

    #[test]
    fn cluster_ids_are_as_long_as_kafkas_and_differ() {
        let (one, two) = (new_cluster_id(), new_cluster_id());
        assert_eq!(one.len(), 22);
        assert_ne!(one, two);
    }
}
