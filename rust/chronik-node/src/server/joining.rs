//! What has to be known of the cluster before a node can start: the nodes it was founded with, and where to begin.
//!
//! A node that was there before has the list on its disk. One that joins asks the nodes it was told of until one answers.
//! Anyone else founds the cluster together with its configured peers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use chronik_log::{Disk, Members, NodeIdentity};
use chronik_wire::types::{DirectoryId, NodeId};

use super::{HostPort, NodeOptions, addresses_of};
use crate::cluster::ClusterError;
use crate::limits;
use crate::peers::tcp::questions::{self, Answer, Question};
use crate::peers::tcp::{ANYBODY, Hello, key_of};
use crate::random::os_random_u64;

/// Whom a node begins with.
pub(super) struct Company {
    /// The nodes that the cluster was, or is to be, founded with, in order.
    pub(super) founders: Vec<NodeId>,
    /// Nodes of a running cluster and where they are called.
    pub(super) contacts: BTreeMap<NodeId, String>,
}

/// Finds out whom this node begins with. A disk that is new gets its id here, and one that joins a cluster is told of the
/// disks the cluster was founded with: it can never found another one.
pub(super) fn find_company(
    options: &NodeOptions,
    disk: &Arc<dyn Disk>,
    own_address: Option<&HostPort>,
) -> Result<Company, ClusterError> {
    let node = options.node;
    let unusable =
        |error: chronik_log::LogError| ClusterError::NodeStart { node, problem: error.to_string() };
    let fresh = DirectoryId((u128::from(os_random_u64()) << 64) | u128::from(os_random_u64()));
    let mut identity = NodeIdentity::open(Arc::clone(disk), fresh).map_err(unusable)?;
    if !identity.members().is_empty() {
        let founders = identity.members().keys().copied().collect();
        return Ok(Company { founders, contacts: addresses_of(&options.peers) });
    }
    if options.join.is_empty() {
        let founders: BTreeSet<NodeId> = options.peers.keys().copied().chain([node]).collect();
        return Ok(Company { founders: founders.into_iter().collect(), contacts: BTreeMap::new() });
    }
    let own_address = own_address.map_or_else(String::new, HostPort::to_string);
    let (founders, contacts) = look_for_cluster(options, own_address)?;
    identity.set_members(founders.clone()).map_err(unusable)?;
    Ok(Company { founders: founders.into_keys().collect(), contacts })
}

/// Removes `node` from the cluster whose peer listeners are at `addresses`. Returns when nobody counts on it any more;
/// its process, if it runs, is told to end.
///
/// # Errors
/// The cluster refuses, or none of its nodes answers.
pub fn remove_node(node: NodeId, addresses: &[HostPort], cluster_name: &str) -> Result<(), ClusterError> {
    let problem = |problem: String| ClusterError::Removal { node, problem };
    let runtime = runtime()?;
    let asker = |question_for: NodeId| hello(question_for, cluster_name, String::new());
    let mut queue: Vec<String> = addresses.iter().map(HostPort::to_string).collect();
    let mut asked = BTreeSet::new();
    let mut last = "no address was given".to_owned();
    while let Some(address) = (!queue.is_empty()).then(|| queue.remove(0)) {
        if !asked.insert(address.clone()) || asked.len() > limits::JOIN_ADDRESSES_MAX {
            continue;
        }
        let welcome = runtime.block_on(questions::ask(&address, asker(ANYBODY), &Question::Join));
        match welcome {
            // The node that leaves knows the others.
            Ok((there, Answer::Welcome { nodes, .. })) if there == node => {
                last = format!("only node {node} itself answers, at {address}");
                queue.extend(nodes.into_values());
            }
            Ok((_, Answer::Welcome { .. })) => {
                let question = Question::Remove(node);
                match runtime.block_on(questions::ask(&address, asker(ANYBODY), &question)) {
                    Ok((_, Answer::Removed)) => return Ok(()),
                    Ok((_, Answer::No(reason))) => return Err(problem(reason)),
                    Ok((_, Answer::Welcome { .. })) => last = format!("{address} answers another question"),
                    Err(error) => last = format!("{address}: {error}"),
                }
            }
            Ok((_, Answer::No(reason))) => last = format!("{address}: {reason}"),
            Ok((_, Answer::Removed)) => last = format!("{address} answers another question"),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(problem(last))
}

/// Asks every address in turn until somebody says who belongs to the cluster.
fn look_for_cluster(
    options: &NodeOptions,
    own_address: String,
) -> Result<(Members, BTreeMap<NodeId, String>), ClusterError> {
    let runtime = runtime()?;
    let own = hello(options.node, &options.cluster_name, own_address);
    let begun = Instant::now();
    let mut last = String::new();
    loop {
        let before = std::mem::take(&mut last);
        for address in options.join.iter().map(HostPort::to_string) {
            match runtime.block_on(questions::ask(&address, own.clone(), &Question::Join)) {
                Ok((there, Answer::Welcome { founders, mut nodes })) => {
                    tracing::info!(node = options.node.0, %address, there = there.0, "joining a cluster");
                    nodes.insert(there, address);
                    nodes.remove(&options.node);
                    return Ok((founders, nodes));
                }
                Ok((_, Answer::No(reason))) => last = format!("{address}: {reason}"),
                Ok((_, Answer::Removed)) => last = format!("{address} answers another question"),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        if last != before {
            tracing::info!(node = options.node.0, "not taken in yet: {last}");
        }
        if begun.elapsed() >= limits::JOIN_TIMEOUT {
            let problem = format!("no cluster takes it in; {last}");
            return Err(ClusterError::NodeStart { node: options.node, problem });
        }
        runtime.block_on(async { tokio::time::sleep(limits::PEER_QUESTION_PAUSE).await });
    }
}

/// What somebody says of itself who is not a peer yet. Its start number is that of no life.
fn hello(from: NodeId, cluster_name: &str, address: String) -> Hello {
    Hello {
        cluster_key: key_of(cluster_name),
        cluster_id: 0,
        from,
        to: ANYBODY,
        incarnation: 0,
        address,
        removed: false,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, ClusterError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| ClusterError::System { what: "a timer", source })
}
