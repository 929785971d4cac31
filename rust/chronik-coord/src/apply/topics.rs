//! Creating and deleting topics: Kafka's checks in Kafka's order, then placement.

use std::collections::{BTreeMap, BTreeSet};

use chronik_wire::types::{NodeId, TopicId};

use crate::assignment::Assignment;
use crate::command::{CreateTopics, DeleteTopics, NewTopic, TopicDefaults, TopicRef};
use crate::config_catalogue;
use crate::controller::State;
use crate::image::Topic;
use crate::limits;
use crate::placement::Placement;
use crate::reply::{CreatedTopic, DeletedTopic, ItemError};
use chronik_wire::error_code::ErrorCode;

/// The replication factor that -1 stands for when nothing is configured, brokers permitting.
const REPLICATION_FACTOR_DEFAULT: usize = 3;

/// Creates each topic on its own.
pub(crate) fn create(
    state: &mut State,
    create: &CreateTopics,
) -> Vec<(String, Result<CreatedTopic, ItemError>)> {
    let twice = repeated(create.topics.iter().map(|topic| topic.name.as_str()));
    let one = |topic: &NewTopic| {
        if twice.contains(topic.name.as_str()) {
            let message = format!("topic {:?} is named more than once in this request", topic.name);
            return Err(ItemError::new(ErrorCode::INVALID_REQUEST, message));
        }
        create_one(state, topic, &create.live, create.defaults)
    };
    let outcomes: Vec<_> = create.topics.iter().map(one).collect();
    create.topics.iter().map(|topic| topic.name.clone()).zip(outcomes).collect()
}

fn create_one(
    state: &mut State,
    topic: &NewTopic,
    live: &[NodeId],
    defaults: TopicDefaults,
) -> Result<CreatedTopic, ItemError> {
    check_topic_name(&topic.name)?;
    check_is_new(state, topic)?;
    let configs = check_configs(topic)?;
    let partitions = if topic.assignments.is_empty() {
        place(state, topic, live, defaults)?
    } else {
        check_manual_assignment(state, topic)?
    };
    check_cluster_limits(state, partitions.len())?;

    // A manual assignment moves the cursor too: it keeps the next automatic leader off the last one.
    state.cursor = state.cursor.wrapping_add(partitions.len() as u64);
    let created = CreatedTopic {
        id: topic.id,
        partitions: partitions.len() as i32,
        replication_factor: partitions.first().map_or(0, |assignment| assignment.replicas.len() as i16),
    };
    state.image.put_topic(Topic { name: topic.name.as_str().into(), id: topic.id, partitions, configs });
    Ok(created)
}

/// The topics that brokers create for themselves. As with Kafka, other names may begin with `__`; suites make use of it.
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
/// What the log of the metadata is called, here and by Kafka: no topic of either name exists.
const METADATA_LOGS: [&str; 2] = ["__meta", "__cluster_metadata"];

/// Demands a legal topic name that is not reserved.
///
/// # Errors
/// Code 17 with the rule that is broken.
pub fn check_topic_name(name: &str) -> Result<(), ItemError> {
    let broken = if name.is_empty() {
        "is empty"
    } else if name == "." || name == ".." {
        "is a directory name"
    } else if name.len() > limits::TOPIC_NAME_BYTES_MAX {
        "is longer than 249 characters"
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        "has characters other than a-z, A-Z, 0-9, '.', '_' and '-'"
    } else if METADATA_LOGS.contains(&name) {
        "is that of the metadata's log, which is reserved"
    } else {
        return Ok(());
    };
    // An absurd name must not come back in full: the error text is bounded like everything else.
    let shown: String = name.chars().take(limits::TOPIC_NAME_BYTES_MAX).collect();
    Err(ItemError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, format!("topic name {shown:?} {broken}")))
}

