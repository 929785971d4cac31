//! DeleteTopics (key 20), versions 1-6. Versions: 4 flexible · 5 error messages · 6 by name or by id.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks to delete topics.
    pub struct DeleteTopicsRequest [1..=6, flexible 4..] {
        /// The topics, by name or by id.
        topics: Vec<DeleteTopicState> [6..],
        /// The topics, by name.
        topic_names: Vec<String> [1..=5],
        /// How long to wait until they are gone, in milliseconds.
        timeout_ms: i32 [1..],
    }

    /// A topic to delete.
    pub struct DeleteTopicState {
        /// The topic's name; null to name it by id.
        name: Option<String> [6..],
        /// The topic's id, or zero.
        topic_id: TopicId [6..],
    }

    /// What became of each topic.
    pub struct DeleteTopicsResponse [1..=6, flexible 4..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// One result per topic.
        responses: Vec<DeletableTopicResult> [1..],
    }

    /// What became of one topic.
    pub struct DeletableTopicResult {
        /// The topic's name; null when it was named by an id that is unknown.
        name: Option<String> [1.., nullable 6..],
        /// The topic's id.
        topic_id: TopicId [6..],
        /// An error of this topic.
        error_code: ErrorCode [1..],
        /// The error in words.
        error_message: Option<String> [5..],
    }
}
