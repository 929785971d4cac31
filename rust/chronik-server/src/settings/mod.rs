//! The configuration, resolved: texts of flags, environment and file in, settings or mistakes out. No I/O.
//!
//! Every mistake is collected, so that a user sees all of them at once and before anything is bound. Each value keeps
//! where it came from, for the table that is printed at the start.

mod kafka_config;
mod listeners;
mod membership;
pub(crate) mod replication;
pub(crate) mod storage;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::address::HostPort;
use crate::env::{self, Effect};
use crate::file::ConfigFile;
use crate::findings::{Finding, Findings};
use crate::layers::{Layers, Setting, Sourced, number, switch};
use crate::logging;
use crate::nearest::nearest;

use kafka_config::KafkaConfig;
pub use listeners::Advertised;
pub use membership::Peer;
pub use storage::Durability;

/// Everything the resolution looks at.
pub struct Inputs<'a> {
    /// Flags by their names with dashes.
    pub flags: &'a BTreeMap<&'static str, String>,
    /// The whole environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The file: the name users know it by, and its text.
    pub file: Option<(&'a str, &'a str)>,
    /// Cores of this machine, for the default number of shards.
    pub cores: usize,
    /// Checks one Kafka broker key and its value.
    pub check_kafka_key: &'a CheckKafkaKey,
}

/// Checks a Kafka broker key and its value. `Ok`: warnings. `Err`: mistakes.
pub type CheckKafkaKey = dyn Fn(&str, &str) -> Result<Vec<String>, Vec<String>>;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This node.
    pub node_id: Sourced<i32>,
    /// The nodes that a cluster begins with, in order of their ids, this node included. Empty: a single node.
    pub peers: Vec<Peer>,
    /// Raft listeners of a running cluster that this node joins; empty for one that begins with its peers.
    pub join: Sourced<Vec<HostPort>>,
    /// Where the Kafka listener is bound.
    pub kafka: Sourced<HostPort>,
    /// What clients are told.
    pub advertised: Sourced<Advertised>,
    /// Port of the listener whose reads are all served by this node.
    pub pinned_port: Option<Sourced<u16>>,
    /// Where the Raft listener is bound; `None` for a single node that nobody gave one.
    pub raft: Option<Sourced<HostPort>>,
    /// Where the other nodes are told to call it.
    pub raft_advertised: Option<HostPort>,
    /// This node's rack.
    pub rack: Option<Sourced<String>>,
    /// Replicas of a new topic.
    pub replication_factor: Sourced<usize>,
    /// In-sync replicas that a produce with `acks=all` needs.
    pub min_insync_replicas: Sourced<usize>,
    /// Whether followers serve reads.
    pub fetch_from_followers: Sourced<bool>,
    /// Longest wait at the read gate, in milliseconds.
    pub gate_cap_ms: Sourced<u64>,
    /// Where the logs live.
    pub data_dir: Sourced<PathBuf>,
    /// When an acknowledged byte is on disk.
    pub durability: Sourced<Durability>,
    /// Segment size in bytes.
    pub segment_bytes: Sourced<u64>,
    /// Threads that serve partitions.
    pub shards: Sourced<usize>,
    /// Kafka broker configuration by its Kafka names, as `[config]` and `--set` give it.
    pub kafka_config: BTreeMap<String, Sourced<String>>,
    /// Filter of log lines.
    pub log_filter: Sourced<String>,
}

/// Longest wait at the read gate unless configured, in milliseconds.
const GATE_CAP_MS_DEFAULT: u64 = 5_000;
/// Longest wait at the read gate that can be configured: longer than any client waits for an answer.
const GATE_CAP_MS_MAX: u64 = 600_000;
/// Longest rack name.
const RACK_BYTES_MAX: usize = 249;

const FETCH_FROM_FOLLOWERS: Setting =
    Setting { flag: None, variable: Some(env::FETCH_FROM_FOLLOWERS), key: Some("fetch_from_followers") };
const GATE_CAP_MS: Setting = Setting {
    flag: None,
    variable: Some(env::FETCH_FOLLOWER_MAX_WAIT_MS),
    key: Some("fetch_follower_max_wait_ms"),
};
/// The same two by the names that `[config]` and other programs use.
const KAFKA_FETCH_FROM_FOLLOWERS: &str = "chronik.fetch.from.followers";
const KAFKA_GATE_CAP_MS: &str = "chronik.fetch.follower.max.wait.ms";
const RACK: Setting = Setting { flag: Some("--rack"), variable: Some(env::RACK), key: Some("rack") };
const LOG: Setting = Setting { flag: Some("--log"), variable: Some(env::RUST_LOG), key: Some("log") };

