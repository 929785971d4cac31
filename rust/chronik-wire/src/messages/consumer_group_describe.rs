//! ConsumerGroupDescribe (key 69), versions 0-1: KIP-848 groups with their members. Versions: 1 types of members.

use super::common::OPERATIONS_UNKNOWN;
use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks about groups.
    pub struct ConsumerGroupDescribeRequest [0..=1, flexible 0..] {
        /// The groups asked about.
        group_ids: Vec<String> [0..],
        /// Whether to say what the client may do.
        include_authorized_operations: bool [0..],
    }

    /// The groups.
    pub struct ConsumerGroupDescribeResponse [0..=1, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// One result per group.
        groups: Vec<DescribedGroup> [0..],
    }

    /// One group.
    pub struct DescribedGroup {
        /// An error of this group.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The group.
        group_id: String [0..],
        /// Kafka's name of the group's state.
        group_state: String [0..],
        /// The group's epoch.
        group_epoch: i32 [0..],
        /// The epoch of the target assignment.
        assignment_epoch: i32 [0..],
        /// The assignor in use.
        assignor_name: String [0..],
        /// The members.
        members: Vec<Member> [0..],
        /// The operations the client may do on the group, as a bit field.
        authorized_operations: i32 [0..] = OPERATIONS_UNKNOWN,
    }

    /// One member.
    pub struct Member {
        /// The member's id.
        member_id: String [0..],
        /// The name of a static member, or null.
        instance_id: Option<String> [0..],
        /// The member's rack, or null.
        rack_id: Option<String> [0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The client's id.
        client_id: String [0..],
        /// The client's address.
        client_host: String [0..],
        /// The topics subscribed to.
        subscribed_topic_names: Vec<String> [0..],
        /// The regular expression subscribed to, or null.
        subscribed_topic_regex: Option<String> [0..],
        /// What the member has.
        assignment: Assignment [0..],
        /// What the member shall have.
        target_assignment: Assignment [0..],
        /// -1 unknown, 0 classic, 1 consumer.
        member_type: i8 [1..] = -1,
    }

    /// Partitions given to a member.
    pub struct Assignment {
        /// The partitions.
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's id.
        topic_id: TopicId [0..],
        /// The topic's name.
        topic_name: String [0..],
        /// The partitions' numbers.
        partitions: Vec<i32> [0..],
    }
}
