//! A cluster of nodes in one process, and the handle through which tests drive it.
//!
//! The handle may be used from any thread. Each call hands its work to the shards and waits for the answer, for a
//! bounded time. The nodes are the very ones that `chronik-server` runs, one per process.

mod disk;
mod error;
mod faults;
mod inspect;
mod intercept;
mod lifecycle;
mod membership;
mod options;
mod record;
mod snapshots;
mod topics;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chronik_broker::coord::config_catalogue;
use chronik_broker::{Interceptions, LocalFuture};
use chronik_wire::types::NodeId;
use parking_lot::{Mutex, RwLock};

pub(crate) use self::disk::open_data_dir;
pub use self::error::ClusterError;
pub use self::inspect::{NodeInfo, PartitionLeader};
pub use self::intercept::Intercept;
pub use self::options::{ClusterOptions, Durability, NewNode, Transport, Unsynced};
use self::record::NodeRecord;
pub use self::snapshots::Snapshot;
use crate::admission::{Admission, Clients};
use crate::clock::Clock;
use crate::launch;
use crate::limits;
use crate::logs::{self, LogScope, NodeLog};
use crate::random::os_random_u64;
use crate::shard::port::ShardPort;
use crate::shard::{Carrier, Shard, ShardConfig, ShardThread};

static NEXT_CLUSTER: AtomicU64 = AtomicU64::new(1);

/// A running cluster. Dropping it stops it.
pub struct Cluster {
    name: String,
    seed: u64,
    warnings: Vec<String>,
    clock: Clock,
    ports: Arc<[Arc<ShardPort>]>,
    options: ClusterOptions,
    /// Kafka configuration, checked by the catalogue.
    config: BTreeMap<String, String>,
    nodes: RwLock<Vec<Arc<NodeRecord>>>,
    /// The id of the next node that joins: none is given twice.
    next_node: AtomicI32,
    cluster_key: u128,
    admission: Arc<Admission>,
    log: Arc<NodeLog>,
    /// Set while any link has a fault: then nobody can be expected to hear of everybody.
    links_faulty: AtomicBool,
    threads: Mutex<Vec<ShardThread>>,
    /// What its disks held when it had started; for [`Cluster::reset`].
    first_state: OnceLock<Arc<Snapshot>>,
    /// Requests to be counted, delayed or refused; asked by every node.
    interceptions: Arc<Interceptions>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .field("bootstrap_servers", &self.bootstrap_servers())
            .finish()
    }
}

impl Cluster {
    /// Starts a cluster. Returns when every node knows every node and the controller, and accepts clients.
    pub fn start(options: ClusterOptions) -> Result<Cluster, ClusterError> {
        options.check()?;
        let (config, warnings) =
            config_catalogue::check_broker_config(&options.config).map_err(ClusterError::InvalidConfig)?;
        let config = options::with_in_process_defaults(config);
        logs::install_capture();
        let name = options
            .name
            .clone()
            .unwrap_or_else(|| format!("cluster-{}", NEXT_CLUSTER.fetch_add(1, Ordering::Relaxed)));
        let log = NodeLog::new(&name, None);
        let _scope = LogScope::enter(&log);
        let seed = options.seed.unwrap_or_else(os_random_u64);
        let interceptions = Arc::new(Interceptions::default());
        let (nodes, bound) = record::prepare(&options, &name, seed, &config)?;
        let clock = Clock::new();
        let ports: Arc<[Arc<ShardPort>]> = (0..options.shards).map(|_| ShardPort::new()).collect();
        let shard_config = ShardConfig {
            clock: clock.clone(),
            profile: options.profile.with_config(&config),
            carrier: match options.transport {
                Transport::InProcess => Carrier::InProcess,
                Transport::Tcp => Carrier::Tcp,
            },
            seed,
            ports: Arc::clone(&ports),
        };
        let cluster_key = cluster_key(seed, &nodes);
        let next_node = AtomicI32::new(options.first_node_id + options.nodes as i32);
        let cluster = Cluster {
            name,
            seed,
            warnings,
            clock,
            ports,
            options,
            config,
            nodes: RwLock::new(
                nodes.into_iter().map(|node| Arc::new(node.intercepted_by(&interceptions))).collect(),
            ),
            next_node,
            cluster_key,
            admission: Admission::new(Clients::InThisProcess),
            log: Arc::clone(&log),
            links_faulty: AtomicBool::new(false),
            threads: Mutex::new(Vec::new()),
            first_state: OnceLock::new(),
            interceptions,
        };
        for index in 0..cluster.ports.len() {
            let thread = ShardThread::start(index, &cluster.name, shard_config.clone())
                .map_err(|source| ClusterError::System { what: "a thread", source })?;
            cluster.threads.lock().push(thread);
        }
        cluster.start_all(bound)?;
        for warning in &cluster.warnings {
            tracing::info!("{warning}");
        }
        Ok(cluster)
    }

