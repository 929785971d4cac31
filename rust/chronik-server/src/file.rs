//! The TOML file, flattened: which keys it sets, to what text, in which line.
//!
//! Knows the three shapes (flat, under `[cluster]`, with `[bind]` and `[advertise]`) only as names of keys: the part
//! `cluster.` is dropped, so that they mix freely. What a value means is decided where all sources come together.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::findings::Findings;
use crate::nearest::nearest;

/// Keys with a meaning, tables written with dots.
const KEYS: &[&str] = &[
    "enabled",
    "node_id",
    "join",
    "replication_factor",
    "min_insync_replicas",
    "rack",
    "data_dir",
    "durability",
    "segment_size",
    "shards",
    "kafka_port",
    "pinned_port",
    "fetch_from_followers",
    "fetch_follower_max_wait_ms",
    "log",
    "bind.kafka",
    "bind.raft",
    "advertise.kafka",
];
/// Those that may be a list as well.
const LIST_KEYS: &[&str] = &["join"];
/// Keys of older files that are read and mean nothing here.
const IGNORED_KEYS: &[&str] =
    &["bind.wal", "bind.metrics", "bind.admin", "bind.search", "advertise.wal", "advertise.raft"];
/// Keys of a `[[peers]]` table.
const PEER_KEYS: &[&str] = &["id", "addr", "raft_port", "kafka", "raft", "wal"];

/// A value as the user wrote it, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The value without quotes.
    pub(crate) text: String,
    /// File and line.
    pub(crate) place: String,
}

/// One `[[peers]]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PeerTable {
    /// File and line of its head.
    pub(crate) place: String,
    /// Its known keys.
    pub(crate) values: BTreeMap<&'static str, Written>,
}

/// A file's known keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Single values by their key.
    pub(crate) values: BTreeMap<&'static str, Written>,
    /// The members of the cluster.
    pub(crate) peers: Vec<PeerTable>,
    /// `[config]`: Kafka broker configuration by its Kafka names.
    pub(crate) kafka_config: BTreeMap<String, Written>,
}

