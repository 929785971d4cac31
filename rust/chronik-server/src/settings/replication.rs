//! Replicas of new topics, and how many of them an acknowledged produce needs.
//!
//! The file is written for one cluster, so a number there that exceeds the nodes is a mistake. The environment is often
//! shared by clusters of different sizes, so there it is capped with a warning. Kafka's own names for the two numbers
//! may stand in `[config]` instead.

use crate::env;
use crate::findings::Findings;
use crate::layers::{Layers, Setting, Source, Sourced, number};

use super::kafka_config::KafkaConfig;

const REPLICATION_FACTOR: Setting =
    Setting { flag: None, variable: Some(env::REPLICATION_FACTOR), key: Some("replication_factor") };
const MIN_INSYNC_REPLICAS: Setting =
    Setting { flag: None, variable: Some(env::MIN_INSYNC_REPLICAS), key: Some("min_insync_replicas") };

/// Kafka's name for the first number.
pub(crate) const KAFKA_REPLICATION_FACTOR: &str = "default.replication.factor";
/// Kafka's name for the second number.
pub(crate) const KAFKA_MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

const REPLICATION_FACTOR_DEFAULT: usize = 3;
const MIN_INSYNC_REPLICAS_DEFAULT: usize = 2;

/// The resolved numbers.
pub(super) struct Replication {
    pub(super) factor: Sourced<usize>,
    pub(super) min_insync: Sourced<usize>,
}

/// Resolves both for a cluster of `nodes`. `None` only after a mistake was recorded.
pub(super) fn resolve(
    layers: &Layers<'_>,
    nodes: usize,
    kafka_config: &KafkaConfig,
    findings: &mut Findings,
) -> Option<Replication> {
    let mistakes_before = findings.mistakes.len();
    let parse = |text: &str| number(1, i16::MAX as u64)(text).map(|number| number as usize);
    let factor = kafka_config.either(layers, REPLICATION_FACTOR, KAFKA_REPLICATION_FACTOR, findings, parse);
    let min_insync =
        kafka_config.either(layers, MIN_INSYNC_REPLICAS, KAFKA_MIN_INSYNC_REPLICAS, findings, parse);
    if findings.mistakes.len() > mistakes_before {
        return None;
    }
    let factor = fit(factor, REPLICATION_FACTOR_DEFAULT, nodes, "replication factor", "nodes", findings);
    // Measured against the factor in force: a capped factor must not leave topics that nobody can produce to.
    let min_insync = fit(
        min_insync,
        MIN_INSYNC_REPLICAS_DEFAULT,
        factor.value,
        "number of in-sync replicas",
        "replicas",
        findings,
    );
    (findings.mistakes.len() == mistakes_before).then_some(Replication { factor, min_insync })
}

fn fit(
    wanted: Option<Sourced<usize>>,
    default: usize,
    most: usize,
    what: &str,
    of: &str,
    findings: &mut Findings,
) -> Sourced<usize> {
    match wanted {
        None if default > most => Sourced::derived(most, format!("default, as there are {most} {of}")),
        None => Sourced::default_value(default),
        Some(wanted) if wanted.value <= most => wanted,
        Some(wanted) => {
            let text = format!("a {what} of {} needs as many {of}, and there are {most}", wanted.value);
            match &wanted.source {
                Source::Environment(name) => {
                    findings.warn(*name, format!("{text}; {most} is used"));
                    Sourced::derived(most, format!("{name}, capped"))
                }
                source => {
                    findings.mistake(source.to_string(), text);
                    wanted
                }
            }
        }
    }
}
