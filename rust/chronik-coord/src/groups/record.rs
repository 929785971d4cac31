//! Groups as records of `__consumer_offsets`, in Kafka's layout.
//!
//! A key begins with a 16-bit record type, a value with its 16-bit version. Owns which versions are written, and that
//! what Kafka may write there besides (streams groups, partition metadata of early consumer groups) is passed over.
//! Records of share groups are declared with them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::codec::{Message, Reader, Writer};
use chronik_wire::messages::group_records::{
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupKey, ConsumerGroupMemberKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue, GroupMetadataKey, GroupMetadataMember, GroupMetadataValue,
    OffsetCommitKey, OffsetCommitValue,
};
use chronik_wire::types::TopicId;

use super::share::ShareGroupRecord;
use crate::codec::CodecError;
use crate::coordinator::CoordinatorRecord;

const OFFSET_OF_OLD_KAFKA: i16 = 0;
const OFFSET: i16 = 1;
const CLASSIC_GROUP: i16 = 2;
const CONSUMER_EPOCH: i16 = 3;
const CONSUMER_MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET_MEMBER: i16 = 7;
const CURRENT_MEMBER: i16 = 8;
const PATTERN: i16 = 16;

/// The last versions that are not flexible: what Kafka writes.
const CLASSIC_GROUP_VERSION: i16 = 3;
const OFFSET_VERSION: i16 = 3;
/// The versions that are flexible. Another writer may have used their room for longer strings.
const CLASSIC_GROUP_FLEXIBLE: i16 = 4;
const OFFSET_FLEXIBLE: i16 = 4;
/// The one version of an offset with an expiry of its own.
const OFFSET_WITH_EXPIRY: i16 = 1;

/// One record: what it is about, and what is so of it from now on. `None` deletes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GroupRecord {
    /// A committed offset.
    Offset { group: Arc<str>, topic: Arc<str>, partition: i32, value: Option<OffsetCommitValue> },
    /// A classic group.
    Classic { group: Arc<str>, value: Option<GroupMetadataValue> },
    /// The epoch of a consumer group; without it the group is gone.
    Epoch { group: Arc<str>, value: Option<ConsumerGroupMetadataValue> },
    /// What a member says of itself.
    Member { group: Arc<str>, member: Arc<str>, value: Option<ConsumerGroupMemberMetadataValue> },
    /// The epoch of the target assignment.
    TargetEpoch { group: Arc<str>, value: Option<ConsumerGroupTargetAssignmentMetadataValue> },
    /// A member's target.
    Target { group: Arc<str>, member: Arc<str>, value: Option<ConsumerGroupTargetAssignmentMemberValue> },
    /// A member's present assignment.
    Current { group: Arc<str>, member: Arc<str>, value: Option<ConsumerGroupCurrentMemberAssignmentValue> },
    /// The topics a pattern matches.
    Pattern { group: Arc<str>, pattern: Arc<str>, value: Option<ConsumerGroupRegularExpressionValue> },
    /// Anything about a share group.
    Share(ShareGroupRecord),
}

impl From<ShareGroupRecord> for GroupRecord {
    fn from(record: ShareGroupRecord) -> GroupRecord {
        GroupRecord::Share(record)
    }
}

impl GroupRecord {
    /// The group it is about.
    pub(crate) fn group(&self) -> &Arc<str> {
        match self {
            GroupRecord::Offset { group, .. }
            | GroupRecord::Classic { group, .. }
            | GroupRecord::Epoch { group, .. }
            | GroupRecord::Member { group, .. }
            | GroupRecord::TargetEpoch { group, .. }
            | GroupRecord::Target { group, .. }
            | GroupRecord::Current { group, .. }
            | GroupRecord::Pattern { group, .. } => group,
            GroupRecord::Share(record) => record.group(),
        }
    }

    /// The record as it is appended.
    pub(crate) fn encode(&self) -> CoordinatorRecord {
        let text = |part: &Arc<str>| part.to_string();
        match self {
            GroupRecord::Offset { group, topic, partition, value } => {
                let key = OffsetCommitKey { group: text(group), topic: text(topic), partition: *partition };
                let version = value.as_ref().map_or(0, offset_version);
                record(OFFSET, &key, value.as_ref(), version)
            }
            GroupRecord::Classic { group, value } => {
                let key = GroupMetadataKey { group: text(group) };
                let version = value.as_ref().map_or(0, classic_version);
                record(CLASSIC_GROUP, &key, value.as_ref(), version)
            }
            GroupRecord::Epoch { group, value } => {
                record(CONSUMER_EPOCH, &ConsumerGroupKey { group_id: text(group) }, value.as_ref(), 0)
            }
            GroupRecord::TargetEpoch { group, value } => {
                record(TARGET_EPOCH, &ConsumerGroupKey { group_id: text(group) }, value.as_ref(), 0)
            }
            GroupRecord::Member { group, member, value } => {
                record(CONSUMER_MEMBER, &member_key(group, member), value.as_ref(), 0)
            }
            GroupRecord::Target { group, member, value } => {
                record(TARGET_MEMBER, &member_key(group, member), value.as_ref(), 0)
            }
            GroupRecord::Current { group, member, value } => {
                record(CURRENT_MEMBER, &member_key(group, member), value.as_ref(), 0)
            }
            GroupRecord::Pattern { group, pattern, value } => {
                let key = ConsumerGroupRegularExpressionKey {
                    group_id: text(group),
                    regular_expression: text(pattern),
                };
                record(PATTERN, &key, value.as_ref(), 0)
            }
            GroupRecord::Share(record) => record.encode(),
        }
    }

