//! What the handle knows of each node: what it is, where it listens, whether it runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use chronik_broker::coord::Endpoint;
use chronik_broker::{Interceptions, NodeState};
use chronik_replica::SyncMode;
use chronik_wire::types::NodeId;
use parking_lot::{Mutex, MutexGuard};

use super::disk::NodeDisk;
use super::error::ClusterError;
use super::options::{ClusterOptions, Durability, NewNode, Transport};
use crate::launch::{DoorStart, NodeSetup};
use crate::logs::{LogScope, NodeLog};
use crate::ports::BoundPort;
use crate::stats::NodeCounters;

/// The ports of a node that is about to start, or that is down and keeps them.
pub(crate) struct HeldPorts {
    pub(crate) doors: DoorStart,
    pub(crate) peer: Option<BoundPort>,
}

/// Where a node listens. The same for all of its lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) ordinary: SocketAddr,
    pub(crate) pinned: SocketAddr,
    pub(crate) peer: Option<SocketAddr>,
}

impl Addresses {
    /// Takes the ports again after the node has let them go.
    pub(crate) fn hold(&self) -> std::io::Result<HeldPorts> {
        Ok(HeldPorts {
            doors: DoorStart {
                ordinary: BoundPort::bind_address(self.ordinary)?,
                pinned: Some(BoundPort::bind_address(self.pinned)?),
            },
            peer: self.peer.map(BoundPort::bind_address).transpose()?,
        })
    }
}

/// Whether a node runs.
pub(crate) enum Presence {
    /// It runs.
    Running {
        /// Its shared state of this life.
        state: Arc<NodeState>,
        /// Whether it is frozen.
        frozen: bool,
    },
    /// It is down. Its ports are held for the restart, unless somebody took them.
    Down(Option<HeldPorts>),
}

/// One node of the cluster.
pub(crate) struct NodeRecord {
    pub(crate) setup: NodeSetup,
    pub(crate) rack: String,
    pub(crate) host: String,
    pub(crate) addresses: Addresses,
    pub(crate) disk: NodeDisk,
    presence: Mutex<Presence>,
}

impl NodeRecord {
    pub(crate) fn node(&self) -> NodeId {
        self.setup.node
    }

    /// The same node, whose requests these rules may strike in all its lives.
    pub(crate) fn intercepted_by(mut self, interceptions: &Arc<Interceptions>) -> NodeRecord {
        self.setup.interceptions = Arc::clone(interceptions);
        self
    }

    /// Whether it runs; held while that changes.
    pub(crate) fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock()
    }

    /// The state of a node that runs and is not frozen.
    pub(crate) fn awake(&self) -> Option<Arc<NodeState>> {
        match &*self.presence() {
            Presence::Running { state, frozen: false } => Some(Arc::clone(state)),
            _ => None,
        }
    }

    /// Writes a line into the node's log.
    pub(crate) fn say(&self, what: &'static str) {
        let _scope = LogScope::enter(&self.setup.log);
        tracing::info!("{what}");
    }

    /// Empties the disk of a node that is down.
    pub(crate) fn wipe_disk(&self) -> Result<(), ClusterError> {
        let node = self.node();
        self.disk.wipe().map_err(|error| ClusterError::Disk { node, problem: error.to_string() })
    }

    /// The cluster has stopped: no port and no folder is kept.
    pub(crate) fn forget(&self) {
        self.disk.release();
        if let Presence::Running { .. } = std::mem::replace(&mut *self.presence(), Presence::Down(None)) {
            self.say("stopped");
        }
    }
}

/// Everything about the nodes that can be known before a thread runs: ids, ports, disks.
pub(crate) fn prepare(
    options: &ClusterOptions,
    cluster: &str,
    seed: u64,
    config: &BTreeMap<String, String>,
) -> Result<(Vec<NodeRecord>, Vec<HeldPorts>), ClusterError> {
    let founders = options.founders();
    let mut records = Vec::with_capacity(founders.len());
    let mut bound = Vec::with_capacity(founders.len());
    for (place, node) in founders.iter().enumerate() {
        let port = options.ports.as_ref().and_then(|ports| ports.get(place)).copied();
        let rack = options.racks.as_ref().and_then(|racks| racks.get(place)).cloned();
        let newcomer = NewNode { rack, port };
        let (record, held) = prepare_node(*node, &newcomer, options, cluster, seed, config)?;
        records.push(record);
        bound.push(held);
    }
    Ok((records, bound))
}

/// Everything about one node that can be known before it runs.
pub(crate) fn prepare_node(
    node: NodeId,
    newcomer: &NewNode,
    options: &ClusterOptions,
    cluster: &str,
    seed: u64,
    config: &BTreeMap<String, String>,
) -> Result<(NodeRecord, HeldPorts), ClusterError> {
    let place = node.0 - options.first_node_id;
    let port = newcomer.port.unwrap_or(0);
    let held = HeldPorts {
        doors: DoorStart { ordinary: bind(&options.host, port)?, pinned: Some(bind(&options.host, 0)?) },
        peer: match options.transport {
            Transport::InProcess => None,
            Transport::Tcp => Some(bind(&options.host, 0)?),
        },
    };
    let ordinary = held.doors.ordinary.address();
    let pinned = held.doors.pinned.as_ref().map_or(ordinary, BoundPort::address);
    let addresses = Addresses { ordinary, pinned, peer: held.peer.as_ref().map(BoundPort::address) };
    let folder = options.data_dir.as_ref().map(|folder| folder.join(format!("node-{node}")));
    let disk = match &folder {
        None => NodeDisk::memory(),
        Some(folder) => NodeDisk::files(folder.clone())?,
    };
    let sync = match (options.durability, &disk) {
        (Durability::Os, _) => SyncMode::Never,
        (Durability::Fsync, NodeDisk::Memory(_)) => SyncMode::Inline,
        (Durability::Fsync, NodeDisk::Files { .. }) => SyncMode::Deferred,
    };
    let rack = newcomer.rack.clone().unwrap_or_else(|| format!("rack-{}", place + 1));
    let endpoint = |address: SocketAddr| Endpoint { host: options.host.clone(), port: address.port() };
    let setup = NodeSetup {
        node,
        voters: options.founders(),
        advertised: endpoint(addresses.ordinary),
        pinned: Some(endpoint(addresses.pinned)),
        peer: addresses.peer.map(endpoint),
        contacts: Vec::new(),
        asks_admission: false,
        rack: Some(rack.clone()),
        config: BTreeMap::new(),
        fetch_from_followers: options.fetch_from_followers,
        gate_cap_ms: options.gate_cap_ms,
        gate: options.gate_mode(),
        profile: options.profile,
        sync,
        interceptions: Arc::default(),
        seed: seed.wrapping_add(place as u64),
        disk: disk.handle(),
        counters: NodeCounters::default(),
        log: NodeLog::new(cluster, Some(node)),
    }
    .with_config(config.clone())
    .with_folder(folder.as_deref());
    let presence = Mutex::new(Presence::Down(None));
    Ok((NodeRecord { setup, rack, host: options.host.clone(), addresses, disk, presence }, held))
}

/// Binds, and says what went wrong in the words of a user.
pub(crate) fn bind(host: &str, port: u16) -> Result<BoundPort, ClusterError> {
    BoundPort::bind(host, port).map_err(|source| {
        let address = format!("{host}:{port}");
        match source.kind() {
            std::io::ErrorKind::AddrInUse => ClusterError::PortInUse { address },
            _ => ClusterError::Bind { address, source },
        }
    })
}
