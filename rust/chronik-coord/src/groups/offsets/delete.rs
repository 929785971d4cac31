//! OffsetDelete.
//!
//! Behaviour: a group whose members are not consumers keeps its offsets while it has members (68); consumers keep those of
//! the topics they read (86); a share group has none (69). Deleting what is not
//! there succeeds.

use std::sync::Arc;

use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::offset_delete::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use chronik_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::coordinator::{Moment, Output, Ticket};
use crate::groups::classic::ClassicState;
use crate::groups::machine::Groups;
use crate::groups::record::GroupRecord;
use crate::groups::request::GroupReply;

impl Groups {
    /// Forgets offsets.
    pub(crate) fn offset_delete(
        &mut self,
        ticket: Ticket,
        request: OffsetDeleteRequest,
        moment: Moment,
    ) -> Output<GroupReply> {
        let group: Arc<str> = Arc::from(request.group_id.as_str());
        if let Err(error_code) = self.check_offset_delete(&group) {
            let response = OffsetDeleteResponse { error_code, ..Default::default() };
            return Output::reply(ticket, GroupReply::OffsetDelete(response));
        }
        let mut response = OffsetDeleteResponse::default();
        let mut records = Vec::new();
        for topic in request.topics {
            let subscribed = self.is_subscribed(&group, &topic.name);
            let error_code = if subscribed { ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC } else { ErrorCode::NONE };
            let name: Arc<str> = topic.name.as_str().into();
            let mut partitions = Vec::new();
            for partition in topic.partitions {
                let partition_index = partition.partition_index;
                let at = (name.clone(), partition_index);
                let known = self
                    .state()
                    .group(&group)
                    .is_some_and(|group| group.offsets.get(&at).is_some() || group.offsets.is_unstable(&at));
                if known && !subscribed {
                    records.push(GroupRecord::Offset {
                        group: group.clone(),
                        topic: name.clone(),
                        partition: partition_index,
                        value: None,
                    });
                }
                partitions.push(OffsetDeleteResponsePartition { partition_index, error_code });
            }
            response.topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions });
        }
        self.step(moment, |ctx, _| {
            records.into_iter().for_each(|record| ctx.write(record));
            ctx.reply(ticket, GroupReply::OffsetDelete(response));
        })
    }

    fn check_offset_delete(&self, group: &Arc<str>) -> Result<(), ErrorCode> {
        if self.state().share(group).is_some() {
            return Err(ErrorCode::GROUP_ID_NOT_FOUND);
        }
        match self.classic(group) {
            Some(classic) if classic.state() != ClassicState::Empty && !classic.is_of_consumers() => {
                Err(ErrorCode::NON_EMPTY_GROUP)
            }
            Some(_) => Ok(()),
            None if self.state().group(group).is_some() => Ok(()),
            None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        }
    }
}
