//! Share groups as records of `__consumer_offsets`, in Kafka's layout (record types 10 to 15).

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::codec::Reader;
use chronik_wire::messages::group_records::{
    ShareGroupCurrentMemberAssignmentValue, ShareGroupKey, ShareGroupMemberKey,
    ShareGroupMemberMetadataValue, ShareGroupMetadataValue, ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberValue, ShareGroupTargetAssignmentMetadataValue,
};

use crate::codec::CodecError;
use crate::coordinator::CoordinatorRecord;
use crate::groups::record::{read, record, rest};

const MEMBER: i16 = 10;
const EPOCH: i16 = 11;
const TARGET_EPOCH: i16 = 12;
const TARGET_MEMBER: i16 = 13;
const CURRENT_MEMBER: i16 = 14;
const SHARE_PARTITIONS: i16 = 15;

/// One record: what it is about, and what is so of it from now on. `None` deletes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ShareGroupRecord {
    /// The group's epoch; without it the group is gone.
    Epoch { group: Arc<str>, value: Option<ShareGroupMetadataValue> },
    /// What a member says of itself.
    Member { group: Arc<str>, member: Arc<str>, value: Option<ShareGroupMemberMetadataValue> },
    /// The epoch of the target assignment.
    TargetEpoch { group: Arc<str>, value: Option<ShareGroupTargetAssignmentMetadataValue> },
    /// A member's target.
    Target { group: Arc<str>, member: Arc<str>, value: Option<ShareGroupTargetAssignmentMemberValue> },
    /// A member's present assignment.
    Current { group: Arc<str>, member: Arc<str>, value: Option<ShareGroupCurrentMemberAssignmentValue> },
    /// Which share-partitions have an account, are to get one and are to lose theirs.
    Partitions { group: Arc<str>, value: Option<ShareGroupStatePartitionMetadataValue> },
}

impl ShareGroupRecord {
    /// The group it is about.
    pub(crate) fn group(&self) -> &Arc<str> {
        match self {
            ShareGroupRecord::Epoch { group, .. }
            | ShareGroupRecord::Member { group, .. }
            | ShareGroupRecord::TargetEpoch { group, .. }
            | ShareGroupRecord::Target { group, .. }
            | ShareGroupRecord::Current { group, .. }
            | ShareGroupRecord::Partitions { group, .. } => group,
        }
    }

    /// Whether it takes something away.
    pub(crate) fn deletes(&self) -> bool {
        match self {
            ShareGroupRecord::Epoch { value, .. } => value.is_none(),
            ShareGroupRecord::Member { value, .. } => value.is_none(),
            ShareGroupRecord::TargetEpoch { value, .. } => value.is_none(),
            ShareGroupRecord::Target { value, .. } => value.is_none(),
            ShareGroupRecord::Current { value, .. } => value.is_none(),
            ShareGroupRecord::Partitions { value, .. } => value.is_none(),
        }
    }

    /// The record as it is appended.
    pub(crate) fn encode(&self) -> CoordinatorRecord {
        let of = |group: &Arc<str>| ShareGroupKey { group_id: group.to_string() };
        let member_key = |group: &Arc<str>, member: &Arc<str>| ShareGroupMemberKey {
            group_id: group.to_string(),
            member_id: member.to_string(),
        };
        match self {
            ShareGroupRecord::Epoch { group, value } => record(EPOCH, &of(group), value.as_ref(), 0),
            ShareGroupRecord::TargetEpoch { group, value } => {
                record(TARGET_EPOCH, &of(group), value.as_ref(), 0)
            }
            ShareGroupRecord::Partitions { group, value } => {
                record(SHARE_PARTITIONS, &of(group), value.as_ref(), 0)
            }
            ShareGroupRecord::Member { group, member, value } => {
                record(MEMBER, &member_key(group, member), value.as_ref(), 0)
            }
            ShareGroupRecord::Target { group, member, value } => {
                record(TARGET_MEMBER, &member_key(group, member), value.as_ref(), 0)
            }
            ShareGroupRecord::Current { group, member, value } => {
                record(CURRENT_MEMBER, &member_key(group, member), value.as_ref(), 0)
            }
        }
    }

    /// Reads the rest of a record behind its type; `None` for a type that says nothing about share groups.
    ///
    /// # Errors
    /// Key or value do not decode.
    pub(crate) fn decode(
        kind: i16,
        key: Reader,
        value: Option<&Bytes>,
    ) -> Result<Option<ShareGroupRecord>, CodecError> {
        let of_group = |key| -> Result<Arc<str>, CodecError> {
            let ShareGroupKey { group_id } = rest(key, 0)?;
            Ok(group_id.into())
        };
        let of_member = |key| -> Result<(Arc<str>, Arc<str>), CodecError> {
            let ShareGroupMemberKey { group_id, member_id } = rest(key, 0)?;
            Ok((group_id.into(), member_id.into()))
        };
        Ok(Some(match kind {
            EPOCH => ShareGroupRecord::Epoch {
                group: of_group(key)?,
                value: read(value, "share group value", 0..=0)?,
            },
            TARGET_EPOCH => ShareGroupRecord::TargetEpoch {
                group: of_group(key)?,
                value: read(value, "share group target assignment epoch", 0..=0)?,
            },
            SHARE_PARTITIONS => ShareGroupRecord::Partitions {
                group: of_group(key)?,
                value: read(value, "partitions of a share group", 0..=0)?,
            },
            MEMBER => {
                let (group, member) = of_member(key)?;
                let value = read(value, "share group member value", 0..=0)?;
                ShareGroupRecord::Member { group, member, value }
            }
            TARGET_MEMBER => {
                let (group, member) = of_member(key)?;
                let value = read(value, "share group target assignment", 0..=0)?;
                ShareGroupRecord::Target { group, member, value }
            }
            CURRENT_MEMBER => {
                let (group, member) = of_member(key)?;
                let value = read(value, "share group current assignment", 0..=0)?;
                ShareGroupRecord::Current { group, member, value }
            }
            _ => return Ok(None),
        }))
    }
}
