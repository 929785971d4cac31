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
}

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
