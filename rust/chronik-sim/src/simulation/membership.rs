//! Changes of who belongs to the cluster: nodes that join, nodes that leave for good, replicas that move, wiped disks that
//! are admitted again. Asked for as an administrator does it, again and again until it is so.

use std::cell::Cell;
use std::rc::Rc;

use chronik_coord::command::{AlterReassignment, AlterReassignments, DrainBroker};
use chronik_coord::{Action, MetaImage};
use chronik_log::UnsyncedPolicy;
use chronik_wire::types::{NodeId, PartitionKey};

use super::{Seat, Simulation};
use crate::engine::Owner;
use crate::switchboard::Event;

/// Time between two looks at the changes under way, in microseconds.
const LOOK_US: u64 = 100_000;
/// Time that a node has for one attempt, in milliseconds of its clock.
const ATTEMPT_MS: u64 = 2_000;
/// Nodes beyond those that the cluster was founded with, at most.
const NEWCOMERS_MAX: usize = 2;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    /// The node has its place in the cluster.
    Joined(NodeId),
    /// The node is gone for good.
    Left(NodeId),
    /// The disk that the node runs on counts.
    Readmitted(NodeId),
    /// The partition is on these nodes.
    Moved(PartitionKey, Vec<NodeId>),
}

/// How an attempt to have the controller do something came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    None,
    UnderWay { until_us: u64 },
    Accepted,
    Refused,
}

/// A change under way.
#[derive(Debug)]
pub(super) struct Change {
    wish: Wish,
    /// Of its present step.
    attempt: Rc<Cell<Attempt>>,
    /// A node that leaves is empty, and the cluster is to forget it.
    empty: bool,
}

impl Simulation {
    /// What is wanted and not so yet, for a report; `None` if there is nothing.
    pub(crate) fn unsettled_change(&self) -> Option<String> {
        let change = self.changes.first()?;
        let founders: Vec<NodeId> = (1..=self.plan.cluster.nodes).map(NodeId).collect();
        let wanted = self.newest_image().map(|image| image.wanted_quorum(&founders));
        let key = if let Wish::Moved(key, _) = &change.wish { *key } else { PartitionKey::META };
        let wanted = match self.newest_image().and_then(|image| image.assignment(key).cloned()) {
            Some(assignment) => format!("{assignment:?}"),
            None => format!("{wanted:?}"),
        };
        let leaders = self.seats.values().filter_map(|seat| seat.running.as_ref()).filter_map(|node| {
            let host = node.host.borrow();
            host.replica(key)
                .filter(|replica| replica.leads())
                .map(|replica| (replica.term(), replica.member(), replica.membership()))
        });
        Some(format!(
            "{:?}, {:?}; the members shall be {wanted} and are {:?}",
            change.wish,
            change.attempt.get(),
            leaders.max_by_key(|(term, ..)| *term)
        ))
    }

    /// Whether a node has left for good.
    pub(super) fn has_left(&self, id: NodeId) -> bool {
        self.seats.get(&id).is_some_and(|seat| seat.left)
    }

    fn wish(&mut self, wish: Wish) -> bool {
        if self.changes.is_empty() {
            self.board.after(LOOK_US, Event::Membership);
        }
        self.changes.push(Change { wish, attempt: Rc::new(Cell::new(Attempt::None)), empty: false });
        true
    }

    /// A node that nobody knew starts on an empty disk.
    pub(super) fn add_node(&mut self) -> bool {
        let founders = self.plan.cluster.nodes as usize;
        let Some(last) = self.ids().last().copied() else { return false };
        if self.seats.len() >= founders + NEWCOMERS_MAX {
            return false;
        }
        let id = NodeId(last.0 + 1);
        let seat = Seat::new(1_000, self.plan.cluster.sync_us, &mut self.random);
        self.seats.insert(id, seat);
        self.start(id);
        self.wish(Wish::Joined(id))
    }

    /// A node shall leave. Refused if the others could not hold all its replicas.
    pub(super) fn remove_node(&mut self, id: NodeId) -> bool {
        let leaving = |change: &Change| matches!(change.wish, Wish::Left(_));
        let left = self.seats.values().filter(|seat| seat.left).count();
        let enough = self.seats.len() - left > self.plan.cluster.nodes as usize;
        let is_there = self.seats.get(&id).is_some_and(|seat| !seat.left);
        // Clients begin with the founders' addresses.
        let stays = |founder: &NodeId| *founder != id && !self.has_left(*founder);
        let known = (1..=self.plan.cluster.nodes).map(NodeId).any(|founder| stays(&founder));
        if !enough || !is_there || !known || self.changes.iter().any(leaving) || self.is_anybody_damaged() {
            return false;
        }
        // A partition that finds no other node for its replica becomes smaller, and nobody could write to it again.
        if self.plan.cluster.has_strict_writes() {
            return false;
        }
        self.wish(Wish::Left(id))
    }

