//! CreateTopics (key 19), versions 2-7. Versions: 4 default partitions and replicas as -1 · 5 flexible, configuration
//! in the answer · 7 topic ids.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks for new topics.
    pub struct CreateTopicsRequest [2..=7, flexible 5..] {
        /// The topics to create.
        topics: Vec<CreatableTopic> [2..],
        /// How long to wait for them, in milliseconds.
        timeout_ms: i32 [2..] = 60_000,
        /// Whether only to check the request.
        validate_only: bool [2..],
    }

    /// A topic to create.
    pub struct CreatableTopic {
        /// The topic's name.
        name: String [2..],
        /// The number of partitions; -1 for the default or with assignments.
        num_partitions: i32 [2..],
        /// The number of replicas; -1 for the default or with assignments.
        replication_factor: i16 [2..],
        /// Replicas chosen by hand, or none.
        assignments: Vec<CreatableReplicaAssignment> [2..],
        /// Configuration that differs from the default.
        configs: Vec<CreatableTopicConfig> [2..],
    }

    /// The replicas of one partition.
    pub struct CreatableReplicaAssignment {
        /// The partition's number.
        partition_index: i32 [2..],
        /// The nodes to hold its replicas.
        broker_ids: Vec<i32> [2..],
    }

    /// One configuration entry.
    pub struct CreatableTopicConfig {
        /// The key.
        name: String [2..],
        /// The value.
        value: Option<String> [2..],
    }

    /// What became of each topic.
    pub struct CreateTopicsResponse [2..=7, flexible 5..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [2..],
        /// One result per topic.
        topics: Vec<CreatableTopicResult> [2..],
    }

    /// What became of one topic.
    pub struct CreatableTopicResult {
        /// The topic's name.
        name: String [2..],
        /// The new topic's id.
        topic_id: TopicId [7..],
        /// An error of this topic.
        error_code: ErrorCode [2..],
        /// The error in words.
        error_message: Option<String> [2..],
        /// Why the configuration could not be shown.
        topic_config_error_code: ErrorCode [5.., tag 0],
        /// The number of partitions, or -1.
        num_partitions: i32 [5..] = -1,
        /// The number of replicas, or -1.
        replication_factor: i16 [5..] = -1,
        /// The new topic's configuration.
        configs: Option<Vec<CreatableTopicConfigs>> [5..] = Some(Vec::new()),
    }

    /// One configuration entry of a new topic.
    pub struct CreatableTopicConfigs {
        /// The key.
        name: String [5..],
        /// The value.
        value: Option<String> [5..],
        /// Whether it cannot be changed.
        read_only: bool [5..],
        /// Where the value comes from.
        config_source: i8 [5..] = -1,
        /// Whether the value is secret.
        is_sensitive: bool [5..],
    }
}
