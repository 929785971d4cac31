//! Finding out whether this node's disk is one of the cluster's, and letting its replicas vote once it is.
//!
//! Runs on shard 0, beside everything else: a node whose disk is new, or not among the cluster's, opens its replicas and
//! follows. What is agreed on, and why it is safe, is told in `founding`.

use std::sync::Arc;

use chronik_log::{Members, NodeIdentity};
use chronik_mutants::{Mutant, planted};
use chronik_replica::{Host, ReplicaError, Standing};
use chronik_wire::types::{DirectoryId, NodeId};

use crate::broker::Broker;
use crate::founding::Progress;
use crate::hosts::Hosts;
use crate::node_state::NodeState;
use crate::peer::NodeMessage;
use crate::world::until;

/// The start number in a statement that nobody asked for.
const UNASKED: u64 = 0;

/// Looks at the node's disk, which gets the id `fresh` if it is new, and sets the standing of the node's replicas on
/// all its shards accordingly. Runs on shard 0 before the first replica is opened.
pub(crate) fn open(node: &NodeState, hosts: &Hosts, fresh: DirectoryId) -> Result<(), ReplicaError> {
    let disk = Arc::clone(hosts.own().borrow().disk());
    let opened = NodeIdentity::open(disk, fresh)
        .and_then(|identity| node.founding(|founding| founding.open(identity)));
    opened.map_err(|source| ReplicaError::Identity { source })?;
    if node.is_member() {
        hosts.each(|host| host.set_standing(Standing::Voter));
    }
    Ok(())
}

/// Until the node is known to be a member, its replicas follow.
pub(crate) fn await_standing(node: &NodeState, host: &mut Host) {
    if !node.is_member() && !planted(Mutant::WipedDiskVotes) {
        host.set_standing(Standing::Learner);
    }
}

impl Broker {
    /// Asks whoever may know what this node is; does nothing once it is known.
    pub(crate) fn ask_for_standing(&self) {
        let others = self.node.other_nodes(&self.node.image());
        for peer in self.node.founding(|founding| founding.to_ask(others)) {
            self.node.send(peer, NodeMessage::StandingRequest { life: self.node.config.incarnation });
        }
    }

    /// Says what this node is, to another one that asked in its life `life`.
    pub(crate) fn on_standing_request(&self, from: NodeId, life: u64) {
        if let Some((directory, members)) = self.node.founding(|founding| founding.statement()) {
            self.node.send(from, NodeMessage::StandingReply { life, directory, members });
        }
    }

    /// Another node says what it is.
    pub(crate) fn on_standing_reply(
        &self,
        from: NodeId,
        life: u64,
        directory: DirectoryId,
        members: &Members,
    ) {
        let heard = self.node.founding(|founding| founding.on_statement(from, life, directory, members));
        let node = self.node.config.node.0;
        self.node.view_has_changed();
        match heard {
            Ok(Progress::Wait) => {}
            Ok(Progress::Tell) => {
                tracing::info!(node, "every node is there with a new disk: the cluster is founded");
                self.tell_everybody();
            }
            Ok(Progress::TellAgain) => self.on_standing_request(from, UNASKED),
            Ok(Progress::Join) => {
                self.tell_everybody();
                self.vote();
            }
            Ok(Progress::Vote) => self.vote(),
            Ok(Progress::Excluded(known)) => match known {
                Some(known) => tracing::warn!(
                    node,
                    %known,
                    "this node's disk is not the one the cluster knows; it follows, serves reads and has no vote"
                ),
                // Its metadata begins with the wrong voters then, and can never fit.
                None if self.node.config.voters.contains(&NodeId(node)) => tracing::error!(
                    node,
                    "the cluster was founded without this node; start it on a new disk, as one that joins"
                ),
                None => tracing::info!(node, "this node joins a cluster that was founded without it"),
            },
            Err(error) => {
                tracing::error!(node, %error, "the disk does not take the list of the cluster's disks; trying again");
            }
        }
    }

    /// Waits until it is known what this node's disk is, and says so: the disk, and whether it votes. `None` when
    /// nobody has said by `deadline_ms`.
    pub(crate) async fn standing(&self, deadline_ms: u64) -> Option<(DirectoryId, bool)> {
        let mut view_changes = self.node.subscribe_view();
        loop {
            view_changes.borrow_and_update();
            let settled = self.node.founding(|founding| {
                let directory = founding.directory().filter(|_| founding.is_settled());
                directory.map(|directory| (directory, founding.is_member()))
            });
            if settled.is_some() {
                return settled;
            }
            until(&*self.world, deadline_ms, view_changes.changed()).await?.ok()?;
        }
    }

    fn vote(&self) {
        self.hosts.each(|host| host.set_standing(Standing::Voter));
    }

    fn tell_everybody(&self) {
        for peer in self.other_nodes() {
            self.on_standing_request(peer, UNASKED);
        }
    }
}
