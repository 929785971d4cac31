//! One node per process, its peers elsewhere: what `chronik-server` runs.

mod joining;
mod options;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use chronik_broker::coord::{Endpoint, config_catalogue};
use chronik_log::{Disk, MemDisk};
use chronik_replica::{GateMode, SyncMode};
use chronik_wire::types::NodeId;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::joining::remove_node;
pub use self::options::{HostPort, NodeOptions};
use crate::admission::{Admission, Clients};
use crate::clock::Clock;
use crate::cluster::{ClusterError, Durability, open_data_dir};
use crate::launch::{self, DoorStart, NodeSetup, PeerStart};
use crate::limits;
use crate::logs::NodeLog;
use crate::peers::tcp::{PeerPlan, key_of};
use crate::ports::BoundPort;
use crate::random::os_random_u64;
use crate::shard::port::ShardPort;
use crate::shard::{Carrier, ShardConfig, ShardThread};
use crate::stats::NodeCounters;

/// A running node.
pub struct NodeServer {
    node: NodeId,
    kafka: HostPort,
    pinned: Option<HostPort>,
    raft: Option<HostPort>,
    removed: watch::Sender<bool>,
    warnings: Vec<String>,
    counters: NodeCounters,
    state: Arc<chronik_broker::NodeState>,
    ports: Arc<[Arc<ShardPort>]>,
    threads: Mutex<Vec<ShardThread>>,
    lock: Mutex<Option<File>>,
}

impl std::fmt::Debug for NodeServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeServer").field("node", &self.node).field("kafka", &self.kafka).finish()
    }
}

/// What is bound before anything is started.
struct Bound {
    doors: DoorStart,
    raft: Option<BoundPort>,
}

impl NodeServer {
    /// Starts the node. Returns when its replicas are open and it accepts clients; finding its peers may take longer
    /// ([`NodeServer::wait_ready`]).
    pub fn start(options: NodeOptions) -> Result<NodeServer, ClusterError> {
        options.check()?;
        let (config, warnings) =
            config_catalogue::check_broker_config(&options.config).map_err(ClusterError::InvalidConfig)?;
        let bound = bind_all(&options)?;
        let advertised = advertised(&options, &bound);
        let (disk, lock): (Arc<dyn Disk>, Option<File>) = match &options.data_dir {
            None => (Arc::new(MemDisk::new()), None),
            Some(folder) => {
                let (disk, lock) = open_data_dir(folder)?;
                (disk, Some(lock))
            }
        };
        let pinned_endpoint = bound
            .doors
            .pinned
            .as_ref()
            .map(|port| Endpoint { host: advertised.host.clone(), port: port.address().port() });
        let raft = bound.raft.as_ref().map(|port| raft_address(&options, port.address().port()));
        let company = joining::find_company(&options, &disk, raft.as_ref())?;
        let setup = NodeSetup {
            node: options.node,
            voters: company.founders,
            advertised: advertised.clone(),
            pinned: pinned_endpoint.clone(),
            peer: raft.as_ref().map(|raft| Endpoint { host: raft.host.clone(), port: raft.port }),
            contacts: company.contacts.keys().copied().collect(),
            asks_admission: !options.join.is_empty(),
            rack: options.rack.clone(),
            config: BTreeMap::new(),
            fetch_from_followers: options.fetch_from_followers,
            gate_cap_ms: options.gate_cap_ms,
            gate: GateMode::On,
            profile: options.profile,
            sync: match (options.durability, &options.data_dir) {
                (Durability::Os, _) => SyncMode::Never,
                (Durability::Fsync, None) => SyncMode::Inline,
                (Durability::Fsync, Some(_)) => SyncMode::Deferred,
            },
            seed: os_random_u64(),
            disk,
            counters: NodeCounters::default(),
            log: NodeLog::new(&options.cluster_name, Some(options.node)),
            interceptions: Arc::default(),
        }
        .with_config(config)
        .with_folder(options.data_dir.as_deref());
        let shards = options.shards.unwrap_or_else(default_shards);
        let ports: Arc<[Arc<ShardPort>]> = (0..shards).map(|_| ShardPort::new()).collect();
        let plan = setup.plan(&ports);
        let removed = watch::Sender::new(false);
        let peer_plan = PeerPlan {
            cluster_key: key_of(&options.cluster_name),
            node: options.node,
            incarnation: plan.host.incarnation,
            own_address: raft.as_ref().map_or_else(String::new, HostPort::to_string),
            addresses: addresses_of(&options.peers),
            contacts: company.contacts,
            joins: options.join.iter().map(HostPort::to_string).collect(),
            removed: removed.clone(),
        };
        let server = NodeServer {
            node: options.node,
            kafka: HostPort { host: advertised.host, port: advertised.port },
            pinned: pinned_endpoint.map(|endpoint| HostPort { host: endpoint.host, port: endpoint.port }),
            raft,
            removed,
            warnings,
            counters: setup.counters.clone(),
            state: Arc::clone(&plan.node),
            ports: Arc::clone(&ports),
            threads: Mutex::new(Vec::new()),
            lock: Mutex::new(lock),
        };
        let shard_config = ShardConfig {
            clock: Clock::new(),
            profile: options.profile.with_config(&setup.config),
            carrier: Carrier::Tcp,
            seed: setup.seed,
            ports,
        };
        for index in 0..shards {
            let thread = ShardThread::start(index, &format!("node{}", options.node), shard_config.clone())
                .map_err(|source| ClusterError::System { what: "a thread", source })?;
            server.threads.lock().push(thread);
        }
        server.launch(&plan, peer_plan, bound)?;
        Ok(server)
    }

