//! The vocabulary every room shares: newtypes that keep positions, epochs and names apart.

use std::fmt;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// Position of a record in a partition's Kafka log: counts records from 0.
    Offset(i64)
);
number!(
    /// Kafka's leader epoch: the confirmed Raft term, as Kafka's 32-bit field carries it.
    LeaderEpoch(i32)
);
number!(
    /// A broker's id. Never negative.
    NodeId(i32)
);
number!(
    /// A partition's number within its topic.
    PartitionIndex(i32)
);

impl Offset {
    /// What an error answer carries in place of an offset.
    pub const UNKNOWN: Offset = Offset(-1);
    /// The first offset of every log.
    pub const ZERO: Offset = Offset(0);
}

impl LeaderEpoch {
    /// "No epoch": the sender knows none.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

/// A topic's identity. A recreated topic has another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub u128);

impl TopicId {
    /// Kafka's "no topic id".
    pub const ZERO: TopicId = TopicId(0);
    /// The id of the metadata topic `__meta`, the same in every cluster.
    pub const META: TopicId = TopicId(1);

    /// The id as Kafka writes it in text: 22 characters of URL-safe base64.
    pub fn to_base64(self) -> String {
        // 22 times 6 bits are four more than the id has; they are zeros at its end.
        let digits = (0..BASE64_ID_CHARS).map(|place| match 128 - 6 * (place as i32 + 1) {
            shift @ 0.. => (self.0 >> shift) & 63,
            shift => (self.0 << -shift) & 63,
        });
        digits.map(|digit| char::from(BASE64_DIGITS[digit as usize])).collect()
    }

    /// The id that Kafka writes so; `None` for any other text.
    pub fn from_base64(text: &str) -> Option<TopicId> {
        if text.len() != BASE64_ID_CHARS {
            return None;
        }
        let digits = text.bytes().map(|byte| BASE64_DIGITS.iter().position(|digit| *digit == byte));
        let digits: Vec<u128> =
            digits.map(|digit| digit.map(|digit| digit as u128)).collect::<Option<_>>()?;
        let (last, others) = digits.split_last()?;
        let id = others.iter().fold(0_u128, |id, digit| id << 6 | digit) << 2 | last >> 4;
        (last & 15 == 0).then_some(TopicId(id))
    }
}

/// Characters of an id in base64, without padding.
const BASE64_ID_CHARS: usize = 22;
const BASE64_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The identity of a node's disk, drawn when the node first starts on it (Kafka's `directory.id`). A wiped disk has
/// another one, whatever node id it serves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub u128);

impl fmt::Debug for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectoryId({self})")
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Names one partition for ever: a topic id is never used twice. Also names its Raft group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The topic.
    pub topic: TopicId,
    /// The partition within it.
    pub partition: PartitionIndex,
}

impl PartitionKey {
    /// The one partition of the metadata topic.
    pub const META: PartitionKey = PartitionKey { topic: TopicId::META, partition: PartitionIndex(0) };

    /// The key of a topic's partition.
    pub const fn new(topic: TopicId, partition: PartitionIndex) -> Self {
        PartitionKey { topic, partition }
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_is_written_as_kafka_writes_it() {
        // Java: new Uuid(0, 5), Uuid.METADATA_TOPIC_ID, new Uuid(-1, -1), new Uuid(0x0123456789abcdefL, 0xfedcba9876543210L).
        for (id, text) in [
            (5, "AAAAAAAAAAAAAAAAAAAABQ"),
            (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (u128::MAX, "_____________________w"),
            (0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, "ASNFZ4mrze_-3LqYdlQyEA"),
        ] {
            assert_eq!(TopicId(id).to_base64(), text);
            assert_eq!(TopicId::from_base64(text), Some(TopicId(id)));
        }
        for wrong in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAABR",
            "AAAAAAAAAAAAAAAAAAAA+Q",
            "größeAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(TopicId::from_base64(wrong), None, "{wrong}");
        }
    }
}