impl ConfigFile {
    /// Reads `text`, which users know as `name`. Syntax errors and repeated keys are mistakes, unknown keys warnings.
    pub(crate) fn read(name: &str, text: &str, findings: &mut Findings) -> ConfigFile {
        let (table, errors) = DeTable::parse_recoverable(text);
        let reader = Reader { name, text };
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            findings.mistake(reader.place(at), format!("not valid TOML: {}", first_line(error.message())));
        }
        let mut file = ConfigFile::default();
        if errors.is_empty() {
            reader.table("", table.get_ref(), &mut file, findings);
        }
        file
    }
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        format!("{}:{}", self.name, before.matches('\n').count() + 1)
    }

    fn table(&self, prefix: &str, table: &DeTable<'_>, file: &mut ConfigFile, findings: &mut Findings) {
        for (key, value) in table {
            let full = format!("{prefix}{}", key.get_ref());
            // The file is one level deep apart from `[config]`; deeper tables end as unknown keys.
            let place = self.place(key.span().start);
            match value.get_ref() {
                _ if full == "gossip" => {}
                DeValue::Table(inner) if full == "cluster" => self.table("", inner, file, findings),
                DeValue::Table(inner) if full == "config" => self.kafka_config("", inner, file, findings),
                DeValue::Table(inner) if full == "bind" || full == "advertise" => {
                    self.table(&format!("{full}."), inner, file, findings);
                }
                DeValue::Array(peers) if full == "peers" => {
                    if !file.peers.is_empty() {
                        findings.mistake(&place, "peers are listed twice; keep one of the lists");
                    }
                    for peer in peers.iter() {
                        self.peer(peer, file, findings);
                    }
                }
                _ if full == "peers" => {
                    findings.mistake(place, "peers must be [[peers]] tables, one per node");
                }
                written => self.value(full, place, written, file, findings),
            }
        }
    }

    fn value(
        &self,
        key: String,
        place: String,
        value: &DeValue<'_>,
        file: &mut ConfigFile,
        findings: &mut Findings,
    ) {
        let Some(known) = KEYS.iter().find(|known| **known == key) else {
            if !IGNORED_KEYS.contains(&key.as_str()) {
                let all = KEYS.iter().copied().chain(["peers", "cluster", "config", "bind", "advertise"]);
                findings.warn(place, unknown(&key, nearest(&key, all)));
            }
            return;
        };
        let text = scalar(value).or_else(|| LIST_KEYS.contains(known).then(|| list(value)).flatten());
        match text {
            Some(text) => {
                let earlier = file.values.insert(known, Written { text, place: place.clone() });
                if let Some(earlier) = earlier {
                    findings.mistake(place, format!("{key} is already set at {}; keep one", earlier.place));
                }
            }
            None => findings.mistake(
                place,
                format!("{key} must be a single value, but here it is a TOML {}", value.type_str()),
            ),
        }
    }

    fn peer(&self, peer: &Spanned<DeValue<'_>>, file: &mut ConfigFile, findings: &mut Findings) {
        let place = self.place(peer.span().start);
        let Some(table) = peer.get_ref().as_table() else {
            findings.mistake(place, "a peer must be a table with id, addr and raft_port");
            return;
        };
        let mut read = PeerTable { place, values: BTreeMap::new() };
        for (key, value) in table {
            let place = self.place(key.span().start);
            let known = PEER_KEYS.iter().find(|known| **known == key.get_ref().as_ref());
            match (known, scalar(value.get_ref())) {
                (Some(known), Some(text)) => {
                    read.values.insert(known, Written { text, place });
                }
                (Some(known), None) => {
                    findings.mistake(place, format!("{known} of a peer must be a single value"));
                }
                (None, _) => {
                    findings.warn(
                        place,
                        unknown(key.get_ref(), nearest(key.get_ref(), PEER_KEYS.iter().copied())),
                    );
                }
            }
        }
        file.peers.push(read);
    }

    /// Kafka's names have dots, which TOML reads as tables unless the key is quoted: both spellings mean the same.
    fn kafka_config(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        file: &mut ConfigFile,
        findings: &mut Findings,
    ) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let place = self.place(key.span().start);
            if let DeValue::Table(inner) = value.get_ref() {
                self.kafka_config(&format!("{name}."), inner, file, findings);
                continue;
            }
            match scalar(value.get_ref()).or_else(|| list(value.get_ref())) {
                Some(text) => {
                    let earlier =
                        file.kafka_config.insert(name.clone(), Written { text, place: place.clone() });
                    if let Some(earlier) = earlier {
                        findings
                            .mistake(place, format!("{name} is already set at {}; keep one", earlier.place));
                    }
                }
                None => findings.mistake(place, format!("{name} must be a value or a list of values")),
            }
        }
    }
}

/// A single value as text.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        // A number too large for 64 bits stays as it is, to be refused with its own text by whoever parses it.
        DeValue::Integer(number) => Some(match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(parsed) => parsed.to_string(),
            Err(_) => number.as_str().to_owned(),
        }),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// A list as Kafka writes it: joined by commas.
fn list(value: &DeValue<'_>) -> Option<String> {
    let elements: Option<Vec<String>> =
        value.as_array()?.iter().map(|element| scalar(element.get_ref())).collect();
    elements.map(|elements| elements.join(","))
}