    /// Reads a record; `None` for a type that says nothing about our groups.
    ///
    /// # Errors
    /// Key or value do not decode.
    pub(crate) fn decode(record: &CoordinatorRecord) -> Result<Option<GroupRecord>, CodecError> {
        let mut key = Reader::new(record.key.clone());
        let kind = key.read_i16().map_err(CodecError::Record)?;
        let value = record.value.as_ref();
        Ok(Some(match kind {
            OFFSET_OF_OLD_KAFKA | OFFSET => {
                let key: OffsetCommitKey = rest(key, 0)?;
                GroupRecord::Offset {
                    group: key.group.into(),
                    topic: key.topic.into(),
                    partition: key.partition,
                    value: read(value, "offset commit value", 0..=4)?,
                }
            }
            CLASSIC_GROUP => {
                let key: GroupMetadataKey = rest(key, 0)?;
                GroupRecord::Classic {
                    group: key.group.into(),
                    value: read(value, "group metadata value", 0..=4)?,
                }
            }
            CONSUMER_EPOCH => {
                let key: ConsumerGroupKey = rest(key, 0)?;
                GroupRecord::Epoch {
                    group: key.group_id.into(),
                    value: read(value, "consumer group value", 0..=0)?,
                }
            }
            TARGET_EPOCH => {
                let key: ConsumerGroupKey = rest(key, 0)?;
                GroupRecord::TargetEpoch {
                    group: key.group_id.into(),
                    value: read(value, "target assignment epoch", 0..=0)?,
                }
            }
            CONSUMER_MEMBER => {
                let (group, member) = split(rest(key, 0)?);
                GroupRecord::Member { group, member, value: read(value, "member value", 0..=0)? }
            }
            TARGET_MEMBER => {
                let (group, member) = split(rest(key, 0)?);
                GroupRecord::Target { group, member, value: read(value, "target assignment", 0..=0)? }
            }
            CURRENT_MEMBER => {
                let (group, member) = split(rest(key, 0)?);
                GroupRecord::Current { group, member, value: read(value, "current assignment", 0..=0)? }
            }
            PATTERN => {
                let key: ConsumerGroupRegularExpressionKey = rest(key, 0)?;
                GroupRecord::Pattern {
                    group: key.group_id.into(),
                    pattern: key.regular_expression.into(),
                    value: read(value, "pattern value", 0..=0)?,
                }
            }
            other => return Ok(ShareGroupRecord::decode(other, key, value)?.map(GroupRecord::Share)),
        }))
    }
}

/// The oldest version that has room for everything the value says.
fn offset_version(value: &OffsetCommitValue) -> i16 {
    if value.expire_timestamp != -1 {
        OFFSET_WITH_EXPIRY
    } else if value.topic_id == TopicId::ZERO && is_short(&value.metadata) {
        OFFSET_VERSION
    } else {
        OFFSET_FLEXIBLE
    }
}

/// The oldest version that has room for everything the value says.
fn classic_version(value: &GroupMetadataValue) -> i16 {
    let of_group = [Some(&value.protocol_type), value.protocol.as_ref(), value.leader.as_ref()];
    let of_members = value.members.iter().flat_map(|member| {
        let GroupMetadataMember { member_id, group_instance_id, client_id, client_host, .. } = member;
        [Some(member_id), group_instance_id.as_ref(), Some(client_id), Some(client_host)]
    });
    match of_group.into_iter().chain(of_members).flatten().all(|text| is_short(text)) {
        true => CLASSIC_GROUP_VERSION,
        false => CLASSIC_GROUP_FLEXIBLE,
    }
}

/// Whether a string fits a version that is not flexible.
fn is_short(text: &str) -> bool {
    i16::try_from(text.len()).is_ok()
}

fn member_key(group: &Arc<str>, member: &Arc<str>) -> ConsumerGroupMemberKey {
    ConsumerGroupMemberKey { group_id: group.to_string(), member_id: member.to_string() }
}

fn split(key: ConsumerGroupMemberKey) -> (Arc<str>, Arc<str>) {
    (key.group_id.into(), key.member_id.into())
}

