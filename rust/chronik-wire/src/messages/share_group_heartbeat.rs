//! ShareGroupHeartbeat (key 76), version 1: the one request of a member of a share group. A field that is null has not
//! changed since the member's last heartbeat.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Says that a member is alive, and what has changed.
    pub struct ShareGroupHeartbeatRequest [1..=1, flexible 0..] {
        /// The group.
        group_id: String [1..],
        /// The id the member has chosen for itself.
        member_id: String [1..],
        /// The member's epoch: 0 joins, -1 leaves.
        member_epoch: i32 [1..],
        /// The member's rack, or null.
        rack_id: Option<String> [1..],
        /// The topics subscribed to, or null.
        subscribed_topic_names: Option<Vec<String>> [1..],
    }

    /// Says what the member should do.
    pub struct ShareGroupHeartbeatResponse [1..=1, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// An error, or 0.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// The member's id; null after an error.
        member_id: Option<String> [1..],
        /// The member's epoch.
        member_epoch: i32 [1..],
        /// How long to wait before the next heartbeat, in milliseconds.
        heartbeat_interval_ms: i32 [1..],
        /// What the member is given; null if unchanged.
        assignment: Option<Assignment> [1..],
    }

    /// What the member is given.
    pub struct Assignment {
        /// The partitions given.
        topic_partitions: Vec<TopicPartitions> [1..],
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's id.
        topic_id: TopicId [1..],
        /// The partitions' numbers.
        partitions: Vec<i32> [1..],
    }
}

nullable_struct!(Assignment);
