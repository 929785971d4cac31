//! ConsumerGroupDescribe, for one group.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::consumer_group_describe::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use chronik_wire::types::TopicId;

use super::update;
use crate::groups::machine::Groups;
use crate::groups::partitions::Partitions;
use crate::groups::state::{ConsumerGroup, Member};
use crate::image::MetaImage;

/// What kind of member it is.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

impl Groups {
    /// Describes a group of the newer protocol.
    pub(crate) fn describe_consumer_group(&self, group_id: String) -> DescribedGroup {
        let Some(consumer) = self.state().consumer(&group_id) else {
            let message = format!("there is no group {group_id} of the newer protocol; list the groups");
            return DescribedGroup {
                error_code: ErrorCode::GROUP_ID_NOT_FOUND,
                error_message: Some(message),
                group_id,
                ..Default::default()
            };
        };
        let config = self.config();
        let member = |(id, member): (&Arc<str>, &Member)| described(&config.topics, consumer, id, member);
        DescribedGroup {
            group_state: consumer.state_name().to_owned(),
            group_epoch: consumer.epoch,
            assignment_epoch: consumer.target_epoch,
            assignor_name: update::preferred_assignor(consumer, &config.consumer.assignors),
            members: consumer.members.iter().map(member).collect(),
            group_id,
            ..Default::default()
        }
    }
}

fn described(image: &MetaImage, consumer: &ConsumerGroup, id: &Arc<str>, member: &Member) -> DescribedMember {
    let metadata = &member.metadata;
    let target = consumer.targets.get(id).map(|target| assignment(image, target));
    DescribedMember {
        member_id: id.to_string(),
        instance_id: metadata.instance_id.clone(),
        rack_id: metadata.rack_id.clone(),
        member_epoch: member.epoch,
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.subscribed_topic_names.clone(),
        subscribed_topic_regex: metadata.subscribed_topic_regex.clone(),
        assignment: assignment(image, &member.assigned),
        target_assignment: target.unwrap_or_default(),
        member_type: if member.is_classic() { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
    }
}

/// Partitions with the names of their topics; those of deleted topics have none and are left out.
fn assignment(image: &MetaImage, partitions: &Partitions) -> Assignment {
    let list = |(topic_id, partitions): (TopicId, &BTreeSet<i32>)| {
        image.topic_by_id(topic_id).map(|topic| TopicPartitions {
            topic_id,
            topic_name: topic.name.to_string(),
            partitions: partitions.iter().copied().collect(),
        })
    };
    Assignment { topic_partitions: partitions.topics().filter_map(list).collect() }
}
