//! OffsetCommit (key 8), versions 2-10: keeps how far a group has read. Versions: 5 without retention time · 6 leader
//! epoch · 7 static members · 8 flexible · 9 member epochs of KIP-848 · 10 topic ids instead of names.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks to keep offsets.
    pub struct OffsetCommitRequest [2..=10, flexible 8..] {
        /// The group.
        group_id: String [2..],
        /// The generation of a classic group or the member's epoch; -1 from a client that is no member.
        generation_id_or_member_epoch: i32 [2..] = -1,
        /// The member, or empty.
        member_id: String [2..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<String> [7..],
        /// How long to keep the offsets, in milliseconds; -1 for the default. Up to version 4.
        retention_time_ms: i64 [2..=4] = -1,
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic> [2..],
    }

    /// The offsets of one topic.
    pub struct OffsetCommitRequestTopic {
        /// The topic's name, up to version 9.
        name: String [2..=9],
        /// The topic's id, from version 10 on.
        topic_id: TopicId [10..],
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition> [2..],
    }

    /// The offset of one partition.
    pub struct OffsetCommitRequestPartition {
        /// The partition's number.
        partition_index: i32 [2..],
        /// The offset of the next record to read.
        committed_offset: i64 [2..],
        /// The epoch of the last record read, or -1.
        committed_leader_epoch: i32 [6..] = -1,
        /// What the client wishes to keep beside the offset.
        committed_metadata: Option<String> [2..],
    }

    /// What became of the offsets.
    pub struct OffsetCommitResponse [2..=10, flexible 8..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [3..],
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic> [2..],
    }

    /// The results of one topic.
    pub struct OffsetCommitResponseTopic {
        /// The topic's name, up to version 9.
        name: String [2..=9],
        /// The topic's id, from version 10 on.
        topic_id: TopicId [10..],
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition> [2..],
    }

    /// The result of one partition.
    pub struct OffsetCommitResponsePartition {
        /// The partition's number.
        partition_index: i32 [2..],
        /// An error of this partition.
        error_code: ErrorCode [2..],
    }
}
