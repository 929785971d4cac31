//! The records of `__consumer_offsets`, as Kafka's coordinator writes them: the keys and values that group coordinators
//! and tools which read that topic agree on.
//!
//! A key begins with a 16-bit record type, a value with its 16-bit version; both stand outside the structures here. Keys
//! have one layout each, so their version is always 0.

use bytes::Bytes;

use crate::codec::NEVER;
use crate::types::TopicId;

message! {
    /// Key of a committed offset (record types 0 and 1).
    pub struct OffsetCommitKey [0..=0, flexible NEVER..] {
        /// The group.
        group: String [0..],
        /// The topic's name.
        topic: String [0..],
        /// The partition.
        partition: i32 [0..],
    }

    /// A committed offset. Versions: 1 expiry of its own · 3 leader epoch · 4 flexible, topic id.
    pub struct OffsetCommitValue [0..=4, flexible 4..] {
        /// The next offset to read.
        offset: i64 [0..],
        /// The leader epoch of the last record read, or -1.
        leader_epoch: i32 [3..] = -1,
        /// What the client wanted to remember.
        metadata: String [0..],
        /// When it was committed, in milliseconds since the Unix epoch.
        commit_timestamp: i64 [0..],
        /// When it expires whatever the broker's retention says, or -1.
        expire_timestamp: i64 [1..=1] = -1,
        /// The id of the topic, if the coordinator knew it.
        topic_id: TopicId [4.., tag 0],
    }

    /// Key of a classic group (record type 2).
    pub struct GroupMetadataKey [0..=0, flexible NEVER..] {
        /// The group.
        group: String [0..],
    }

    /// A classic group at one generation. Versions: 1 rebalance time-outs · 2 time of the state · 3 static members ·
    /// 4 flexible.
    pub struct GroupMetadataValue [0..=4, flexible 4..] {
        /// What kind of clients these are, "consumer" for consumers.
        protocol_type: String [0..],
        /// The generation.
        generation: i32 [0..],
        /// The protocol chosen, null without members.
        protocol: Option<String> [0..],
        /// The leading member's id, null without members.
        leader: Option<String> [0..],
        /// Since when the group is in its state, in milliseconds since the Unix epoch, or -1.
        current_state_timestamp: i64 [2..] = -1,
        /// The members.
        members: Vec<GroupMetadataMember> [0..],
    }

    /// A member of a classic group.
    pub struct GroupMetadataMember {
        /// Its id.
        member_id: String [0..],
        /// Its static id.
        group_instance_id: Option<String> [3..],
        /// The client's name for itself.
        client_id: String [0..],
        /// The client's address.
        client_host: String [0..],
        /// How long it may take to rejoin, in milliseconds.
        rebalance_timeout: i32 [1..],
        /// How long it may be silent, in milliseconds.
        session_timeout: i32 [0..],
        /// Its metadata for the chosen protocol.
        subscription: Bytes [0..],
        /// Its assignment.
        assignment: Bytes [0..],
    }

    /// Key of a consumer group's epoch, target epoch or partition metadata (record types 3, 4 and 6).
    pub struct ConsumerGroupKey [0..=0, flexible NEVER..] {
        /// The group.
        group_id: String [0..],
    }

    /// Key of what is recorded about one member of a consumer group (record types 5, 7 and 8).
    pub struct ConsumerGroupMemberKey [0..=0, flexible NEVER..] {
        /// The group.
        group_id: String [0..],
        /// The member.
        member_id: String [0..],
    }

    /// A consumer group's epoch.
    pub struct ConsumerGroupMetadataValue [0..=0, flexible 0..] {
        /// The epoch.
        epoch: i32 [0..],
        /// A hash over the topics the group is subscribed to.
        metadata_hash: i64 [0.., tag 0],
    }

    /// What a member of a consumer group says of itself.
    pub struct ConsumerGroupMemberMetadataValue [0..=0, flexible 0..] {
        /// Its static id.
        instance_id: Option<String> [0..],
        /// Its rack.
        rack_id: Option<String> [0..],
        /// The client's name for itself.
        client_id: String [0..],
        /// The client's address.
        client_host: String [0..],
        /// The topics it names.
        subscribed_topic_names: Vec<String> [0..],
        /// The pattern of topic names it subscribes to.
        subscribed_topic_regex: Option<String> [0..],
        /// How long it may take to give up partitions, in milliseconds, or -1.
        rebalance_timeout_ms: i32 [0..] = -1,
        /// The assignor it prefers.
        server_assignor: Option<String> [0..],
        /// What it says as a member that speaks the classic protocol.
        classic_member_metadata: Option<ClassicMemberMetadata> [0.., tag 0],
    }

    /// A member of a consumer group that speaks the classic protocol.
    pub struct ClassicMemberMetadata {
        /// How long it may be silent, in milliseconds.
        session_timeout_ms: i32 [0..],
        /// The protocols it supports, the preferred one first.
        supported_protocols: Vec<ClassicProtocol> [0..],
    }

    /// A classic protocol and a member's metadata for it.
    pub struct ClassicProtocol {
        /// Its name.
        name: String [0..],
        /// The metadata.
        metadata: Bytes [0..],
    }

    /// The epoch of a consumer group's target assignment.
    pub struct ConsumerGroupTargetAssignmentMetadataValue [0..=0, flexible 0..] {
        /// The group epoch it was computed at.
        assignment_epoch: i32 [0..],
    }

    /// A member's target assignment.
    pub struct ConsumerGroupTargetAssignmentMemberValue [0..=0, flexible 0..] {
        /// The partitions it shall have.
        topic_partitions: Vec<AssignedTopicPartitions> [0..],
    }

    /// A member's present assignment.
    pub struct ConsumerGroupCurrentMemberAssignmentValue [0..=0, flexible 0..] {
        /// The epoch it is expected to send.
        member_epoch: i32 [0..],
        /// The epoch before, which it sends if an answer was lost.
        previous_member_epoch: i32 [0..],
        /// How far it is on its way to the target.
        state: i8 [0..],
        /// The partitions it has.
        assigned_partitions: Vec<AssignedTopicPartitions> [0..],
        /// The partitions it has to give up.
        partitions_pending_revocation: Vec<AssignedTopicPartitions> [0..],
    }

    /// Partitions of one topic.
    pub struct AssignedTopicPartitions {
        /// The topic.
        topic_id: TopicId [0..],
        /// The partitions.
        partitions: Vec<i32> [0..],
    }

    /// Key of a pattern some member of a consumer group subscribes to (record type 16).
    pub struct ConsumerGroupRegularExpressionKey [0..=0, flexible NEVER..] {
        /// The group.
        group_id: String [0..],
        /// The pattern.
        regular_expression: String [0..],
    }

    /// The topics a pattern matches.
    pub struct ConsumerGroupRegularExpressionValue [0..=0, flexible 0..] {
        /// Their names.
        topics: Vec<String> [0..],
        /// The version of the cluster's metadata they were found in.
        version: i64 [0..],
        /// When, in milliseconds since the Unix epoch.
        timestamp: i64 [0..],
    }

    /// Key of a share group's epoch, target epoch or known share partitions (record types 11, 12 and 15).
    pub struct ShareGroupKey [0..=0, flexible NEVER..] {
        /// The group.
        group_id: String [0..],
    }

    /// Key of what is recorded about one member of a share group (record types 10, 13 and 14).
    pub struct ShareGroupMemberKey [0..=0, flexible NEVER..] {
        /// The group.
        group_id: String [0..],
        /// The member.
        member_id: String [0..],
    }

    /// What a member of a share group says of itself.
    pub struct ShareGroupMemberMetadataValue [0..=0, flexible 0..] {
        /// Its rack.
        rack_id: Option<String> [0..],
        /// The client's name for itself.
        client_id: String [0..],
        /// The client's address.
        client_host: String [0..],
        /// The topics it names.
        subscribed_topic_names: Vec<String> [0..],
    }

    /// A share group's epoch.
    pub struct ShareGroupMetadataValue [0..=0, flexible 0..] {
        /// The epoch.
        epoch: i32 [0..],
        /// A hash over the topics the group is subscribed to.
        metadata_hash: i64 [0..],
    }

    /// The epoch of a share group's target assignment.
    pub struct ShareGroupTargetAssignmentMetadataValue [0..=0, flexible 0..] {
        /// The group epoch it was computed at.
        assignment_epoch: i32 [0..],
        /// When it was computed, in milliseconds since the Unix epoch.
        assignment_timestamp: i64 [0.., tag 0],
    }

    /// A member's target assignment.
    pub struct ShareGroupTargetAssignmentMemberValue [0..=0, flexible 0..] {
        /// The partitions it shall have.
        topic_partitions: Vec<AssignedTopicPartitions> [0..],
    }

    /// A member's present assignment.
    pub struct ShareGroupCurrentMemberAssignmentValue [0..=0, flexible 0..] {
        /// The epoch it is expected to send.
        member_epoch: i32 [0..],
        /// The epoch before, which it sends if an answer was lost.
        previous_member_epoch: i32 [0..],
        /// How far it is on its way to the target.
        state: i8 [0..],
        /// The partitions it has.
        assigned_partitions: Vec<AssignedTopicPartitions> [0..],
    }

    /// The share partitions of a share group whose state the share coordinator has, is to have and is to lose.
    pub struct ShareGroupStatePartitionMetadataValue [0..=0, flexible 0..] {
        /// The partitions whose state is about to begin.
        initializing_topics: Vec<ShareTopicPartitions> [0..],
        /// The partitions whose state has begun.
        initialized_topics: Vec<ShareTopicPartitions> [0..],
        /// The topics whose state is about to be forgotten.
        deleting_topics: Vec<ShareTopic> [0..],
    }

    /// Partitions of one topic.
    pub struct ShareTopicPartitions {
        /// The topic.
        topic_id: TopicId [0..],
        /// Its name.
        topic_name: String [0..],
        /// The partitions.
        partitions: Vec<i32> [0..],
    }

    /// A topic.
    pub struct ShareTopic {
        /// The topic.
        topic_id: TopicId [0..],
        /// Its name.
        topic_name: String [0..],
    }
}

nullable_struct!(ClassicMemberMetadata);
