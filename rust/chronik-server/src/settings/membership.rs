//! Who is in the cluster, and which member this node is.
//!
//! Members come from `[[peers]]` or `CHRONIK_CLUSTER_PEERS`, their Raft addresses possibly from `CHRONIK_RAFT_PEERS`.
//! Without any of them the node is alone. A node that joins a running cluster needs an id of its own and the addresses of
//! some nodes there; peers are then addresses like those, and it need not be among them.

use std::collections::BTreeMap;

use crate::address::{HostPort, split_parts};
use crate::env;
use crate::file::PeerTable;
use crate::findings::Findings;
use crate::layers::{Layers, Setting, Source, Sourced, port, switch};

/// Most members of one cluster: as many as a metadata group of voters can reasonably have.
const PEERS_MAX: usize = 64;
/// Id of a single node that nobody gave one.
const NODE_ID_DEFAULT: i32 = 1;

const NODE_ID: Setting =
    Setting { flag: Some("--node-id"), variable: Some(env::NODE_ID), key: Some("node_id") };
const ENABLED: Setting = Setting { flag: None, variable: Some(env::CLUSTER_ENABLED), key: Some("enabled") };
const CLUSTER_PEERS: Setting = Setting { flag: None, variable: Some(env::CLUSTER_PEERS), key: None };
const RAFT_PEERS: Setting = Setting { flag: None, variable: Some(env::RAFT_PEERS), key: None };
const JOIN: Setting = Setting { flag: Some("--join"), variable: Some(env::JOIN), key: Some("join") };
pub(super) const RAFT_ADDR: Setting =
    Setting { flag: Some("--raft-addr"), variable: Some(env::RAFT_ADDR), key: Some("bind.raft") };

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id, from 1.
    pub id: i32,
    /// Its Kafka address, if the configuration names it.
    pub kafka: Option<HostPort>,
    /// Where its Raft listener is reached.
    pub raft: HostPort,
    /// Where the configuration says so.
    pub source: Source,
}

/// The resolved membership.
pub(super) struct Membership {
    pub(super) node_id: Sourced<i32>,
    /// In order of ids; empty for a single node.
    pub(super) peers: Vec<Peer>,
    /// Where a running cluster is joined; empty unless it is.
    pub(super) join: Sourced<Vec<HostPort>>,
}

impl Membership {
    /// This node's own entry.
    pub(super) fn own(&self) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == self.node_id.value)
    }

    /// Whether there are other nodes, now or later.
    pub(super) fn is_cluster(&self) -> bool {
        !self.peers.is_empty() || !self.join.value.is_empty()
    }

    /// How many nodes there are, as far as the configuration tells. A running cluster may have any number.
    pub(super) fn known_size(&self) -> usize {
        if self.join.value.is_empty() { self.peers.len().max(1) } else { usize::MAX }
    }
}

/// Resolves members and node id. `None` only after a mistake was recorded.
pub(super) fn resolve(layers: &Layers<'_>, findings: &mut Findings) -> Option<Membership> {
    let mistakes_before = findings.mistakes.len();
    let enabled = layers.value(ENABLED, findings, switch);
    let node_id = layers.value(NODE_ID, findings, node_id);
    let join = layers.value(JOIN, findings, addresses).unwrap_or(Sourced::default_value(Vec::new()));
    let peers = match layers.text(CLUSTER_PEERS) {
        // The variable enables the cluster, whatever the file says; only the variable next to it may switch it off.
        Some(list) if !disabled_by_environment(&enabled) => peers_from_list(&list, findings),
        _ if enabled.as_ref().is_some_and(|enabled| !enabled.value) => Vec::new(),
        _ => layers.file.peers.iter().filter_map(|peer| peer_from_table(peer, findings)).collect(),
    };
    let raft_peers = match layers.text(RAFT_PEERS) {
        Some(list) if !disabled_by_environment(&enabled) => raft_peers(&list, findings),
        _ => BTreeMap::new(),
    };
    if findings.mistakes.len() > mistakes_before {
        return None;
    }
    let peers = with_raft_peers(peers, raft_peers, node_id.as_ref(), layers, findings);
    if let Some(enabled) =
        enabled.filter(|enabled| enabled.value && peers.is_empty() && join.value.is_empty())
    {
        findings.mistake(
            enabled.source.to_string(),
            "the cluster is enabled but has no peers; list them as [[peers]] or in CHRONIK_CLUSTER_PEERS",
        );
    }
    check_peers(&peers, findings);
    let node_id = own_id(node_id, &peers, &join.value, findings)?;
    (findings.mistakes.len() == mistakes_before).then_some(Membership { node_id, peers, join })
}