fn unknown(key: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("unknown key \"{key}\" is ignored; did you mean \"{nearest}\"?"),
        None => format!("unknown key \"{key}\" is ignored"),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (ConfigFile, Findings) {
        let mut findings = Findings::default();
        let file = ConfigFile::read("node.toml", text, &mut findings);
        (file, findings)
    }

    fn value<'a>(file: &'a ConfigFile, key: &str) -> (&'a str, &'a str) {
        let written = &file.values[key];
        (&written.text, &written.place)
    }

    #[test]
    fn flat_and_cluster_shapes_read_alike() {
        let flat = "node_id = 1\n[[peers]]\nid = 1\naddr = \"localhost:9092\"\nraft_port = 5001\n";
        let nested = "[cluster]\nnode_id = 1\n[[cluster.peers]]\nid = 1\naddr = \"localhost:9092\"\nraft_port = 5001\n";
        let ((flat, none), (nested, also_none)) = (read(flat), read(nested));
        assert_eq!((none, also_none), (Findings::default(), Findings::default()));
        assert_eq!(value(&flat, "node_id"), ("1", "node.toml:1"));
        assert_eq!(value(&nested, "node_id"), ("1", "node.toml:2"));
        for file in [&flat, &nested] {
            assert_eq!(file.peers[0].values["addr"].text, "localhost:9092");
            assert_eq!(file.peers[0].values["raft_port"].text, "5001");
        }
    }

    #[test]
    fn bind_and_advertise_read_with_dots_and_ignored_keys_stay_silent() {
        let (file, findings) = read(
            "data_dir = \"/var/lib/chronik\"\n[bind]\nkafka = \"0.0.0.0:9092\"\nwal = \"0.0.0.0:9291\"\n\
             [advertise]\nkafka = \"node1:9092\"\n[gossip]\nport = 7946\n",
        );
        assert_eq!(findings, Findings::default());
        assert_eq!(value(&file, "bind.kafka"), ("0.0.0.0:9092", "node.toml:3"));
        assert_eq!(value(&file, "advertise.kafka").0, "node1:9092");
    }

    #[test]
    fn kafka_names_may_be_quoted_or_dotted_and_lists_are_joined() {
        let (file, findings) = read(
            "[config]\n\"num.partitions\" = 3\nauto.create.topics.enable = false\n\"log.cleanup.policy\" = [\"delete\", \"compact\"]\n",
        );
        assert_eq!(findings, Findings::default());
        let texts: Vec<_> =
            file.kafka_config.iter().map(|(name, value)| (name.as_str(), value.text.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("auto.create.topics.enable", "false"),
                ("log.cleanup.policy", "delete,compact"),
                ("num.partitions", "3")
            ]
        );
    }

    #[test]
    fn unknown_keys_are_warnings_with_the_nearest_name() {
        let (_, findings) = read("nodeid = 1\n\n[[peers]]\nid = 1\nraftport = 5001\n[zebra]\nx = 1\n");
        let texts: Vec<String> = findings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "node.toml:1: unknown key \"nodeid\" is ignored; did you mean \"node_id\"?",
                "node.toml:5: unknown key \"raftport\" is ignored; did you mean \"raft_port\"?",
                "node.toml:6: unknown key \"zebra\" is ignored",
            ]
        );
        assert!(findings.mistakes.is_empty());
    }

    #[test]
    fn broken_toml_and_values_of_the_wrong_shape_are_mistakes_with_their_lines() {
        let (_, findings) = read("node_id = 1\ndata_dir = \n");
        assert_eq!(findings.mistakes[0].place, "node.toml:2");
        assert!(findings.mistakes[0].text.starts_with("not valid TOML: "), "{findings:?}");
        let (_, findings) = read("node_id = [1]\npeers = 3\n[cluster]\nrack = \"a\"\nenabled = { x = 1 }\n");
        let places: Vec<&str> = findings.mistakes.iter().map(|mistake| mistake.place.as_str()).collect();
        assert_eq!(places.len(), 3);
        for place in ["node.toml:1", "node.toml:2", "node.toml:5"] {
            assert!(places.contains(&place), "{place} in {places:?}");
        }
    }

    #[test]
    fn a_key_set_both_flat_and_under_cluster_is_a_mistake() {
        let (_, findings) = read("node_id = 1\n[cluster]\nnode_id = 2\n");
        assert_eq!(findings.mistakes.len(), 1);
        assert!(findings.mistakes[0].text.contains("node_id is already set at node.toml:"));
    }
}
