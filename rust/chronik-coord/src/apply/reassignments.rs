//! Moving replicas: what an administrator asks for, what an emptied broker needs, and the news that a group arrived.

use std::collections::BTreeMap;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, PartitionKey};

use super::brokers::not_registered;
use super::topics::repeated;
use crate::assignment::Assignment;
use crate::command::{AlterReassignment, AlterReassignments, ArrivedPartition, DamagedReplica, DrainBroker};
use crate::controller::State;
use crate::image::{MetaImage, Topic};
use crate::limits;
use crate::reply::{ItemError, ReplyBody};

/// Begins, replaces or cancels reassignments, each on its own.
pub(crate) fn alter(state: &mut State, alter: &AlterReassignments) -> Vec<Result<(), ItemError>> {
    let same_factor = !alter.allow_replication_factor_change;
    alter.partitions.iter().map(|partition| alter_one(state, partition, same_factor)).collect()
}

fn alter_one(state: &mut State, wish: &AlterReassignment, same_factor: bool) -> Result<(), ItemError> {
    let topic = state.image.topic(&wish.topic).cloned();
    let Some((topic, known)) =
        topic.and_then(|topic| Some((topic.clone(), topic.partition(wish.partition)?.clone())))
    else {
        return Err(ItemError::new(
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            format!("partition {} of topic {:?} does not exist", wish.partition, wish.topic),
        ));
    };
    let mut assignment = known;
    match &wish.replicas {
        None if !assignment.is_moving() => {
            return Err(ItemError::new(
                ErrorCode::NO_REASSIGNMENT_IN_PROGRESS,
                format!(
                    "no reassignment of partition {} of topic {:?} to cancel",
                    wish.partition, wish.topic
                ),
            ));
        }
        None => assignment.cancel(&state.image.brokers),
        Some(target) => {
            check_target(&state.image, target)?;
            let factor = assignment.original().len();
            if same_factor && target.len() != factor {
                return Err(ItemError::new(
                    ErrorCode::INVALID_REPLICATION_FACTOR,
                    format!(
                        "{} replicas would change the replication factor from {factor}; allow that in the request",
                        target.len()
                    ),
                ));
            }
            assignment.retarget(target, &state.image.brokers);
        }
    }
    put(&mut state.image, &topic, [(PartitionKey::new(topic.id, wish.partition), assignment)]);
    Ok(())
}

fn check_target(image: &MetaImage, target: &[NodeId]) -> Result<(), ItemError> {
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    if target.is_empty() || target.len() > limits::REPLICAS_MAX {
        return refuse(format!(
            "{} replicas are not possible; name 1 to {}",
            target.len(),
            limits::REPLICAS_MAX
        ));
    }
    if let Some(twice) = repeated(target.iter()).first() {
        return refuse(format!("broker {twice} is named twice; name each once"));
    }
    if let Some(unknown) = target.iter().find(|node| !image.brokers.contains_key(node)) {
        return refuse(format!("broker {unknown} is not registered"));
    }
    if let Some(leaving) = target.iter().find(|node| image.is_draining(**node)) {
        return refuse(format!("broker {leaving} is being emptied; name another"));
    }
    Ok(())
}

/// Notes which Raft groups consist of the wanted members now. What is out of date is ignored: its leader reports again.
pub(crate) fn complete(state: &mut State, arrived: &[ArrivedPartition]) -> ReplyBody {
    for partition in arrived {
        let Some(topic) = state.image.topic_by_id(partition.topic).cloned() else { continue };
        let Some(assignment) = topic.partition(partition.partition) else { continue };
        let mut wanted: Vec<_> = assignment.wanted().map(|member| (member.node, member.generation)).collect();
        wanted.sort_unstable();
        let mut reached = partition.members.clone();
        reached.sort_unstable();
        if assignment.is_moving() && wanted == reached {
            let mut assignment = assignment.clone();
            assignment.complete();
            put(&mut state.image, &topic, [(PartitionKey::new(topic.id, partition.partition), assignment)]);
        }
    }
    ReplyBody::Done
}