fn check_is_new(state: &State, topic: &NewTopic) -> Result<(), ItemError> {
    if state.image.topic(&topic.name).is_some() {
        let message = format!("topic {:?} already exists", topic.name);
        return Err(ItemError::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
    }
    let reserved = topic.id == TopicId::ZERO || topic.id == TopicId::META;
    if reserved || state.image.topic_by_id(topic.id).is_some() {
        let message = format!("topic id {} is reserved or in use; draw another", topic.id);
        return Err(ItemError::new(ErrorCode::INVALID_REQUEST, message));
    }
    Ok(())
}

fn check_configs(topic: &NewTopic) -> Result<BTreeMap<String, String>, ItemError> {
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_CONFIG, message));
    if topic.configs.len() > limits::CONFIGS_PER_RESOURCE_MAX {
        return refuse(format!(
            "{} configurations exceed the {} a topic may have",
            topic.configs.len(),
            limits::CONFIGS_PER_RESOURCE_MAX
        ));
    }
    let mut configs = BTreeMap::new();
    for (name, value) in &topic.configs {
        let Some(value) = value else {
            return refuse(format!("null value not supported for topic config {name:?}; leave it out"));
        };
        config_catalogue::check_topic_config(name, value)?;
        configs.insert(name.clone(), value.clone());
    }
    Ok(configs)
}

fn place(
    state: &State,
    topic: &NewTopic,
    live: &[NodeId],
    defaults: TopicDefaults,
) -> Result<Vec<Assignment>, ItemError> {
    let placement = circle(state, live);
    let replicas =
        replication_factor(topic.replication_factor, defaults.replication_factor, placement.broker_count())?;
    let partitions = partition_count(topic.partitions, defaults.partitions)?;
    let cursors = (0..partitions).map(|partition| state.cursor.wrapping_add(partition as u64));
    Ok(cursors
        .map(|cursor| Assignment::founded(placement.place(cursor, replicas), &state.image.brokers))
        .collect())
}

/// The circle of brokers for new partitions, with leaders among those that are alive.
pub(crate) fn circle<'a>(state: &'a State, live: &[NodeId]) -> Placement<'a> {
    let candidates = state.image.brokers.values().filter(|broker| !state.image.is_draining(broker.id));
    let racks = candidates.map(|broker| (broker.id, broker.rack.as_deref()));
    // A broker on a disk that nobody has admitted is not trusted to lead.
    let votes = |id: &NodeId| state.image.has_vote(*id);
    let everybody = state.image.brokers.keys().copied();
    let live: Vec<NodeId> = if live.is_empty() {
        everybody.filter(votes).collect()
    } else {
        live.iter().copied().filter(votes).collect()
    };
    Placement::new(racks, &live)
}

pub(crate) fn replication_factor(asked: i16, default: i16, brokers: usize) -> Result<usize, ItemError> {
    let wanted = match (asked, default) {
        (-1, -1) => REPLICATION_FACTOR_DEFAULT.min(brokers).try_into().unwrap_or(i16::MAX),
        (-1, default) => default,
        (asked, _) => asked,
    };
    let most = brokers.min(limits::REPLICAS_MAX);
    match usize::try_from(wanted) {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(ItemError::new(
            ErrorCode::INVALID_REPLICATION_FACTOR,
            format!("replication factor {wanted} is not possible with {brokers} brokers; give 1 to {most}"),
        )),
    }
}

pub(crate) fn partition_count(asked: i32, default: i32) -> Result<usize, ItemError> {
    let wanted = if asked == -1 { default } else { asked };
    match usize::try_from(wanted) {
        Ok(count) if (1..=limits::PARTITIONS_PER_TOPIC_MAX).contains(&count) => Ok(count),
        _ => Err(ItemError::new(
            ErrorCode::INVALID_PARTITIONS,
            format!("{wanted} partitions are not possible; give 1 to {}", limits::PARTITIONS_PER_TOPIC_MAX),
        )),
    }
}

