//! Starting a cluster in the process, and creating topics in it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Settings;
use crate::client::Client;
use crate::cluster::{ClusterArgs, Peers, Storage, failed};
use crate::error::BenchError;
use crate::latencies::Latencies;
use crate::machine::CpuClock;
use crate::report::{Row, Verdict};
use crate::topics;

const STARTS_PER_ROUND: usize = 20;
const TOPICS_PER_ROUND: usize = 40;
const START_P50_MS: f64 = 10.0;
const START_P99_MS: f64 = 30.0;
const CREATE_P50_MS: f64 = 2.0;
const NODES: usize = 3;

const CLUSTER: ClusterArgs = ClusterArgs {
    nodes: NODES,
    storage: Storage::Memory,
    data_dir: None,
    transport: Peers::Inproc,
    shards: 1,
};

/// The rows.
pub fn run(settings: &Settings) -> Result<Vec<Row>, BenchError> {
    let clock = CpuClock::read(None);
    let (mut starts, mut stops) = (Latencies::new(), Latencies::new());
    for _ in 0..STARTS_PER_ROUND * settings.rounds {
        let begin = Instant::now();
        let cluster = CLUSTER.start()?;
        starts.record(begin.elapsed());
        every_node_shows_all(&cluster.bootstrap_servers())?;
        let begin = Instant::now();
        cluster.stop().map_err(failed("stopping a cluster"))?;
        stops.record(begin.elapsed());
    }
    let creates = creations(TOPICS_PER_ROUND * settings.rounds)?;
    // Cluster and generator share the process here, so only foreign load marks the rows.
    let marks: Vec<&'static str> = clock.used().marks().into_iter().filter(|mark| *mark == "busy").collect();
    let row = |what: &str, value_us: f64, target_ms: Option<f64>| Row {
        target: target_ms.map_or_else(String::new, |target| format!("≤ {target} ms")),
        verdict: target_ms.map_or(Verdict::None, |target| Verdict::of(value_us <= target * 1e3)),
        marks: marks.clone(),
        ..Row::plain(what, format!("{:.2} ms", value_us / 1e3))
    };
    Ok(vec![
        row("Cluster(3) start, all nodes in every Metadata, p50", starts.p50_us(), Some(START_P50_MS)),
        row("Cluster(3) start, all nodes in every Metadata, p99", starts.p99_us(), Some(START_P99_MS)),
        row("Cluster(3) stop, p50", stops.p50_us(), None),
        row("create a topic, RF 3, usable at every node, p50", creates.p50_us(), Some(CREATE_P50_MS)),
        row("create a topic, RF 3, usable at every node, p99", creates.p99_us(), None),
    ])
}

/// A start that returned too early is not fast but wrong.
fn every_node_shows_all(bootstrap: &str) -> Result<(), BenchError> {
    for address in bootstrap.split(',') {
        let shown = topics::broker_count(&mut Client::connect(address)?)?;
        if shown != NODES {
            return Err(BenchError::Unexpected(format!(
                "{address} shows {shown} of {NODES} nodes after start"
            )));
        }
    }
    Ok(())
}

/// Times topic creation, and checks at every node that the topic can be used when the call returns.
fn creations(count: usize) -> Result<Latencies, BenchError> {
    let cluster = CLUSTER.start()?;
    let bootstrap = cluster.bootstrap_servers();
    let connected: Result<Vec<Client>, BenchError> = bootstrap.split(',').map(Client::connect).collect();
    let mut clients = connected?;
    let mut latencies = Latencies::new();
    for number in 0..count {
        let name = format!("created-{number}");
        let begin = Instant::now();
        cluster
            .create_topic(&name, Some(1), Some(NODES as i16), &BTreeMap::new())
            .map_err(failed("creating a topic"))?;
        latencies.record(begin.elapsed());
        for client in &mut clients {
            if !topics::has_leaders(client, &name)? {
                return Err(BenchError::Unexpected(format!(
                    "topic {name} is not usable when its creation returns"
                )));
            }
        }
    }
    cluster.stop().map_err(failed("stopping a cluster"))?;
    Ok(latencies)
}
