//! The configuration of a server: file, environment and flags. Whatever users write, they get settings or a list of
//! mistakes, each with its place.

use std::collections::BTreeMap;

use chronik_node::config_catalogue;
use chronik_server::env;
use chronik_server::settings::{Inputs, Settings, mistake_lines};
use chronik_server::table::table;

use crate::Verdict;

const FLAGS: &[&str] = &[
    "--config",
    "--node-id",
    "--bind",
    "--kafka-port",
    "--advertise",
    "--raft-addr",
    "--pinned-port",
    "--rack",
    "--data-dir",
    "--durability",
    "--shards",
    "--log",
    "--set",
];

/// What parts the file, the environment and the flags in an input.
const PART: &str = "\n----\n";

/// The input is text: the file, then `NAME=value` lines of the environment, then `--flag=value` lines.
pub fn run(data: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split(PART);
    let file = parts.next().unwrap_or_default();
    let environment: BTreeMap<String, String> = pairs(parts.next().unwrap_or_default()).collect();
    let flags: BTreeMap<&'static str, String> = pairs(parts.next().unwrap_or_default())
        .filter_map(|(name, value)| Some((*FLAGS.iter().find(|flag| **flag == name)?, value)))
        .collect();
    let inputs = Inputs {
        flags: &flags,
        environment: &environment,
        file: Some(("node.toml", file)),
        cores: 4,
        check_kafka_key: &check_kafka_key,
    };
    let (settings, findings) = Settings::resolve(&inputs);
    assert_eq!(settings.is_some(), findings.mistakes.is_empty(), "settings or mistakes: {findings:?}");
    let mistakes = mistake_lines(&findings.mistakes);
    for finding in findings.mistakes.iter().chain(&findings.warnings).chain(&findings.notes) {
        assert!(!finding.to_string().is_empty());
    }
    let Some(settings) = settings else {
        assert!(!mistakes.is_empty());
        return Verdict::Refused;
    };
    assert_eq!(Settings::resolve(&inputs).0.as_ref(), Some(&settings), "the same inputs give other settings");
    assert!(table(&settings).lines().count() > 10);
    assert!((1..=settings.peers.len().max(1)).contains(&settings.replication_factor.value));
    assert!((1..=settings.replication_factor.value).contains(&settings.min_insync_replicas.value));
    assert!(settings.peers.is_empty() || settings.peers.iter().any(|peer| peer.id == settings.node_id.value));
    Verdict::Accepted
}

fn pairs(lines: &str) -> impl Iterator<Item = (String, String)> {
    lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn check_kafka_key(name: &str, value: &str) -> Result<Vec<String>, Vec<String>> {
    let config = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    config_catalogue::check_broker_config(&config).map(|(_, warnings)| warnings)
}

/// The shapes of the file, every variable, every flag, and every Kafka name with its default.
pub fn seeds() -> Vec<Vec<u8>> {
    let cluster = "node_id = 1\ndata_dir = \"/d\"\n[bind]\nkafka = \"0.0.0.0:9092\"\n[advertise]\nkafka = \"a:9092\"\n\
                   [[peers]]\nid = 1\naddr = \"a:9092\"\nraft_port = 5001\n\
                   [[peers]]\nid = 2\nkafka = \"b:9092\"\nraft = \"b:5001\"\n";
    let nested = "[cluster]\nenabled = false\nnode_id = 0x7\nrack = 'r'\nsegment_size = \"1GB\"\n\
                  [config]\nlog.retention.ms = 5\n\"num.partitions\" = \"3\"\n";
    let variables: String = env::ALL.iter().map(|variable| format!("{}=1\n", variable.name)).collect();
    let peers =
        "CHRONIK_CLUSTER_PEERS=a:9092:5001,b:9093:5002\nCHRONIK_NODE_ID=2\nCHRONIK_RAFT_PEERS=1@a:6001\n";
    let flags: String = FLAGS.iter().map(|flag| format!("{flag}=1\n")).collect();
    let good_flags =
        "--node-id=1\n--bind=127.0.0.1:0\n--durability=os\n--log=info,raft=warn\n--set=num.partitions=3\n";
    let defaults = config_catalogue::broker_keys().iter();
    let defaults: String =
        defaults.map(|key| format!("\"{}\" = \"{}\"\n", key.name, key.default.unwrap_or_default())).collect();
    [
        cluster.to_owned(),
        nested.to_owned(),
        format!("{PART}{variables}"),
        format!("{PART}{peers}"),
        format!("{PART}{PART}{flags}"),
        format!("{PART}{PART}{good_flags}"),
        format!("[config]\n{defaults}"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}