    /// A partition shall be on as many nodes as it is, but not on one of those that could hold it.
    pub(super) fn reassign(&mut self, place: usize, without: NodeId) -> bool {
        let keys = self.partitions();
        let Some(key) = keys.get(place % keys.len().max(1)).copied() else { return false };
        let Some(image) = self.newest_image() else { return false };
        let leaves = |id: &NodeId| self.changes.iter().any(|change| change.wish == Wish::Left(*id));
        let mut target: Vec<NodeId> =
            image.brokers.keys().copied().filter(|id| !self.has_left(*id) && !leaves(id)).collect();
        let factor = image.assignment(key).map_or(0, |assignment| assignment.original().len());
        if target.len() > factor {
            target.retain(|id| *id != without);
        }
        // Whoever comes first is the preferred leader.
        let turn = place % target.len().max(1);
        target.rotate_left(turn);
        target.truncate(factor);
        let moves = target.len() == factor && !self.is_anybody_damaged();
        moves && self.wish(Wish::Moved(key, target))
    }

    /// Whether a node whose disk was wiped is told anything before it is admitted again: on the disk of a founder that was
    /// never admitted again a new one follows in its place.
    pub(super) fn follows_when_wiped(&self, id: NodeId) -> bool {
        let member = self.newest_image().and_then(|image| image.quorum_member(id));
        member.is_none_or(|member| member.generation == 0)
    }

    /// The disk that a node has now shall count.
    pub(super) fn readmit(&mut self, id: NodeId) {
        // A wish about a disk that is gone again is void.
        self.changes.retain(|change| change.wish != Wish::Readmitted(id));
        self.wish(Wish::Readmitted(id));
    }

    /// Whether a disk has lost or damaged what was synced to it.
    pub(crate) fn is_anybody_damaged(&self) -> bool {
        self.seats.values().any(|seat| seat.damaged)
    }

    pub(super) fn newest_image(&self) -> Option<std::sync::Arc<MetaImage>> {
        let running = self.seats.values().filter_map(|seat| seat.running.as_ref());
        running.map(|node| node.broker.node().image()).max_by_key(|image| image.offset)
    }

    /// Looks how far each change is, and asks for its next step.
    pub(super) fn look_at_changes(&mut self) {
        let Some(image) = self.newest_image() else {
            self.board.after(LOOK_US, Event::Membership);
            return;
        };
        let mut changes = std::mem::take(&mut self.changes);
        changes.retain_mut(|change| self.advance(change, &image));
        self.changes = changes;
        self.note(9, self.changes.len() as u64, 0);
        if !self.changes.is_empty() {
            self.board.after(LOOK_US, Event::Membership);
        }
    }

