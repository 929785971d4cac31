//! OffsetFetch, for one group.
//!
//! Behaviour: what nobody committed is -1 without an error, for a group that does not exist too; a partition with offsets
//! of an open transaction is unstable (88) for those who ask for stable offsets only; an offset committed for a topic that
//! has been deleted and created anew is not one of the new topic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_mutants::{Mutant, planted};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};
use chronik_wire::types::TopicId;

use crate::groups::machine::Groups;
use crate::groups::state::{CommittedOffset, Group, Offsets};

impl Groups {
    /// Reads committed offsets of one group.
    pub(crate) fn offset_fetch(
        &self,
        request: OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> OffsetFetchResponseGroup {
        let group_id = request.group_id;
        if let Some(consumer) = self.state().consumer(&group_id) {
            let checked = consumer.check_fetch(request.member_id.as_deref(), request.member_epoch);
            if let Err(error_code) = checked {
                return OffsetFetchResponseGroup { group_id, error_code, ..Default::default() };
            }
        }
        let nothing = Group::default();
        let offsets = &self.state().group(&group_id).unwrap_or(&nothing).offsets;
        let topics = match request.topics {
            None => all_topics(offsets, require_stable),
            Some(topics) => topics
                .into_iter()
                .map(|topic| {
                    let name: Arc<str> = topic.name.as_str().into();
                    let one =
                        |partition: i32| fetched(offsets, &name, topic.topic_id, partition, require_stable);
                    let partitions = topic.partition_indexes.into_iter().map(one).collect();
                    let (name, topic_id) = (topic.name, topic.topic_id);
                    OffsetFetchResponseTopics { name, topic_id, partitions }
                })
                .collect(),
        };
        OffsetFetchResponseGroup { group_id, topics, ..Default::default() }
    }
}

fn all_topics(offsets: &Offsets, require_stable: bool) -> Vec<OffsetFetchResponseTopics> {
    let mut by_topic: BTreeMap<&Arc<str>, BTreeSet<i32>> = BTreeMap::new();
    let mut add = |topic, partition| by_topic.entry(topic).or_default().insert(partition);
    for ((topic, partition), _) in offsets.committed() {
        add(topic, *partition);
    }
    if require_stable {
        // What only an open transaction knows of is unstable as well.
        for (_, (topic, partition), _) in offsets.open() {
            add(topic, *partition);
        }
    }
    let one = |(name, partitions): (&Arc<str>, BTreeSet<i32>)| OffsetFetchResponseTopics {
        name: name.to_string(),
        topic_id: TopicId::ZERO,
        partitions: partitions
            .into_iter()
            .map(|partition| fetched(offsets, name, TopicId::ZERO, partition, require_stable))
            .collect(),
    };
    by_topic.into_iter().map(one).collect()
}

fn fetched(
    offsets: &Offsets,
    topic: &Arc<str>,
    topic_id: TopicId,
    partition_index: i32,
    require_stable: bool,
) -> OffsetFetchResponsePartitions {
    let nothing = OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: ErrorCode::NONE,
    };
    let at = (topic.clone(), partition_index);
    if require_stable && offsets.is_unstable(&at) && !planted(Mutant::UnstableOffsetsTold) {
        return OffsetFetchResponsePartitions { error_code: ErrorCode::UNSTABLE_OFFSET_COMMIT, ..nothing };
    }
    match offsets.get(&at).filter(|offset| is_of(offset, topic_id)) {
        None => nothing,
        Some(offset) => OffsetFetchResponsePartitions {
            committed_offset: offset.offset,
            committed_leader_epoch: offset.leader_epoch,
            metadata: Some(offset.metadata.to_string()),
            ..nothing
        },
    }
}

fn is_of(offset: &CommittedOffset, topic_id: TopicId) -> bool {
    offset.topic_id == TopicId::ZERO || topic_id == TopicId::ZERO || offset.topic_id == topic_id
}
