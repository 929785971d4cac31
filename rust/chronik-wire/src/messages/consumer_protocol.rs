//! What consumers of a classic group put into the opaque bytes of JoinGroup and SyncGroup, versions 0-3: their
//! subscription and their assignment, each behind its version as a 16-bit number. Versions: 1 owned partitions · 2
//! generation · 3 rack.
//!
//! These are no requests. The coordinator reads them where it must know what a consumer wants or owns, and bytes it
//! cannot read are the members' own affair.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError, Message, NEVER, Reader, Writer};

message! {
    /// What a consumer wishes to read.
    pub struct ConsumerProtocolSubscription [0..=3, flexible NEVER..] {
        /// The topics' names.
        topics: Vec<String> [0..],
        /// Whatever the assignor wishes to know.
        user_data: Option<Bytes> [0..],
        /// The partitions the consumer holds.
        owned_partitions: Vec<TopicPartition> [1..],
        /// The generation in which it got them, or -1.
        generation_id: i32 [2..] = -1,
        /// The consumer's rack, or null.
        rack_id: Option<String> [3..],
    }

    /// The partitions of one topic.
    pub struct TopicPartition {
        /// The topic's name.
        topic: String [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// What a consumer was given.
    pub struct ConsumerProtocolAssignment [0..=3, flexible NEVER..] {
        /// The partitions.
        assigned_partitions: Vec<TopicPartition> [0..],
        /// Whatever the assignor wishes to say.
        user_data: Option<Bytes> [0..],
    }
}

/// Reads the version and what follows. A version from the future is read as the newest known one, as Kafka does: new
/// fields only ever come at the end.
pub fn read_versioned<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.read_i16()?.min(*M::VERSIONS.end());
    M::decode(&mut reader, version)
}

/// The version and what follows.
pub fn write_versioned<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.put_i16(version);
    message.encode(&mut writer, version)?;
    Ok(writer.finish().concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions() -> Vec<TopicPartition> {
        vec![TopicPartition { topic: "t".into(), partitions: vec![2] }]
    }

    #[test]
    fn a_subscription_is_what_clients_send() {
        let subscription = ConsumerProtocolSubscription {
            topics: vec!["t".into()],
            owned_partitions: partitions(),
            generation_id: 7,
            rack_id: Some("r".into()),
            ..Default::default()
        };
        let bytes = [
            &[0u8, 3, 0, 0, 0, 1, 0, 1, b't', 255, 255, 255, 255][..],
            &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7, 0, 1, b'r'],
        ]
        .concat();
        assert_eq!(write_versioned(&subscription, 3).unwrap(), bytes);
        assert_eq!(read_versioned::<ConsumerProtocolSubscription>(bytes.into()).unwrap(), subscription);
    }

    #[test]
    fn a_version_from_the_future_is_read_as_the_newest() {
        let assignment = ConsumerProtocolAssignment {
            assigned_partitions: partitions(),
            user_data: Some(Bytes::from_static(b"u")),
        };
        let mut bytes = write_versioned(&assignment, 3).unwrap().to_vec();
        assert_eq!(bytes[..2], [0, 3]);
        bytes[1] = 9;
        bytes.extend([0xde, 0xad]);
        assert_eq!(read_versioned::<ConsumerProtocolAssignment>(bytes.into()).unwrap(), assignment);
    }

    #[test]
    fn foreign_bytes_are_an_error() {
        for bytes in [&b""[..], b"\0", b"\0\0", b"\xff\xff\0\0\0\0", b"\0\0\x7f\xff\xff\xff"] {
            let bytes = Bytes::copy_from_slice(bytes);
            assert!(read_versioned::<ConsumerProtocolSubscription>(bytes.clone()).is_err());
            assert!(read_versioned::<ConsumerProtocolAssignment>(bytes).is_err());
        }
    }
}