fn disabled_by_environment(enabled: &Option<Sourced<bool>>) -> bool {
    enabled.as_ref().is_some_and(|enabled| !enabled.value && matches!(enabled.source, Source::Environment(_)))
}

fn node_id(text: &str) -> Result<i32, String> {
    match text.parse::<i32>() {
        Ok(id) if id >= 0 => Ok(id),
        _ => Err(format!("\"{text}\" is not a node id; an id is a number from 0 to {}", i32::MAX)),
    }
}

/// `host:kafka:raft` or `host:kafka:wal:raft`, separated by commas; ids by order from 1.
fn peers_from_list(list: &Sourced<String>, findings: &mut Findings) -> Vec<Peer> {
    let place = list.source.to_string();
    let mut peers = Vec::new();
    for (element, id) in list.value.split(',').map(str::trim).zip(1..) {
        let parts = split_parts(element);
        let (host, kafka, raft) = match parts.as_slice() {
            [host, kafka, raft] | [host, kafka, _, raft] if !host.is_empty() => (*host, *kafka, *raft),
            _ => {
                findings.mistake(&place, format!("peer {id} is \"{element}\"; write host:kafka:raft"));
                continue;
            }
        };
        match (port(kafka), port(raft)) {
            (Ok(kafka), Ok(raft)) => peers.push(Peer {
                id,
                kafka: Some(HostPort { host: host.to_owned(), port: kafka }),
                raft: HostPort { host: host.to_owned(), port: raft },
                source: list.source.clone(),
            }),
            (kafka, raft) => {
                for error in [kafka.err(), raft.err()].into_iter().flatten() {
                    findings.mistake(&place, format!("peer {id}: {error}"));
                }
            }
        }
    }
    peers
}

/// A `[[peers]]` table: `addr` and `raft_port`, or `kafka` and `raft`.
fn peer_from_table(table: &PeerTable, findings: &mut Findings) -> Option<Peer> {
    let id = match table.values.get("id").map(|id| (id, node_id(&id.text))) {
        Some((_, Ok(id))) => Some(id),
        Some((id, Err(error))) => {
            findings.mistake(format!("{}: id", id.place), error);
            None
        }
        None => {
            findings.mistake(&table.place, "a peer has no id; give each peer its own, from 1");
            None
        }
    };
    let address = |key: &str, findings: &mut Findings| {
        let written = table.values.get(key)?;
        match HostPort::parse(&written.text) {
            Ok(address) => Some(address),
            Err(error) => {
                findings.mistake(format!("{}: {key}", written.place), error.to_string());
                None
            }
        }
    };
    let mistakes_before = findings.mistakes.len();
    let kafka = address("addr", findings).or_else(|| address("kafka", findings));
    let raft = match (table.values.get("raft_port"), &kafka) {
        (Some(written), kafka) => match (port(&written.text), kafka) {
            (Ok(port), Some(kafka)) => Some(HostPort { host: kafka.host.clone(), port }),
            (Ok(_), None) => None,
            (Err(error), _) => {
                findings.mistake(format!("{}: raft_port", written.place), error);
                None
            }
        },
        (None, _) => address("raft", findings),
    };
    // What is missing is said once, and not on top of what is malformed.
    if findings.mistakes.len() == mistakes_before {
        if kafka.is_none() {
            findings.mistake(&table.place, "a peer has no Kafka address; add addr = \"host:port\"");
        } else if raft.is_none() {
            findings.mistake(&table.place, "a peer has no Raft address; add raft_port = PORT");
        }
    }
    Some(Peer { id: id?, kafka: Some(kafka?), raft: raft?, source: Source::File(table.place.clone()) })
}

/// `2@host:port`, separated by commas.
fn raft_peers(list: &Sourced<String>, findings: &mut Findings) -> BTreeMap<i32, (HostPort, Source)> {
    let mut peers = BTreeMap::new();
    for element in list.value.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let parsed = match element.split_once('@') {
            Some((id, address)) => node_id(id).and_then(|id| {
                HostPort::parse(address).map(|address| (id, address)).map_err(|error| error.to_string())
            }),
            None => Err(format!("\"{element}\" is not a Raft peer; write id@host:port")),
        };
        match parsed {
            Ok((id, address)) => {
                if peers.insert(id, (address, list.source.clone())).is_some() {
                    findings.mistake(list.source.to_string(), format!("peer {id} is listed twice; keep one"));
                }
            }
            Err(error) => findings.mistake(list.source.to_string(), error),
        }
    }
    peers
}

