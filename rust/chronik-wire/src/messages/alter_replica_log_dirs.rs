//! AlterReplicaLogDirs (key 34), versions 1-2: moves replicas between the directories of a broker. Versions: 2
//! flexible.

use crate::error_code::ErrorCode;

message! {
    /// Asks to move replicas.
    pub struct AlterReplicaLogDirsRequest [1..=2, flexible 2..] {
        /// The directories that get replicas.
        dirs: Vec<AlterReplicaLogDir> [1..],
    }

    /// The replicas one directory shall get.
    pub struct AlterReplicaLogDir {
        /// The directory's absolute path.
        path: String [1..],
        /// The topics.
        topics: Vec<AlterReplicaLogDirTopic> [1..],
    }

    /// The partitions of one topic.
    pub struct AlterReplicaLogDirTopic {
        /// The topic's name.
        name: String [1..],
        /// The partitions' numbers.
        partitions: Vec<i32> [1..],
    }

    /// What became of the replicas.
    pub struct AlterReplicaLogDirsResponse [1..=2, flexible 2..] {
        /// How long the client should wait before it sends again, in milliseconds.
        throttle_time_ms: i32 [1..],
        /// The results by topic.
        results: Vec<AlterReplicaLogDirTopicResult> [1..],
    }

    /// The results of one topic.
    pub struct AlterReplicaLogDirTopicResult {
        /// The topic's name.
        topic_name: String [1..],
        /// The partitions.
        partitions: Vec<AlterReplicaLogDirPartitionResult> [1..],
    }

    /// The result of one partition.
    pub struct AlterReplicaLogDirPartitionResult {
        /// The partition's number.
        partition_index: i32 [1..],
        /// An error of this partition.
        error_code: ErrorCode [1..],
    }
}
