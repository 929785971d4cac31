//! `Cluster`: each method is one call of the Rust cluster, arguments and results in plain Python types.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chronik_node::{
    ClusterError, ClusterOptions, Durability, Intercept, NewNode, NodeId, PartitionLeader, Transport,
    Unsynced,
};
use pyo3::prelude::*;

use crate::crossing::{self, Owner};
use crate::error::{self, Failure};

/// Id, rack, host, port, pinned port, and whether it runs.
type PlainNode = (i32, String, String, u16, u16, bool, bool);

/// What all nodes of a cluster held at one instant.
#[pyclass(frozen, module = "chronik._chronik")]
pub(crate) struct Snapshot(Arc<chronik_node::Snapshot>);

/// Requests of clients that are counted, delayed or refused.
#[pyclass(frozen, module = "chronik._chronik")]
pub(crate) struct Interception(chronik_node::Interception);

#[pymethods]
impl Interception {
    /// How many requests it has struck.
    fn count(&self) -> u64 {
        self.0.count()
    }

    /// Whether it strikes the next request that it fits.
    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    /// Ends it; twice is fine.
    fn remove(&self) {
        self.0.remove();
    }
}

/// A running cluster. Every call is bounded in time and lets other Python threads run while it waits.
#[pyclass(frozen, module = "chronik._chronik")]
pub(crate) struct Cluster {
    owner: Owner,
    /// Taken out only when the cluster is dropped in the child of a fork, where nothing of it may run.
    inner: Option<chronik_node::Cluster>,
}

impl Cluster {
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&chronik_node::Cluster) -> Result<T, ClusterError> + Send,
    ) -> PyResult<T> {
        self.owner.check().map_err(|failure| error::raise(py, failure))?;
        let Some(inner) = self.inner.as_ref() else {
            return Err(error::raise(py, Failure::Panicked("the cluster is gone".to_owned())));
        };
        crossing::leave(py, || work(inner))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if !self.owner.is_current() {
            // The threads that would end it live in the parent only: joining them here would wait for ever.
            std::mem::forget(inner);
        }
    }
}