    /// Stops all nodes and gives back every thread, port and file. A second call does nothing.
    pub fn stop(&self) -> Result<(), ClusterError> {
        if self.stop_within(limits::STOP_TIMEOUT) {
            return Ok(());
        }
        Err(ClusterError::StillRunning { limit_ms: limits::STOP_TIMEOUT.as_millis() as u64 })
    }

    /// Tells everything to end and does not wait for it: for finalizers.
    pub fn stop_in_background(&self) {
        for mut thread in self.threads.lock().drain(..) {
            thread.begin_stop();
        }
    }

    fn stop_within(&self, limit: Duration) -> bool {
        let mut threads = std::mem::take(&mut *self.threads.lock());
        for thread in &mut threads {
            thread.begin_stop();
        }
        let deadline = Instant::now() + limit;
        let mut ended = true;
        for mut thread in threads {
            ended &= thread.stop(deadline.saturating_duration_since(Instant::now()));
        }
        for node in self.records() {
            node.forget();
        }
        ended
    }

    /// The cluster's name in log lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The seed that elections and lossy links were given.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Configuration names that are accepted and change nothing, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Puts the broker clock of all nodes forward by `by_ms` and lets retention look at once. Sessions, transactions and
    /// records are that much older; Raft's time and the time-outs of requests stay as they are.
    pub fn advance(&self, by_ms: i64) -> Result<(), ClusterError> {
        self.clock.advance(by_ms);
        let wall_ms = self.clock.wall_ms();
        self.on_every_shard(move |shard| {
            for seat in shard.seats() {
                seat.run_retention(wall_ms);
            }
        })
    }

    /// The nodes as they are now, by id.
    fn records(&self) -> Vec<Arc<NodeRecord>> {
        self.nodes.read().clone()
    }

    fn record(&self, node: NodeId) -> Result<Arc<NodeRecord>, ClusterError> {
        let records = self.records();
        let found = records.iter().find(|record| record.node() == node).cloned();
        found.ok_or_else(|| {
            let known: Vec<String> = records.iter().map(|record| record.node().to_string()).collect();
            ClusterError::UnknownNode { node, known: known.join(", ") }
        })
    }

    /// Runs `work` on shard `index` and waits for its answer.
    fn ask<R: Send + 'static>(
        &self,
        index: usize,
        what: &str,
        work: impl FnOnce(Rc<Shard>) -> LocalFuture<R> + Send + 'static,
    ) -> Result<R, ClusterError> {
        self.wait(what, &self.ports[index].call(work))
    }

    /// Runs `work` on all shards at once and waits for all.
    fn on_every_shard(&self, work: impl Fn(&Rc<Shard>) + Clone + Send + 'static) -> Result<(), ClusterError> {
        self.ask_every_shard("a change on every shard", move |shard| {
            work(&shard);
            launch::ready(())
        })?;
        Ok(())
    }

    fn ask_every_shard<R: Send + 'static>(
        &self,
        what: &str,
        work: impl Fn(Rc<Shard>) -> LocalFuture<R> + Clone + Send + 'static,
    ) -> Result<Vec<R>, ClusterError> {
        let answers: Vec<Receiver<R>> = self.ports.iter().map(|port| port.call(work.clone())).collect();
        answers.iter().map(|answer| self.wait(what, answer)).collect()
    }

    fn wait<R>(&self, what: &str, answer: &Receiver<R>) -> Result<R, ClusterError> {
        answer.recv_timeout(limits::CONTROL_TIMEOUT).map_err(|error| match error {
            RecvTimeoutError::Disconnected => ClusterError::Stopped,
            RecvTimeoutError::Timeout => {
                timed_out(what, limits::CONTROL_TIMEOUT, "is the machine overloaded?")
            }
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _scope = LogScope::enter(&self.log);
        if !self.stop_within(limits::DROP_TIMEOUT) {
            tracing::warn!("a dropped cluster did not end in time; its threads are left behind");
        }
    }
}

/// Nodes of two clusters of one process must not mistake each other after a port changed hands.
fn cluster_key(seed: u64, nodes: &[NodeRecord]) -> u128 {
    let ports = nodes.iter().map(|record| u128::from(record.addresses.ordinary.port()));
    ports.fold(u128::from(seed), |key, port| key.rotate_left(17) ^ port)
}

fn timed_out(what: &str, limit: Duration, hint: &'static str) -> ClusterError {
    ClusterError::TimedOut { what: what.to_owned(), limit_ms: limit.as_millis() as u64, hint }
}

/// Sums counters by name.
fn add_up(into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>) {
    for (name, count) in from {
        *into.entry(name).or_insert(0) += count;
    }
}
