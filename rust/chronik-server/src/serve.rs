//! The node's run: from valid settings to a running node, and from a signal to an orderly stop.

use std::io;
use std::time::Duration;

use chronik_node::{ClusterError, Durability, HostPort, NodeId, NodeOptions, NodeServer};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::address::{self, HostPort as Address};
use crate::settings::replication::{KAFKA_MIN_INSYNC_REPLICAS, KAFKA_REPLICATION_FACTOR};
use crate::settings::storage::KAFKA_SEGMENT_BYTES;
use crate::settings::{self, Settings};

/// How long a start may look for its peers before it says that it still does.
const READY_NOTICE: Duration = Duration::from_secs(10);

/// Why the program ended with a failure.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    /// The operating system gave no way to hear signals.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    /// The node did not start.
    #[error("the node did not start: {0}")]
    Start(#[source] ClusterError),
    /// The node is in its cluster still.
    #[error("{0}")]
    Remove(#[source] ClusterError),
    /// The node did not stop in order.
    #[error("the node did not stop in order: {0}")]
    Stop(#[source] ClusterError),
}

/// Starts the node, runs it until SIGTERM or SIGINT, and stops it in order: leadership is handed over, what was written
/// is synced.
pub(crate) fn run(settings: &Settings) -> Result<(), ServeError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Signals)?;
    // Heard from here on, so that a signal during the start is not lost and does not kill halfway.
    let mut signals = runtime.block_on(async { Signals::listen() }).map_err(ServeError::Signals)?;
    let node = NodeServer::start(options(settings)).map_err(ServeError::Start)?;
    let raft = node.raft_address().map_or_else(String::new, |raft| format!(", Raft on {raft}"));
    let pinned = node.pinned_address().map_or_else(String::new, |pinned| format!(", pinned on {pinned}"));
    tracing::info!("node {} listens: Kafka as {}{pinned}{raft}", node.node(), node.kafka_address());
    let name = runtime.block_on(async {
        let ended = async {
            tokio::select! {
                signal = signals.next() => signal,
                () = node.removed() => "removed from the cluster",
            }
        };
        tokio::pin!(ended);
        tokio::select! {
            name = &mut ended => return name,
            // Waiting blocks its thread, and the signal must be heard meanwhile.
            () = announce_ready(&node) => {}
        }
        ended.await
    });
    tracing::info!("{name}, stopping node {}", node.node());
    node.stop().map_err(ServeError::Stop)?;
    tracing::info!("node {} has stopped", node.node());
    Ok(())
}

/// Takes the node out of its cluster, by way of any other of its nodes. The node itself need not run.
pub(crate) fn remove(settings: &Settings) -> Result<(), ServeError> {
    let options = options(settings);
    let peers = options.peers.values();
    let addresses: Vec<HostPort> = options.join.iter().chain(peers).cloned().collect();
    tracing::info!("removing node {}; its replicas move to the other nodes", options.node);
    chronik_node::remove_node(options.node, &addresses, &options.cluster_name).map_err(ServeError::Remove)?;
    tracing::info!("node {} does not belong to the cluster any more; its files stay", options.node);
    Ok(())
}

/// Says when the node is part of a cluster with a controller, and now and then that it is not yet.
async fn announce_ready(node: &NodeServer) {
    let mut waited = Duration::ZERO;
    loop {
        if node.wait_ready(Duration::ZERO).unwrap_or(false) {
            tracing::info!("node {} is ready", node.node());
            return;
        }
        tokio::time::sleep(READY_POLL).await;
        waited += READY_POLL;
        if waited >= READY_NOTICE {
            waited = Duration::ZERO;
            tracing::info!("node {} still looks for enough of its peers", node.node());
        }
    }
}

/// How often a start asks whether it is done. Only the log line depends on it: clients are served meanwhile.
const READY_POLL: Duration = Duration::from_millis(50);

/// The signals that end the program.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM received",
            _ = self.interrupt.recv() => "SIGINT received",
        }
    }
}

/// What the node is told. What `[config]` also has a name for is in the settings already, checked against ours.
fn options(settings: &Settings) -> NodeOptions {
    let own = settings.node_id.value;
    let mut config: std::collections::BTreeMap<String, String> =
        settings.kafka_config.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect();
    config.insert(KAFKA_REPLICATION_FACTOR.to_owned(), settings.replication_factor.value.to_string());
    config.insert(KAFKA_MIN_INSYNC_REPLICAS.to_owned(), settings.min_insync_replicas.value.to_string());
    config.insert(KAFKA_SEGMENT_BYTES.to_owned(), settings.segment_bytes.value.to_string());
    let advertised = &settings.advertised.value;
    NodeOptions {
        kafka: host_port(&settings.kafka.value),
        advertised: Some(HostPort { host: advertised.host.clone(), port: advertised.port.unwrap_or(0) }),
        pinned_port: settings.pinned_port.as_ref().map(|port| port.value),
        raft: settings.raft.as_ref().map(|raft| host_port(&raft.value)),
        raft_advertised: settings.raft_advertised.as_ref().map(host_port),
        join: settings.join.value.iter().map(host_port).collect(),
        peers: settings
            .peers
            .iter()
            .filter(|peer| peer.id != own)
            .map(|peer| (NodeId(peer.id), host_port(&peer.raft)))
            .collect(),
        rack: settings.rack.as_ref().map(|rack| rack.value.clone()),
        data_dir: Some(settings.data_dir.value.clone()),
        durability: match settings.durability.value {
            settings::Durability::Fsync => Durability::Fsync,
            settings::Durability::Os => Durability::Os,
        },
        shards: Some(settings.shards.value),
        config,
        fetch_from_followers: settings.fetch_from_followers.value,
        gate_cap_ms: settings.gate_cap_ms.value,
        ..NodeOptions::new(NodeId(own))
    }
}

/// `localhost` means the same address to whoever listens and whoever calls.
fn host_port(address: &Address) -> HostPort {
    HostPort { host: address::listen_host(&address.host).to_owned(), port: address.port }
}