    fn launch(
        &self,
        plan: &crate::shard::seat::SeatPlan,
        peer_plan: PeerPlan,
        bound: Bound,
    ) -> Result<(), ClusterError> {
        let mut peers = bound.raft.map(|port| PeerStart { plan: peer_plan, port });
        // Shard 0 comes last: with it the metadata group and the peers begin to move.
        for (index, port) in self.ports.iter().enumerate().rev() {
            let plan = plan.clone();
            let peers = if index == 0 { peers.take() } else { None };
            let seated = port.call(move |shard| launch::ready(launch::seat(&shard, plan, peers)));
            wait(&seated)?.map_err(|problem| ClusterError::NodeStart { node: self.node, problem })?;
        }
        let node = self.node;
        for port in self.ports.iter() {
            wait(&port.call(move |shard| {
                launch::start_broker(&shard, node);
                launch::ready(())
            }))?;
        }
        let admission = Admission::new(Clients::Elsewhere);
        let opened = self.ports[0]
            .call(move |shard| launch::ready(launch::open_doors(&shard, node, bound.doors, &admission)));
        wait(&opened)?.map_err(|source| ClusterError::System { what: "a listening socket", source })
    }

    /// Waits until this node is registered and knows a controller. False when that takes longer than `limit`.
    pub fn wait_ready(&self, limit: Duration) -> Result<bool, ClusterError> {
        let answer = self.ports[0].call(move |shard| {
            Box::pin(async move {
                shard.find(limit, |shard| launch::all_joined(shard).then_some(())).await.is_some()
            })
        });
        answer.recv_timeout(limit + limits::CONTROL_TIMEOUT).map_err(|_| ClusterError::Stopped)
    }

    /// Stops in order: leadership is handed over where somebody can take it, then connections end, then everything.
    /// A second call does nothing.
    pub fn stop(&self) -> Result<(), ClusterError> {
        self.hand_over();
        self.end(limits::STOP_TIMEOUT)
    }

    fn hand_over(&self) {
        if self.threads.lock().is_empty() || self.state.view(|view| view.live_peers()).is_empty() {
            return;
        }
        let node = self.node;
        let answers: Vec<_> = self
            .ports
            .iter()
            .map(|port| {
                port.call(move |shard| {
                    Box::pin(async move {
                        let Some(seat) = shard.seat(node) else { return };
                        seat.host.borrow_mut().step_down_all();
                        drop(seat);
                        shard.find(limits::HAND_OVER_TIMEOUT, move |shard| leads_nothing(shard, node)).await;
                    })
                })
            })
            .collect();
        for answer in answers {
            // Whoever did not get rid of its leadership in time is replaced by an election.
            let _ = answer.recv_timeout(limits::HAND_OVER_TIMEOUT * 2);
        }
    }