/// Begins to move everything away from a broker, which gets nothing new from now on. Where no other broker is left the
/// partition shrinks.
pub(crate) fn drain(state: &mut State, drain: &DrainBroker) -> Result<ReplyBody, ItemError> {
    let id = drain.id;
    if !state.image.brokers.contains_key(&id) {
        return Err(not_registered(id));
    }
    if !state.image.brokers.keys().any(|other| *other != id && !state.image.is_draining(*other)) {
        let message = format!("broker {id} is the last one; a cluster needs a broker");
        return Err(ItemError::new(ErrorCode::INVALID_REQUEST, message));
    }
    state.image.set_draining(id);
    let mut load = load_of(&state.image);
    let topics: Vec<_> = state.image.topics().cloned().collect();
    for topic in topics {
        let mut moved = Vec::new();
        for (key, assignment) in topic.keyed_partitions() {
            let mut target: Vec<NodeId> = assignment.wanted().map(|member| member.node).collect();
            let Some(position) = target.iter().position(|node| *node == id) else { continue };
            match replacement(&state.image, &target, &drain.live, &load) {
                Some(heir) => {
                    target[position] = heir;
                    *load.entry(heir).or_default() += 1;
                }
                None => {
                    target.remove(position);
                }
            }
            if !target.is_empty() {
                let mut assignment = assignment.clone();
                assignment.retarget(&target, &state.image.brokers);
                moved.push((key, assignment));
            }
        }
        put(&mut state.image, &topic, moved);
    }
    Ok(ReplyBody::Done)
}

/// Replicas per broker.
fn load_of(image: &MetaImage) -> BTreeMap<NodeId, usize> {
    let mut load = BTreeMap::new();
    let members = image.topics().flat_map(|topic| &topic.partitions).flat_map(Assignment::wanted);
    members.for_each(|member| *load.entry(member.node).or_default() += 1);
    load
}

/// The broker that takes the place of a leaving one: alive if any is, in a rack that the others do not use if there is
/// one, with the fewest replicas.
fn replacement(
    image: &MetaImage,
    replicas: &[NodeId],
    live: &[NodeId],
    load: &BTreeMap<NodeId, usize>,
) -> Option<NodeId> {
    let rack = |node: &NodeId| image.brokers.get(node).and_then(|broker| broker.rack.as_deref());
    let stay: Vec<_> = replicas.iter().filter(|node| !image.is_draining(**node)).map(rack).collect();
    let free = image.brokers.keys().filter(|node| !replicas.contains(node) && !image.is_draining(**node));
    free.copied().min_by_key(|node| {
        let used_rack = rack(node).is_some() && stay.contains(&rack(node));
        (!live.is_empty() && !live.contains(node), used_rack, load.get(node).copied().unwrap_or(0), *node)
    })
}

/// Makes every replica of a broker whose disk was replaced a new member on the disk it is registered with now.
pub(crate) fn readmit(state: &mut State, id: NodeId) -> Result<ReplyBody, ItemError> {
    if !state.image.brokers.contains_key(&id) {
        return Err(not_registered(id));
    }
    state.image.readmit_to_quorum(id);
    let topics: Vec<_> = state.image.topics().cloned().collect();
    for topic in topics {
        let mut changed = Vec::new();
        for (key, assignment) in topic.keyed_partitions() {
            let mut assignment = assignment.clone();
            if assignment.readmit(id, &state.image.brokers) {
                changed.push((key, assignment));
            }
        }
        put(&mut state.image, &topic, changed);
    }
    Ok(ReplyBody::Done)
}

/// Names a new member in place of each damaged replica of a broker. What is out of date is ignored, and so is a replica on
/// a disk that nobody has admitted: it has no vote that it could get back.
pub(crate) fn replace(
    state: &mut State,
    broker: NodeId,
    replicas: &[DamagedReplica],
) -> Result<ReplyBody, ItemError> {
    let registered = state.image.brokers.get(&broker).map(|broker| broker.directory);
    let Some(directory) = registered else { return Err(not_registered(broker)) };
    for damaged in replicas {
        let Some(topic) = state.image.topic_by_id(damaged.topic).cloned() else { continue };
        let Some(mut assignment) = topic.partition(damaged.partition).cloned() else { continue };
        let admitted = assignment.member(broker).is_some_and(|member| member.directory == directory);
        if admitted && assignment.replace(broker, damaged.generation, &state.image.brokers) {
            put(&mut state.image, &topic, [(PartitionKey::new(topic.id, damaged.partition), assignment)]);
        }
    }
    Ok(ReplyBody::Done)
}

/// Replaces some assignments of a topic.
fn put(image: &mut MetaImage, topic: &Topic, changed: impl IntoIterator<Item = (PartitionKey, Assignment)>) {
    let mut next = topic.clone();
    let mut any = false;
    for (key, assignment) in changed {
        let index = usize::try_from(key.partition.0).ok();
        if let Some(slot) = index.and_then(|index| next.partitions.get_mut(index)) {
            *slot = assignment;
            any = true;
        }
    }
    if any {
        image.put_topic(next);
    }
}
