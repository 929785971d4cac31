//! ConsumerGroupHeartbeat (key 68), versions 0-1: the one request of a member of a KIP-848 group. A field that is null
//! has not changed since the member's last heartbeat. Versions: 1 regular expressions, and members choose their own
//! id.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Says that a member is alive, and what has changed.
    pub struct ConsumerGroupHeartbeatRequest [0..=1, flexible 0..] {
        /// The group.
        group_id: String [0..],
        /// The member; empty for a first heartbeat of version 0.
        member_id: String [0..],
        /// The member's epoch: 0 joins, -1 leaves, -2 leaves for a restart as a static member.
        member_epoch: i32 [0..],
        /// The name of a static member, or null.
        instance_id: Option<String> [0..],
        /// The member's rack, or null.
        rack_id: Option<String> [0..],
        /// How long the member may take to give up partitions, in milliseconds; -1 if unchanged.
        rebalance_timeout_ms: i32 [0..] = -1,
        /// The topics subscribed to, or null.
        subscribed_topic_names: Option<Vec<String>> [0..],
        /// The regular expression subscribed to, or null.
        subscribed_topic_regex: Option<String> [1..],
        /// The assignor wanted, or null.
        server_assignor: Option<String> [0..],
        /// The partitions the member owns, or null.
        topic_partitions: Option<Vec<TopicPartitions>> [0..],
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }

    /// Says what the member should do.
    pub struct ConsumerGroupHeartbeatResponse [0..=1, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error, or 0.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The member's id; null after an error.
        member_id: Option<String> [0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// How long to wait before the next heartbeat, in milliseconds.
        heartbeat_interval_ms: i32 [0..],
        /// What the member is given; null if unchanged.
        assignment: Option<Assignment> [0..],
    }

    /// What the member is given.
    pub struct Assignment {
        /// The partitions given.
        topic_partitions: Vec<TopicPartitions> [0..],
    }
}

nullable_struct!(Assignment);
