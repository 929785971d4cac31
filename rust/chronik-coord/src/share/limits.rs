//! Every bound of share groups' deliveries, by name. What Kafka has as configuration comes with the calls.

/// Runs of records with different fates that a leader keeps of one share-partition, and batches its coordinator keeps.
/// All of them fit one record of the coordinator's log.
pub const RUNS_MAX: usize = 30_000;
/// Runs beyond which no further records are acquired: what is under way is to be brought to an end first.
pub const RUNS_BEFORE_NEW_RECORDS_MAX: usize = 10_000;
/// Share-partitions on one partition of the coordinator's topic.
pub const SHARE_PARTITIONS_MAX: usize = 100_000;
/// Length of a group id, in bytes.
pub const GROUP_BYTES_MAX: usize = 4_096;
/// Size of a snapshot that is read, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;
/// How long after a change of the cluster's topics the states of deleted ones go, in milliseconds: many changes make one
/// look at the states.
pub const DELETED_TOPICS_DELAY_MS: i64 = 1_000;