    fn end(&self, limit: Duration) -> Result<(), ClusterError> {
        let mut threads = std::mem::take(&mut *self.threads.lock());
        threads.iter_mut().for_each(ShardThread::begin_stop);
        let mut ended = true;
        for thread in &mut threads {
            ended &= thread.stop(limit);
        }
        *self.lock.lock() = None;
        if ended { Ok(()) } else { Err(ClusterError::StillRunning { limit_ms: limit.as_millis() as u64 }) }
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The address that Metadata gives to clients.
    pub fn kafka_address(&self) -> &HostPort {
        &self.kafka
    }

    /// The pinned address, if there is one.
    pub fn pinned_address(&self) -> Option<&HostPort> {
        self.pinned.as_ref()
    }

    /// The address for peers, if there are any.
    pub fn raft_address(&self) -> Option<&HostPort> {
        self.raft.as_ref()
    }

    /// Waits until the cluster says that it has removed this node. The node should stop then.
    pub async fn removed(&self) {
        let mut removed = self.removed.subscribe();
        // The sender is this node's own.
        let _ = removed.wait_for(|removed| *removed).await;
    }

    /// Configuration names that are accepted and change nothing, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The node's counters by name.
    pub fn stats(&self) -> BTreeMap<String, u64> {
        self.counters.snapshot()
    }
}

impl Drop for NodeServer {
    fn drop(&mut self) {
        if let Err(error) = self.end(limits::DROP_TIMEOUT) {
            tracing::warn!(%error, "a dropped node did not end in time");
        }
    }
}

fn wait<R>(answer: &std::sync::mpsc::Receiver<R>) -> Result<R, ClusterError> {
    answer.recv_timeout(limits::START_TIMEOUT).map_err(|error| match error {
        RecvTimeoutError::Disconnected => ClusterError::Stopped,
        RecvTimeoutError::Timeout => ClusterError::TimedOut {
            what: "the start of the node".to_owned(),
            limit_ms: limits::START_TIMEOUT.as_millis() as u64,
            hint: "is the machine overloaded?",
        },
    })
}

fn bind_all(options: &NodeOptions) -> Result<Bound, ClusterError> {
    let bind = |address: &HostPort| {
        BoundPort::bind(&address.host, address.port)
            .map_err(|source| ClusterError::Bind { address: address.to_string(), source })
    };
    let ordinary = bind(&options.kafka)?;
    let pinned = options.pinned_port.map(|port| bind(&HostPort { host: options.kafka.host.clone(), port }));
    let raft = options.raft.as_ref().map(bind);
    Ok(Bound { doors: DoorStart { ordinary, pinned: pinned.transpose()? }, raft: raft.transpose()? })
}

fn advertised(options: &NodeOptions, bound: &Bound) -> Endpoint {
    let port = bound.doors.ordinary.address().port();
    match &options.advertised {
        Some(address) => {
            Endpoint { host: address.host.clone(), port: if address.port == 0 { port } else { address.port } }
        }
        None => Endpoint { host: options.kafka.host.clone(), port },
    }
}

/// Where the peers are told to call this node.
fn raft_address(options: &NodeOptions, bound_port: u16) -> HostPort {
    let told = options.raft_advertised.as_ref().or(options.raft.as_ref());
    let host = told.map_or_else(String::new, |told| told.host.clone());
    let port = told.map_or(0, |told| told.port);
    HostPort { host, port: if port == 0 { bound_port } else { port } }
}

fn addresses_of(peers: &BTreeMap<NodeId, HostPort>) -> BTreeMap<NodeId, String> {
    peers.iter().map(|(node, address)| (*node, address.to_string())).collect()
}

fn default_shards() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(limits::SHARDS_MAX)
}

fn leads_nothing(shard: &crate::shard::Shard, node: NodeId) -> Option<()> {
    let Some(seat) = shard.seat(node) else { return Some(()) };
    let host = seat.host.borrow();
    let leads = host.keys().any(|key| {
        host.view(key)
            .is_ok_and(|view| view.role == chronik_replica::Role::Leader && !view.followers.is_empty())
    });
    (!leads).then_some(())
}