impl Settings {
    /// Resolves the inputs. The findings' mistakes are empty exactly if there are settings.
    pub fn resolve(inputs: &Inputs<'_>) -> (Option<Settings>, Findings) {
        let mut findings = Findings::default();
        let file = match inputs.file {
            Some((name, text)) => ConfigFile::read(name, text, &mut findings),
            None => ConfigFile::default(),
        };
        let layers = Layers { flags: inputs.flags, environment: inputs.environment, file };
        check_environment(inputs.environment, &mut findings);
        let settings = Settings::from_layers(&layers, inputs, &mut findings);
        let valid = findings.mistakes.is_empty();
        (settings.filter(|_| valid), findings)
    }

    /// `None` only after a mistake was recorded. Parts that do not depend on each other are all looked at regardless.
    fn from_layers(layers: &Layers<'_>, inputs: &Inputs<'_>, findings: &mut Findings) -> Option<Settings> {
        let kafka_config = KafkaConfig::read(layers, inputs.check_kafka_key, findings);
        let membership = membership::resolve(layers, findings);
        let listeners = membership.as_ref().and_then(|members| listeners::resolve(layers, members, findings));
        let replication = membership
            .as_ref()
            .and_then(|members| replication::resolve(layers, members.known_size(), &kafka_config, findings));
        let member = membership.as_ref().filter(|members| members.is_cluster());
        let member = member.map(|members| members.node_id.value);
        let storage = storage::resolve(layers, inputs.cores, member, &kafka_config, findings);
        let rack = layers.value(RACK, findings, rack);
        let fetch_from_followers =
            kafka_config.either(layers, FETCH_FROM_FOLLOWERS, KAFKA_FETCH_FROM_FOLLOWERS, findings, switch);
        let gate_cap_ms = kafka_config.either(layers, GATE_CAP_MS, KAFKA_GATE_CAP_MS, findings, |text| {
            number(1, GATE_CAP_MS_MAX)(text)
        });
        let log_filter = layers.value(LOG, findings, |text| {
            logging::parse_filter(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
        });
        let (membership, listeners, replication) = (membership?, listeners?, replication?);
        Some(Settings {
            node_id: membership.node_id,
            peers: membership.peers,
            join: membership.join,
            kafka: listeners.kafka,
            advertised: listeners.advertised,
            pinned_port: listeners.pinned_port,
            raft: listeners.raft,
            raft_advertised: listeners.raft_advertised,
            rack,
            replication_factor: replication.factor,
            min_insync_replicas: replication.min_insync,
            fetch_from_followers: fetch_from_followers.unwrap_or(Sourced::default_value(true)),
            gate_cap_ms: gate_cap_ms.unwrap_or(Sourced::default_value(GATE_CAP_MS_DEFAULT)),
            data_dir: storage.data_dir,
            durability: storage.durability,
            segment_bytes: storage.segment_bytes,
            shards: storage.shards,
            kafka_config: kafka_config.into_map(),
            log_filter: log_filter
                .unwrap_or_else(|| Sourced::default_value(logging::DEFAULT_FILTER.to_owned())),
        })
    }
}

/// The file's path: `--config` before `CHRONIK_CLUSTER_CONFIG`.
pub fn config_path(
    flags: &BTreeMap<&'static str, String>,
    environment: &BTreeMap<String, String>,
) -> Option<Sourced<PathBuf>> {
    let from = Setting { flag: Some("--config"), variable: Some(env::CLUSTER_CONFIG), key: None };
    let path = Layers { flags, environment, file: ConfigFile::default() }.text(from)?;
    Some(Sourced { value: PathBuf::from(path.value), source: path.source })
}

/// Variables without effect give a note, unknown ones of our name space a warning.
fn check_environment(environment: &BTreeMap<String, String>, findings: &mut Findings) {
    for name in environment.keys().filter(|name| name.starts_with("CHRONIK_")) {
        let reason = match env::find(name) {
            Some(variable) => match variable.effect {
                Effect::Used => continue,
                Effect::None(reason) => Some(reason),
            },
            None => {
                let prefixed = env::NO_EFFECT_PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
                prefixed.map(|(_, reason)| *reason)
            }
        };
        match reason {
            Some(reason) => findings.note(name, format!("no effect: {reason}")),
            None => {
                let text = match nearest(name, env::ALL.iter().map(|variable| variable.name)) {
                    Some(known) => format!("unknown variable is ignored; did you mean {known}?"),
                    None => "unknown variable is ignored".to_owned(),
                };
                findings.warn(name, text);
            }
        }
    }
}

fn rack(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > RACK_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("\"{text}\" is not a rack name; use 1 to {RACK_BYTES_MAX} printable characters"));
    }
    Ok(text.to_owned())
}

/// The findings' mistakes as one text, a line each.
pub fn mistake_lines(mistakes: &[Finding]) -> String {
    mistakes.iter().map(|mistake| format!("{mistake}\n")).collect()
}

#[cfg(test)]
mod tests;
