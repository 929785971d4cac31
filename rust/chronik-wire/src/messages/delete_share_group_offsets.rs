//! DeleteShareGroupOffsets (key 92), version 0: forgets how far an empty share group has come.

use crate::error_code::ErrorCode;
use crate::types::TopicId;

message! {
    /// Asks to forget topics of a group.
    pub struct DeleteShareGroupOffsetsRequest [0..=0, flexible 0..] {
        /// The group.
        group_id: String [0..],
        /// The topics.
        topics: Vec<DeleteShareGroupOffsetsRequestTopic> [0..],
    }

    /// One topic.
    pub struct DeleteShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: String [0..],
    }

    /// The results.
    pub struct DeleteShareGroupOffsetsResponse [0..=0, flexible 0..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [0..],
        /// An error of the whole request.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
        /// The results by topic.
        responses: Vec<DeleteShareGroupOffsetsResponseTopic> [0..],
    }

    /// The result of one topic.
    pub struct DeleteShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: String [0..],
        /// The topic's id.
        topic_id: TopicId [0..],
        /// An error of this topic.
        error_code: ErrorCode [0..],
        /// The error in words.
        error_message: Option<String> [0..],
    }
}
