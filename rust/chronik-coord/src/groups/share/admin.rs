//! ShareGroupDescribe, for one group.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::share_group_describe::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use chronik_wire::types::TopicId;

use super::assignor;
use crate::groups::machine::Groups;
use crate::groups::partitions::Partitions;
use crate::groups::state::ShareMember;
use crate::image::MetaImage;

impl Groups {
    /// Describes a share group.
    pub(crate) fn describe_share_group(&self, group_id: String) -> DescribedGroup {
        let Some(share) = self.state().share(&group_id) else {
            return DescribedGroup {
                error_code: ErrorCode::GROUP_ID_NOT_FOUND,
                error_message: Some(format!("there is no share group {group_id}; list the groups")),
                group_id,
                ..Default::default()
            };
        };
        let image = &self.config().topics;
        DescribedGroup {
            group_state: share.state_name().to_owned(),
            group_epoch: share.epoch,
            assignment_epoch: share.target_epoch,
            assignor_name: assignor::NAME.to_owned(),
            members: share.members.iter().map(|(id, member)| described(image, id, member)).collect(),
            group_id,
            ..Default::default()
        }
    }
}

fn described(image: &MetaImage, id: &Arc<str>, member: &ShareMember) -> DescribedMember {
    DescribedMember {
        member_id: id.to_string(),
        rack_id: member.metadata.rack_id.clone(),
        member_epoch: member.epoch,
        client_id: member.metadata.client_id.clone(),
        client_host: member.metadata.client_host.clone(),
        subscribed_topic_names: member.metadata.subscribed_topic_names.clone(),
        assignment: assignment(image, &member.assigned),
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
