//! Where data lives, when it is safe, and how many threads serve it.

use std::fmt;
use std::path::PathBuf;

use crate::env;
use crate::findings::Findings;
use crate::layers::{Layers, Setting, Sourced, number};
use crate::size::parse_size;

use super::kafka_config::KafkaConfig;

/// Kafka's name for the segment size.
pub(crate) const KAFKA_SEGMENT_BYTES: &str = "log.segment.bytes";

const DATA_DIR: Setting =
    Setting { flag: Some("--data-dir"), variable: Some(env::DATA_DIR), key: Some("data_dir") };
const DURABILITY: Setting =
    Setting { flag: Some("--durability"), variable: Some(env::DURABILITY), key: Some("durability") };
const SEGMENT_SIZE: Setting =
    Setting { flag: None, variable: Some(env::WAL_ROTATION_SIZE), key: Some("segment_size") };
const SHARDS: Setting = Setting { flag: Some("--shards"), variable: Some(env::SHARDS), key: Some("shards") };

const DATA_DIR_DEFAULT: &str = "./data";
const SEGMENT_BYTES_DEFAULT: u64 = 250 << 20;
/// Below this, segments cost more than they hold.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Kafka's `log.segment.bytes` is a 32-bit number.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;
/// Most threads of one process.
const SHARDS_MAX: usize = 64;

/// When an acknowledged byte is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A quorum has synced it.
    Fsync,
    /// A quorum has handed it to its operating system.
    Os,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Fsync => "fsync",
            Durability::Os => "os",
        })
    }
}

/// The resolved part.
pub(super) struct Storage {
    pub(super) data_dir: Sourced<PathBuf>,
    pub(super) durability: Sourced<Durability>,
    pub(super) segment_bytes: Sourced<u64>,
    pub(super) shards: Sourced<usize>,
}

/// Resolves it; after a recorded mistake the default stands in. `member`: this node's id in a cluster.
pub(super) fn resolve(
    layers: &Layers<'_>,
    cores: usize,
    member: Option<i32>,
    kafka_config: &KafkaConfig,
    findings: &mut Findings,
) -> Storage {
    let data_dir = layers.value(DATA_DIR, findings, |text| match text {
        "" => Err("the data directory has no name; write a path"),
        text => Ok(PathBuf::from(text)),
    });
    let shards = layers.value(SHARDS, findings, number(1, SHARDS_MAX as u64));
    let cores = cores.clamp(1, SHARDS_MAX);
    Storage {
        data_dir: data_dir.unwrap_or_else(|| Sourced::default_value(default_data_dir(member))),
        durability: layers
            .value(DURABILITY, findings, durability)
            .unwrap_or(Sourced::default_value(Durability::Fsync)),
        segment_bytes: kafka_config
            .either(layers, SEGMENT_SIZE, KAFKA_SEGMENT_BYTES, findings, segment_bytes)
            .unwrap_or(Sourced::default_value(SEGMENT_BYTES_DEFAULT)),
        shards: match shards {
            Some(shards) => Sourced { value: shards.value as usize, source: shards.source },
            None => Sourced::derived(cores, "default, one per core"),
        },
    }
}

/// Members of one cluster are often tried out in one directory, and each needs files of its own.
fn default_data_dir(member: Option<i32>) -> PathBuf {
    let directory = PathBuf::from(DATA_DIR_DEFAULT);
    match member {
        Some(id) => directory.join(format!("node-{id}")),
        None => directory,
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text.to_ascii_lowercase().as_str() {
        "fsync" => Ok(Durability::Fsync),
        "os" => Ok(Durability::Os),
        _ => Err(format!("\"{text}\" is no durability; write fsync or os")),
    }
}

fn segment_bytes(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    if (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("a segment size of {text} is out of range; use 64KB to 2047MB"))
}
