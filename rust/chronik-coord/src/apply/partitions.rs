//! More partitions for topics: Kafka's checks in Kafka's order, then placement.

use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, TopicId};

use crate::apply::topics::{
    check_partition_limit, check_replicas, circle, partition_count, repeated, replication_factor,
    unknown_topic,
};
use crate::assignment::Assignment;
use crate::command::{CreatePartitions, MorePartitions, TopicRef};
use crate::controller::State;
use crate::image::Topic;
use crate::reply::ItemError;

/// Lets each topic grow on its own.
pub(crate) fn create(state: &mut State, create: &CreatePartitions) -> Vec<Result<TopicId, ItemError>> {
    let twice = repeated(create.topics.iter().map(|topic| topic.name.as_str()));
    let one = |topic: &MorePartitions| {
        if twice.contains(topic.name.as_str()) {
            let message = format!("topic {:?} is named more than once in this request", topic.name);
            return Err(ItemError::new(ErrorCode::INVALID_REQUEST, message));
        }
        create_one(state, topic, &create.live)
    };
    create.topics.iter().map(one).collect()
}

fn create_one(state: &mut State, wish: &MorePartitions, live: &[NodeId]) -> Result<TopicId, ItemError> {
    let known = state.image.topic(&wish.name);
    let topic = known.cloned().ok_or_else(|| unknown_topic(&TopicRef::Name(wish.name.clone())))?;
    let present = topic.partitions.len();
    let wanted = usize::try_from(wish.count).unwrap_or(0);
    if wanted <= present {
        return Err(ItemError::new(
            ErrorCode::INVALID_PARTITIONS,
            format!("topic {:?} has {present} partitions; {} would not be more", wish.name, wish.count),
        ));
    }
    partition_count(wish.count, 1)?;
    let added = wanted - present;
    // What a reassignment adds for a while is no part of the factor.
    let replicas = topic.partitions.first().map_or(1, |first| first.original().len());
    let partitions = match &wish.assignments {
        Some(by_hand) => check_manual(state, wish, present, added, replicas, by_hand)?,
        None => place(state, live, added, replicas)?,
    };
    check_partition_limit(state, added)?;
    state.cursor = state.cursor.wrapping_add(added as u64);
    let partitions = topic.partitions.iter().cloned().chain(partitions).collect();
    let id = topic.id;
    state.image.put_topic(Topic { partitions, ..Topic::clone(&topic) });
    Ok(id)
}

fn check_manual(
    state: &State,
    wish: &MorePartitions,
    present: usize,
    added: usize,
    replicas: usize,
    by_hand: &[Vec<NodeId>],
) -> Result<Vec<Assignment>, ItemError> {
    if by_hand.len() != added {
        return Err(ItemError::new(
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            format!(
                "topic {:?} gets {added} new partitions, but {} were assigned; assign each of them",
                wish.name,
                by_hand.len()
            ),
        ));
    }
    let one = |(index, nodes): (usize, &Vec<NodeId>)| check_replicas(state, index, nodes, replicas);
    (present..).zip(by_hand).map(one).collect()
}

fn place(
    state: &State,
    live: &[NodeId],
    added: usize,
    replicas: usize,
) -> Result<Vec<Assignment>, ItemError> {
    let placement = circle(state, live);
    let asked = i16::try_from(replicas).unwrap_or(i16::MAX);
    let replicas = replication_factor(asked, asked, placement.broker_count())?;
    let cursors = (0..added).map(|partition| state.cursor.wrapping_add(partition as u64));
    let place = |cursor| Assignment::founded(placement.place(cursor, replicas), &state.image.brokers);
    Ok(cursors.map(place).collect())
}