/// Raft addresses by variable replace those of listed peers. With no peers listed they are the cluster, together with
/// this node.
fn with_raft_peers(
    mut peers: Vec<Peer>,
    raft_peers: BTreeMap<i32, (HostPort, Source)>,
    node_id: Option<&Sourced<i32>>,
    layers: &Layers<'_>,
    findings: &mut Findings,
) -> Vec<Peer> {
    if raft_peers.is_empty() {
        return peers;
    }
    if peers.is_empty() {
        for (id, (raft, source)) in raft_peers {
            peers.push(Peer { id, kafka: None, raft, source });
        }
        if let Some(own) = node_id.filter(|own| peers.iter().all(|peer| peer.id != own.value)) {
            let raft = layers.value(RAFT_ADDR, findings, HostPort::parse);
            let raft = raft.unwrap_or(Sourced::default_value(super::listeners::raft_default()));
            peers.push(Peer { id: own.value, kafka: None, raft: raft.value, source: raft.source });
        }
        return peers;
    }
    for (id, (raft, source)) in raft_peers {
        match peers.iter_mut().find(|peer| peer.id == id) {
            Some(peer) => peer.raft = raft,
            None => findings
                .mistake(source.to_string(), format!("peer {id} is not among the peers; list it there")),
        }
    }
    peers
}

/// Ids and addresses must be unique, and usable by others.
fn check_peers(peers: &[Peer], findings: &mut Findings) {
    if peers.len() > PEERS_MAX {
        findings
            .mistake("", format!("{} peers are too many; a cluster has at most {PEERS_MAX}", peers.len()));
    }
    let mut ids: BTreeMap<i32, &Peer> = BTreeMap::new();
    let mut addresses: BTreeMap<(String, u16), (i32, &str)> = BTreeMap::new();
    for peer in peers {
        let place = peer.source.to_string();
        if peer.id == 0 {
            findings.mistake(&place, "peer id 0 is not allowed in a cluster; number the peers from 1");
        }
        if ids.insert(peer.id, peer).is_some() {
            findings.mistake(&place, format!("peer id {} is used twice; give each peer its own", peer.id));
        }
        let listeners = [("Kafka", peer.kafka.as_ref()), ("Raft", Some(&peer.raft))];
        for (role, address) in listeners.into_iter().filter_map(|(role, address)| Some((role, address?))) {
            if address.port == 0 {
                findings
                    .mistake(&place, format!("{role} address {address} of peer {} needs a port", peer.id));
            } else if role == "Raft" && address.is_unspecified() && peers.len() > 1 && peer.kafka.is_some() {
                findings
                    .mistake(&place, format!("Raft address {address} of peer {} reaches nobody", peer.id));
            } else if let Some((id, earlier)) = addresses.insert(address.comparable(), (peer.id, role)) {
                findings.mistake(
                    &place,
                    format!(
                        "{address} is both the {earlier} address of peer {id} and the {role} address of peer {}; \
                         give each listener its own",
                        peer.id
                    ),
                );
            }
        }
    }
}

/// `host:port`, separated by commas.
fn addresses(text: &str) -> Result<Vec<HostPort>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let addresses: Vec<HostPort> =
        parts.map(HostPort::parse).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    match addresses.iter().find(|address| address.port == 0 || address.is_unspecified()) {
        Some(nobody) => Err(format!("{nobody} reaches nobody; name the Raft listener of a node")),
        None if addresses.is_empty() => Err("no address; name the Raft listener of a node".to_owned()),
        None if addresses.len() > PEERS_MAX => {
            Err(format!("{} addresses are too many; name up to {PEERS_MAX}", addresses.len()))
        }
        None => Ok(addresses),
    }
}

/// This node's id, which must be one of the peers', unless the node joins a cluster.
fn own_id(
    node_id: Option<Sourced<i32>>,
    peers: &[Peer],
    join: &[HostPort],
    findings: &mut Findings,
) -> Option<Sourced<i32>> {
    let Some(node_id) = node_id else {
        if peers.is_empty() && join.is_empty() {
            return Some(Sourced::default_value(NODE_ID_DEFAULT));
        }
        findings.mistake("", "this node has no id; set node_id in the file, CHRONIK_NODE_ID or --node-id");
        return None;
    };
    if !join.is_empty() && node_id.value == 0 {
        let text = "node id 0 is not allowed in a cluster; number the nodes from 1";
        findings.mistake(node_id.source.to_string(), text);
        return None;
    }
    if join.is_empty() && !peers.is_empty() && peers.iter().all(|peer| peer.id != node_id.value) {
        let ids: Vec<String> = peers.iter().map(|peer| peer.id.to_string()).collect();
        let text = format!("node id {} is not among the peers ({})", node_id.value, ids.join(", "));
        findings.mistake(node_id.source.to_string(), text);
        return None;
    }
    Some(node_id)
}