fn check_manual_assignment(state: &State, topic: &NewTopic) -> Result<Vec<Assignment>, ItemError> {
    if topic.partitions != -1 || topic.replication_factor != -1 {
        return Err(ItemError::new(
            ErrorCode::INVALID_REQUEST,
            "with a manual assignment the partition count and the replication factor must be -1",
        ));
    }
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    partition_count(i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX), 1)?;
    let by_index: BTreeMap<_, _> =
        topic.assignments.iter().map(|(index, replicas)| (*index, replicas)).collect();
    if by_index.len() != topic.assignments.len() {
        return refuse(format!("the assignment of topic {:?} names a partition twice", topic.name));
    }
    let width = topic.assignments.first().map_or(0, |(_, replicas)| replicas.len());
    let mut partitions = Vec::with_capacity(by_index.len());
    for (expected, (index, replicas)) in (0..).zip(by_index) {
        if index.0 != expected {
            return refuse(format!(
                "partition {expected} is missing; partitions are numbered from 0 without gaps"
            ));
        }
        partitions.push(check_replicas(state, partitions.len(), replicas, width)?);
    }
    Ok(partitions)
}

/// The assignment of a new partition to brokers chosen by hand, of which there must be `width`.
pub(crate) fn check_replicas(
    state: &State,
    index: usize,
    replicas: &[NodeId],
    width: usize,
) -> Result<Assignment, ItemError> {
    let refuse = |message: String| Err(ItemError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    if replicas.is_empty() {
        return refuse(format!("partition {index} has no replica; name at least one broker"));
    }
    if replicas.len() != width || width > limits::REPLICAS_MAX {
        return refuse(format!(
            "partition {index} has {} replicas; every partition needs the same number, at most {}",
            replicas.len(),
            limits::REPLICAS_MAX
        ));
    }
    if !repeated(replicas.iter()).is_empty() {
        return refuse(format!("partition {index} names a broker twice"));
    }
    if let Some(unknown) = replicas.iter().find(|node| !state.image.brokers.contains_key(node)) {
        return refuse(format!("partition {index} names broker {unknown}, which is not registered"));
    }
    Ok(Assignment::founded(replicas.to_vec(), &state.image.brokers))
}

fn check_cluster_limits(state: &State, partitions: usize) -> Result<(), ItemError> {
    let refuse = |message: String| Err(ItemError::new(ErrorCode::POLICY_VIOLATION, message));
    if state.image.topic_count() >= limits::TOPICS_MAX {
        return refuse(format!(
            "the cluster holds its {} topics already; delete some first",
            limits::TOPICS_MAX
        ));
    }
    check_partition_limit(state, partitions)
}

/// Demands room for so many more partitions.
pub(crate) fn check_partition_limit(state: &State, added: usize) -> Result<(), ItemError> {
    let total = state.image.partition_count() + added;
    if total > limits::PARTITIONS_MAX {
        let message = format!(
            "the cluster would hold {total} partitions; the limit is {}, delete some first",
            limits::PARTITIONS_MAX
        );
        return Err(ItemError::new(ErrorCode::POLICY_VIOLATION, message));
    }
    Ok(())
}

/// Deletes each topic on its own.
pub(crate) fn delete(
    state: &mut State,
    delete: &DeleteTopics,
) -> Vec<(TopicRef, Result<DeletedTopic, ItemError>)> {
    let outcomes: Vec<_> = delete.topics.iter().map(|topic| delete_one(state, topic)).collect();
    delete.topics.iter().cloned().zip(outcomes).collect()
}

fn delete_one(state: &mut State, topic: &TopicRef) -> Result<DeletedTopic, ItemError> {
    let name = match topic {
        TopicRef::Name(name) => Some(name.clone()),
        TopicRef::Id(id) => state.image.topic_by_id(*id).map(|topic| topic.name.to_string()),
    };
    match name.and_then(|name| state.image.remove_topic(&name)) {
        Some(removed) => Ok(DeletedTopic { name: removed.name.to_string(), id: removed.id }),
        None => Err(unknown_topic(topic)),
    }
}

/// The error of naming a topic that does not exist.
pub(crate) fn unknown_topic(topic: &TopicRef) -> ItemError {
    match topic {
        TopicRef::Name(name) => {
            ItemError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("topic {name:?} does not exist"))
        }
        TopicRef::Id(id) => {
            ItemError::new(ErrorCode::UNKNOWN_TOPIC_ID, format!("topic id {id} does not exist"))
        }
    }
}

/// The values that occur more than once.
pub(crate) fn repeated<T: Ord + Copy>(values: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    values.filter(|value| !seen.insert(*value)).collect()
}
