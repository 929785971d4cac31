//! ShareGroupDescribe (key 77), version 1: share groups with their members.

use super::common::OPERATIONS_UNKNOWN;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks about share groups.
    pub struct ShareGroupDescribeRequest [1..=1, flexible 0..] {
        /// The groups asked about.
        group_ids: Vec<String> [1..],
        /// Whether to say what the client may do.
        include_authorized_operations: bool [1..],
    }

    /// The groups.
    pub struct ShareGroupDescribeResponse [1..=1, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// One result per group.
        groups: Vec<DescribedGroup> [1..],
    }

    /// One group.
    pub struct DescribedGroup {
        /// An error of this group.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [1..],
        /// The group.
        group_id: String [1..],
        /// Kafka's name of the group's state.
        group_state: String [1..],
        /// The group's epoch.
        group_epoch: i32 [1..],
        /// The epoch of the target assignment.
        assignment_epoch: i32 [1..],
        /// The assignor in use.
        assignor_name: String [1..],
        /// The members.
        members: Vec<Member> [1..],
        /// The operations the client may do on the group, as a bit field.
        authorized_operations: i32 [1..] = OPERATIONS_UNKNOWN,
    }

    /// One member.
    pub struct Member {
        /// The member's id.
        member_id: String [1..],
        /// The member's rack, or null.
        rack_id: Option<String> [1..],
        /// The member's epoch.
        member_epoch: i32 [1..],
        /// The client's id.
        client_id: String [1..],
        /// The client's address.
        client_host: String [1..],
        /// The topics subscribed to.
        subscribed_topic_names: Vec<String> [1..],
        /// What the member has.
        assignment: Assignment [1..],
    }

    /// Partitions given to a member.
    pub struct Assignment {
        /// The partitions.
        topic_partitions: Vec<TopicPartitions> [1..],
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's id.
        topic_id: TopicId [1..],
        /// The topic's name.
        topic_name: String [1..],
        /// The partitions' numbers.
        partitions: Vec<i32> [1..],
    }
}
