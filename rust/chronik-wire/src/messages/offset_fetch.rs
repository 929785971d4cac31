//! OffsetFetch (key 9), versions 1-10: how far groups have read. Versions: 2 all topics at once · 5 leader epoch · 6
//! flexible · 7 only stable offsets · 8 several groups · 9 members of KIP-848 · 10 topic ids instead of names.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks for committed offsets.
    pub struct OffsetFetchRequest [1..=10, flexible 6..] {
        /// The group, up to version 7.
        group_id: String [1..=7],
        /// The topics, up to version 7; null asks for all.
        topics: Option<Vec<OffsetFetchRequestTopic>> [1..=7, nullable 2..=7],
        /// The groups, from version 8 on.
        groups: Vec<OffsetFetchRequestGroup> [8..],
        /// Whether offsets of open transactions make the answer fail with error 88.
        require_stable: bool [7..],
    }

    /// A topic asked about, up to version 7.
    pub struct OffsetFetchRequestTopic {
        /// The topic's name.
        name: String [1..=7],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [1..=7],
    }

    /// A group asked about.
    pub struct OffsetFetchRequestGroup {
        /// The group.
        group_id: String [8..],
        /// The member that asks, or null.
        member_id: Option<String> [9..],
        /// The member's epoch, or -1.
        member_epoch: i32 [9..] = -1,
        /// The topics; null asks for all.
        topics: Option<Vec<OffsetFetchRequestTopics>> [8..],
    }

    /// A topic asked about, from version 8 on.
    pub struct OffsetFetchRequestTopics {
        /// The topic's name, up to version 9.
        name: String [8..=9],
        /// The topic's id, from version 10 on.
        topic_id: TopicId [10..],
        /// The partitions' numbers.
        partition_indexes: Vec<i32> [8..],
    }

    /// Committed offsets.
    pub struct OffsetFetchResponse [1..=10, flexible 6..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [3..],
        /// The results by topic, up to version 7.
        topics: Vec<OffsetFetchResponseTopic> [1..=7],
        /// An error of the group, up to version 7.
        error_code: ErrorCode [2..=7],
        /// The groups, from version 8 on.
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    /// The offsets of one topic, up to version 7.
    pub struct OffsetFetchResponseTopic {
        /// The topic's name.
        name: String [1..=7],
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartition> [1..=7],
    }

    /// The offset of one partition, up to version 7.
    pub struct OffsetFetchResponsePartition {
        /// The partition's number.
        partition_index: i32 [1..=7],
        /// The offset of the next record to read; -1 if none was committed.
        committed_offset: i64 [1..=7],
        /// The epoch of the last record read, or -1.
        committed_leader_epoch: i32 [5..=7] = -1,
        /// What the client kept beside the offset.
        metadata: Option<String> [1..=7],
        /// An error of this partition.
        error_code: ErrorCode [1..=7],
    }

    /// The offsets of one group.
    pub struct OffsetFetchResponseGroup {
        /// The group.
        group_id: String [8..],
        /// The topics.
        topics: Vec<OffsetFetchResponseTopics> [8..],
        /// An error of this group.
        error_code: ErrorCode [8..],
    }

    /// The offsets of one topic, from version 8 on.
    pub struct OffsetFetchResponseTopics {
        /// The topic's name, up to version 9.
        name: String [8..=9],
        /// The topic's id, from version 10 on.
        topic_id: TopicId [10..],
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartitions> [8..],
    }

    /// The offset of one partition, from version 8 on.
    pub struct OffsetFetchResponsePartitions {
        /// The partition's number.
        partition_index: i32 [8..],
        /// The offset of the next record to read; -1 if none was committed.
        committed_offset: i64 [8..],
        /// The epoch of the last record read, or -1.
        committed_leader_epoch: i32 [8..] = -1,
        /// What the client kept beside the offset.
        metadata: Option<String> [8..],
        /// An error of this partition.
        error_code: ErrorCode [8..],
    }
}