/// A record with its type before the key and its version before the value.
pub(super) fn record<K: Message, V: Message>(
    kind: i16,
    key: &K,
    value: Option<&V>,
    version: i16,
) -> CoordinatorRecord {
    CoordinatorRecord { key: headed(kind, key, 0), value: value.map(|value| headed(version, value, version)) }
}

fn headed<M: Message>(head: i16, message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    writer.put_i16(head);
    message.encode(&mut writer, version).expect("names and metadata are bounded when they are accepted");
    writer.finish().concat().into()
}

/// A key behind its type, to its end.
///
/// # Errors
/// It does not decode.
pub(super) fn rest<M: Message>(mut reader: Reader, version: i16) -> Result<M, CodecError> {
    let message = M::decode(&mut reader, version).map_err(CodecError::Record)?;
    reader.finish().map_err(CodecError::Record)?;
    Ok(message)
}

/// A value in one of some versions, if there is one.
///
/// # Errors
/// It does not decode.
pub(super) fn read<M: Message>(
    value: Option<&Bytes>,
    what: &'static str,
    versions: RangeInclusive<i16>,
) -> Result<Option<M>, CodecError> {
    let Some(value) = value else { return Ok(None) };
    let mut reader = Reader::new(value.clone());
    let version = reader.read_i16().map_err(CodecError::Record)?;
    if !versions.contains(&version) {
        return Err(CodecError::Unknown { what, value: u64::from(version.cast_unsigned()) });
    }
    rest(reader, version).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(value: OffsetCommitValue) -> GroupRecord {
        GroupRecord::Offset { group: "g".into(), topic: "t".into(), partition: 7, value: Some(value) }
    }

    #[test]
    fn an_offset_has_kafkas_bytes() {
        let value = OffsetCommitValue {
            offset: 5,
            leader_epoch: 2,
            metadata: "m".into(),
            commit_timestamp: 9,
            ..Default::default()
        };
        let record = offset(value).encode();
        assert_eq!(&record.key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x07");
        let expected = b"\0\x03\0\0\0\0\0\0\0\x05\0\0\0\x02\0\x01m\0\0\0\0\0\0\0\x09";
        assert_eq!(record.value.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn an_offset_is_written_in_the_version_that_holds_it() {
        for (expire_timestamp, topic_id, version) in
            [(-1, TopicId::ZERO, 3), (77, TopicId::ZERO, 1), (-1, TopicId(4), 4)]
        {
            let value = OffsetCommitValue { offset: 1, expire_timestamp, topic_id, ..Default::default() };
            let record = offset(value.clone());
            let encoded = record.encode();
            assert_eq!(encoded.value.as_ref().map(|value| value[1]), Some(version));
            assert_eq!(GroupRecord::decode(&encoded), Ok(Some(record)));
        }
    }

    #[test]
    fn strings_that_another_writer_had_room_for_are_kept() {
        let long = "x".repeat(40_000);
        let value = OffsetCommitValue { metadata: long.clone(), ..Default::default() };
        let member = GroupMetadataMember { client_id: long, ..Default::default() };
        let group = GroupMetadataValue { members: vec![member], ..Default::default() };
        let classic = GroupRecord::Classic { group: "g".into(), value: Some(group) };
        for record in [offset(value), classic] {
            assert_eq!(GroupRecord::decode(&record.encode()), Ok(Some(record)));
        }
    }

    #[test]
    fn a_classic_group_has_kafkas_bytes() {
        let value = GroupMetadataValue {
            protocol_type: "c".into(),
            generation: 1,
            protocol: None,
            leader: None,
            current_state_timestamp: 3,
            members: Vec::new(),
        };
        let record = GroupRecord::Classic { group: "g".into(), value: Some(value) };
        let encoded = record.encode();
        assert_eq!(&encoded.key[..], b"\0\x02\0\x01g");
        let expected = b"\0\x03\0\x01c\0\0\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\x03\0\0\0\0";
        assert_eq!(encoded.value.as_deref(), Some(&expected[..]));
        assert_eq!(GroupRecord::decode(&encoded), Ok(Some(record)));
    }

    #[test]
    fn records_of_other_kinds_of_groups_are_passed_over_and_damaged_ones_refused() {
        let record = |key: &[u8], value: Option<&[u8]>| CoordinatorRecord {
            key: Bytes::copy_from_slice(key),
            value: value.map(Bytes::copy_from_slice),
        };
        for kind in [4_u8, 9, 17, 200] {
            assert_eq!(GroupRecord::decode(&record(&[0, kind, 1, 2], Some(b"?"))), Ok(None));
        }
        for damaged in [
            record(b"", None),
            record(b"\0\x01\0\x05g", None),
            record(b"\0\x02\0\x01g", Some(b"\0\x09")),
            record(b"\0\x02\0\x01g", Some(b"\0\x03\0")),
            record(b"\0\x02\0\x01g!", None),
        ] {
            assert!(GroupRecord::decode(&damaged).is_err(), "{damaged:?}");
        }
    }
}
