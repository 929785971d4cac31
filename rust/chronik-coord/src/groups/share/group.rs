//! What can be read off a share group.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_wire::types::TopicId;

use super::record::ShareGroupRecord;
use crate::groups::partitions::Partitions;
use crate::groups::state::{NamedPartitions, ShareGroup, ShareMember};
use crate::image::MetaImage;

impl ShareGroup {
    /// Kafka's name of the state.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() { "Empty" } else { "Stable" }
    }

    /// The names of the topics any member is subscribed to.
    pub(crate) fn subscribed_topics(&self) -> BTreeSet<&str> {
        let names = self.members.values().flat_map(|member| &member.metadata.subscribed_topic_names);
        names.map(String::as_str).collect()
    }

    /// The partitions that can be given to members: their topics exist and their accounts have begun.
    pub(crate) fn assignable(&self, image: &MetaImage) -> Partitions {
        self.initialized
            .iter()
            .filter(|(topic, _)| image.topic_by_id(**topic).is_some())
            .flat_map(|(topic, (_, partitions))| partitions.iter().map(|partition| (*topic, *partition)))
            .collect()
    }

    /// The partitions that members want and that have no account yet, but for those in `under_way`.
    pub(crate) fn without_account(&self, image: &MetaImage, under_way: &NamedPartitions) -> NamedPartitions {
        let known = |all: &NamedPartitions, topic: TopicId, partition: i32| {
            all.get(&topic).is_some_and(|(_, partitions)| partitions.contains(&partition))
        };
        let mut missing = NamedPartitions::new();
        for topic in self.subscribed_topics().into_iter().filter_map(|name| image.topic(name)) {
            let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            let partitions: BTreeSet<i32> = (0..count)
                .filter(|partition| {
                    !known(&self.initialized, topic.id, *partition) && !known(under_way, topic.id, *partition)
                })
                .collect();
            if !partitions.is_empty() {
                missing.insert(topic.id, (topic.name.to_string(), partitions));
            }
        }
        missing
    }

    /// The records that delete all of it, members included.
    pub(crate) fn tombstones(&self, group: &Arc<str>) -> Vec<ShareGroupRecord> {
        let name = || group.clone();
        let mut records = Vec::new();
        for member in self.members.keys() {
            records.push(ShareGroupRecord::Current { group: name(), member: member.clone(), value: None });
        }
        for member in self.targets.keys() {
            records.push(ShareGroupRecord::Target { group: name(), member: member.clone(), value: None });
        }
        records.push(ShareGroupRecord::TargetEpoch { group: name(), value: None });
        for member in self.members.keys() {
            records.push(ShareGroupRecord::Member { group: name(), member: member.clone(), value: None });
        }
        records.push(ShareGroupRecord::Partitions { group: name(), value: None });
        records.push(ShareGroupRecord::Epoch { group: name(), value: None });
        records
    }
}

impl ShareMember {
    /// The ids of the topics it wants, as far as they exist.
    pub(crate) fn subscribed_ids(&self, image: &MetaImage) -> BTreeSet<TopicId> {
        let names = self.metadata.subscribed_topic_names.iter();
        names.filter_map(|name| image.topic(name)).map(|topic| topic.id).collect()
    }
}