#[pymethods]
impl Cluster {
    /// Starts the nodes; returns when every node's Metadata shows every node.
    #[staticmethod]
    #[pyo3(signature = (*, nodes, racks, ports, host, data_dir, durability, transport, shards, config, first_node_id, name, read_gate))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are keywords, checked and gathered by the Python side"
    )]
    fn start(
        py: Python<'_>,
        nodes: usize,
        racks: Option<Vec<String>>,
        ports: Option<Vec<u16>>,
        host: String,
        data_dir: Option<PathBuf>,
        durability: &str,
        transport: &str,
        shards: usize,
        config: BTreeMap<String, String>,
        first_node_id: i32,
        name: Option<String>,
        read_gate: bool,
    ) -> PyResult<Cluster> {
        let durability = match durability {
            "os" => Durability::Os,
            _ => Durability::Fsync,
        };
        let transport = match transport {
            "tcp" => Transport::Tcp,
            _ => Transport::InProcess,
        };
        let options = ClusterOptions {
            nodes,
            racks,
            ports,
            host,
            data_dir,
            durability,
            transport,
            shards,
            config,
            first_node_id,
            name,
            read_gate,
            ..ClusterOptions::default()
        };
        let cluster = crossing::leave(py, move || chronik_node::Cluster::start(options))?;
        Ok(Cluster { owner: Owner::current(), inner: Some(cluster) })
    }

    /// Stops all nodes; twice is fine.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, chronik_node::Cluster::stop)
    }

    /// Tells all nodes to end and does not wait for it: for finalisers.
    fn stop_in_background(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, |cluster| {
            cluster.stop_in_background();
            Ok(())
        })
    }

    /// The cluster's name.
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py, |cluster| Ok(cluster.name().to_owned()))
    }

    /// What was accepted at the start and has no effect.
    fn warnings(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.call(py, |cluster| Ok(cluster.warnings().to_vec()))
    }

    /// The addresses of all nodes, comma-separated.
    fn bootstrap_servers(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py, |cluster| Ok(cluster.bootstrap_servers()))
    }

    /// The ids of all nodes.
    fn node_ids(&self, py: Python<'_>) -> PyResult<Vec<i32>> {
        self.call(py, |cluster| Ok(cluster.node_ids().into_iter().map(|node| node.0).collect()))
    }

    /// Id, rack, host, port, pinned port, whether it runs, and whether it votes.
    fn node(&self, py: Python<'_>, id: i32) -> PyResult<PlainNode> {
        let node = self.call(py, |cluster| cluster.node(NodeId(id)))?;
        Ok((node.id.0, node.rack, node.host, node.port, node.pinned_port, node.running, node.votes))
    }

    /// Topic, partition and leader, as the cluster knows them now; does not wait.
    fn leaders(&self, py: Python<'_>) -> PyResult<Vec<(String, i32, Option<i32>)>> {
        let leaders = self.call(py, |cluster| Ok(cluster.leaders()))?;
        let plain =
            |known: PartitionLeader| (known.topic, known.partition.0, known.leader.map(|node| node.0));
        Ok(leaders.into_iter().map(plain).collect())
    }

    /// The leader's node id; waits for one, bounded.
    fn leader(&self, py: Python<'_>, topic: &str, partition: i32) -> PyResult<i32> {
        self.call(py, |cluster| cluster.leader(topic, partition)).map(|node| node.0)
    }

    /// The ids of the other replicas' nodes.
    fn followers(&self, py: Python<'_>, topic: &str, partition: i32) -> PyResult<Vec<i32>> {
        let nodes = self.call(py, |cluster| cluster.followers(topic, partition))?;
        Ok(nodes.into_iter().map(|node| node.0).collect())
    }

    /// The node that leads the metadata group; waits for one, bounded.
    fn controller(&self, py: Python<'_>) -> PyResult<i32> {
        self.call(py, chronik_node::Cluster::controller).map(|node| node.0)
    }

    /// Creates a topic; returns when every node knows every leader.
    #[pyo3(signature = (name, partitions, replication_factor, config))]
    fn create_topic(
        &self,
        py: Python<'_>,
        name: &str,
        partitions: i32,
        replication_factor: Option<i16>,
        config: BTreeMap<String, String>,
    ) -> PyResult<()> {
        self.call(py, |cluster| cluster.create_topic(name, Some(partitions), replication_factor, &config))
    }

    /// Deletes a topic; returns when no node shows it.
    fn delete_topic(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.call(py, |cluster| cluster.delete_topic(name))
    }

    /// Takes the state of all nodes.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        self.call(py, chronik_node::Cluster::snapshot).map(Snapshot)
    }

    /// Puts a state back that this cluster had.
    fn restore(&self, py: Python<'_>, snapshot: &Snapshot) -> PyResult<()> {
        let snapshot = &snapshot.0;
        self.call(py, |cluster| cluster.restore(snapshot))
    }

    /// Puts the state back that the cluster had when it had started.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, chronik_node::Cluster::reset)
    }

    /// Puts the broker clock forward.
    fn advance(&self, py: Python<'_>, by_ms: i64) -> PyResult<()> {
        self.call(py, |cluster| cluster.advance(by_ms))
    }

    /// Counts, delays or refuses requests of clients from now on.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are keywords, checked and gathered by the Python side"
    )]
    fn intercept(
        &self,
        py: Python<'_>,
        api: String,
        topic: Option<String>,
        node: Option<i32>,
        error: Option<String>,
        delay_ms: u64,
        times: Option<u64>,
    ) -> PyResult<Interception> {
        let wanted = Intercept { api, topic, node: node.map(NodeId), error, delay_ms, times };
        self.call(py, |cluster| cluster.intercept(&wanted)).map(Interception)
    }

    /// Moves leadership and waits until it is confirmed.
    fn transfer_leader(&self, py: Python<'_>, topic: &str, partition: i32, to: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.transfer_leader(topic, partition, NodeId(to)))
    }

    /// Cuts the link between two nodes, or only from a to b.
    fn cut(&self, py: Python<'_>, a: i32, b: i32, one_way: bool) -> PyResult<()> {
        self.call(py, |cluster| cluster.cut(NodeId(a), NodeId(b), one_way))
    }

    /// Cuts all links of a node.
    fn isolate(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.isolate(NodeId(node)))
    }

    /// Delays what passes between two nodes.
    fn delay(&self, py: Python<'_>, a: i32, b: i32, ms: u64) -> PyResult<()> {
        self.call(py, |cluster| cluster.delay(NodeId(a), NodeId(b), ms))
    }

    /// Loses a share of the messages between two nodes.
    fn drop_ratio(&self, py: Python<'_>, a: i32, b: i32, ratio: f64) -> PyResult<()> {
        self.call(py, |cluster| cluster.drop_ratio(NodeId(a), NodeId(b), ratio))
    }

    /// Heals all links.
    fn recover(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, chronik_node::Cluster::recover)
    }

    /// All nodes lose their unsynced bytes and start again.
    fn power_cut(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, chronik_node::Cluster::power_cut)
    }

    /// A new node joins; its id.
    fn add_node(&self, py: Python<'_>, rack: Option<String>, port: Option<u16>) -> PyResult<i32> {
        let newcomer = NewNode { rack, port };
        self.call(py, |cluster| cluster.add_node(&newcomer)).map(|node| node.0)
    }

    /// A node leaves for good, its replicas first.
    fn remove_node(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.remove_node(NodeId(node)))
    }

    /// The disk a node runs on takes the place of the one it lost.
    fn readmit(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.readmit(NodeId(node)))
    }

    /// Stops a node as `kill -9` would, unsynced bytes kept by the system.
    fn kill(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.kill(NodeId(node)))
    }

    /// Stops a node and drops, tears or keeps its unsynced bytes.
    fn crash(&self, py: Python<'_>, node: i32, unsynced: &str) -> PyResult<()> {
        let unsynced = match unsynced {
            "torn" => Unsynced::Torn,
            "keep" => Unsynced::Keep,
            _ => Unsynced::Drop,
        };
        self.call(py, |cluster| cluster.crash(NodeId(node), unsynced))
    }

    /// Takes a node's disk away, and stops the node if it runs.
    fn wipe(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.wipe(NodeId(node)))
    }

    /// Starts a stopped node again on its address.
    fn restart(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.restart(NodeId(node)))
    }

    /// Pauses a node; its sockets stay open.
    fn freeze(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.freeze(NodeId(node)))
    }

    /// Lets a frozen node go on.
    fn thaw(&self, py: Python<'_>, node: i32) -> PyResult<()> {
        self.call(py, |cluster| cluster.thaw(NodeId(node)))
    }

    /// The node's counters.
    fn node_stats(&self, py: Python<'_>, node: i32) -> PyResult<BTreeMap<String, u64>> {
        self.call(py, |cluster| cluster.node_stats(NodeId(node)))
    }

    /// Milliseconds since the epoch, level, target and text of the node's newest log lines.
    fn node_logs(&self, py: Python<'_>, node: i32) -> PyResult<Vec<(i64, String, String, String)>> {
        let lines = self.call(py, |cluster| cluster.node_logs(NodeId(node)))?;
        let plain = |line: chronik_node::LogLine| {
            (line.at_ms, line.level.to_string(), line.target.to_owned(), line.message)
        };
        Ok(lines.into_iter().map(plain).collect())
    }
}