    /// One look at one change; false if it is done.
    fn advance(&mut self, change: &mut Change, image: &MetaImage) -> bool {
        if change.attempt.get() == Attempt::Refused {
            // The picture has changed since it was wished for: a topic was deleted, a node left. A node that was forgotten by
            // an attempt whose answer was lost is to be seen gone.
            if !change.empty {
                return false;
            }
            change.attempt.set(Attempt::None);
        }
        let accepted = change.attempt.get() == Attempt::Accepted;
        match change.wish.clone() {
            Wish::Joined(id) => {
                let joined = image.has_vote(id) && self.is_controller_settled();
                if joined {
                    self.saw("nodes_joined");
                }
                return !joined;
            }
            Wish::Left(id) if change.empty => {
                if !image.brokers.contains_key(&id) {
                    self.stop(id, UnsyncedPolicy::Keep);
                    if let Some(seat) = self.seats.get_mut(&id) {
                        seat.left = true;
                    }
                    self.saw("nodes_left");
                    self.board.tell(|| format!("node {id} has left the cluster"));
                    return false;
                }
                self.attempt(&change.attempt, |_| Action::UnregisterBroker { id });
            }
            Wish::Left(id) => {
                let is_empty = image.is_draining(id) && image.partitions_of(id).next().is_none();
                if is_empty && self.is_controller_settled() {
                    change.empty = true;
                    change.attempt.set(Attempt::None);
                } else if !image.is_draining(id) {
                    self.attempt(&change.attempt, |live| Action::DrainBroker(DrainBroker { id, live }));
                }
            }
            Wish::Readmitted(id) => {
                let is_known = self.is_registered(image, id);
                let counts = accepted && is_known && image.has_vote(id);
                if counts && self.is_controller_settled() && self.are_settled(image, id) {
                    if let Some(seat) = self.seats.get_mut(&id) {
                        seat.damaged = false;
                    }
                    self.saw("disks_readmitted");
                    self.board.tell(|| format!("node {id} is admitted again"));
                    return false;
                }
                if !accepted && is_known {
                    self.attempt(&change.attempt, |_| Action::ReadmitBroker { id });
                }
            }
            Wish::Moved(key, target) => {
                let Some((topic, assignment)) = image.topic_by_id(key.topic).zip(image.assignment(key))
                else {
                    return false;
                };
                if accepted {
                    let moving = assignment.is_moving();
                    if !moving {
                        self.saw("partitions_moved");
                    }
                    return moving;
                }
                let wish = AlterReassignment {
                    topic: topic.name.to_string(),
                    partition: key.partition,
                    replicas: Some(target),
                };
                self.attempt(&change.attempt, |_| {
                    Action::AlterReassignments(AlterReassignments {
                        partitions: vec![wish],
                        allow_replication_factor_change: false,
                    })
                });
            }
        }
        true
    }

    /// Has some node ask the controller, unless an attempt is under way.
    fn attempt(&mut self, attempt: &Rc<Cell<Attempt>>, action: impl FnOnce(Vec<NodeId>) -> Action) {
        let now_us = self.board.now_us();
        if matches!(attempt.get(), Attempt::UnderWay { until_us } if until_us > now_us) {
            return;
        }
        let able: Vec<NodeId> = self.running().into_iter().filter(|id| !self.is_frozen(*id)).collect();
        let Some(id) = self.random.pick(&able).copied() else { return };
        let Some(node) = self.seats.get(&id).and_then(|seat| seat.running.as_ref()) else { return };
        let until_us = now_us + 2 * node.clock.span_us(ATTEMPT_MS);
        attempt.set(Attempt::UnderWay { until_us });
        let action = action(node.broker.node().view(|view| view.live()));
        let deadline_ms = node.clock.now_ms(now_us) + ATTEMPT_MS;
        let (broker, outcome) = (Rc::clone(&node.broker), Rc::clone(attempt));
        let asking = async move {
            let reply = broker.controller_call(action, deadline_ms).await;
            outcome.set(match reply {
                Ok(reply) if is_refused(&reply.body) => Attempt::Refused,
                Ok(_) => Attempt::Accepted,
                Err(_) => Attempt::None,
            });
        };
        self.board.tasks.borrow().spawn(Owner::Node(id), Box::pin(asking));
    }

    /// Whether the controller knows the present life of a node, and so its disk.
    fn is_registered(&self, image: &MetaImage, id: NodeId) -> bool {
        let running = self.seats.get(&id).and_then(|seat| seat.running.as_ref());
        let incarnation = running.map(|node| node.broker.node().config.incarnation);
        incarnation.is_some() && image.brokers.get(&id).map(|broker| broker.incarnation) == incarnation
    }

    /// Whether the leader of the metadata has a group of the members that are wanted.
    fn is_controller_settled(&self) -> bool {
        self.is_settled(PartitionKey::META)
    }

    fn is_settled(&self, key: PartitionKey) -> bool {
        self.seats.values().filter_map(|seat| seat.running.as_ref()).any(|node| {
            let host = node.host.borrow();
            host.replica(key).is_some_and(|replica| replica.leads() && replica.is_settled_as_wanted())
        })
    }

    fn are_settled(&self, image: &MetaImage, id: NodeId) -> bool {
        image.partitions_of(id).all(|(key, ..)| self.is_settled(key))
    }
}

fn is_refused(reply: &chronik_coord::ReplyBody) -> bool {
    use chronik_coord::ReplyBody;
    match reply {
        ReplyBody::ReassignmentsAltered(outcomes) => outcomes.iter().any(Result::is_err),
        reply => reply.rejection().is_some(),
    }
}
