//! The records of `__share_group_state`, as Kafka's share coordinator writes them: where each share partition stands.
//!
//! A key begins with a 16-bit record type, a value with its 16-bit version; both stand outside the structures here. Keys
//! have one layout each, so their version is always 0.

use super::read_share_group_state::StateBatch;
use crate::codec::NEVER;
use crate::types::TopicId;

message! {
    /// Key of a share partition's state, whole (record type 0) or changed (record type 1).
    pub struct ShareStateKey [0..=0, flexible NEVER..] {
        /// The share group.
        group_id: String [0..],
        /// The topic.
        topic_id: TopicId [0..],
        /// The partition.
        partition: i32 [0..],
    }

    /// The whole state of a share partition.
    pub struct ShareSnapshotValue [0..=0, flexible 0..] {
        /// How many times the state has been written whole.
        snapshot_epoch: i32 [0..],
        /// The state's epoch, which grows when somebody moves the start offset.
        state_epoch: i32 [0..],
        /// The epoch of the leader that wrote last.
        leader_epoch: i32 [0..],
        /// The share-partition start offset, or -1.
        start_offset: i64 [0..],
        /// How many records from the start offset on are settled, or -1.
        delivery_complete_count: i32 [0.., tag 0] = -1,
        /// When the state began, in milliseconds since the Unix epoch.
        create_timestamp: i64 [0..],
        /// When this was written, in milliseconds since the Unix epoch.
        write_timestamp: i64 [0..],
        /// The records from the start offset on that are not merely available.
        state_batches: Vec<StateBatch> [0..],
    }

    /// What has changed in the state of a share partition.
    pub struct ShareUpdateValue [0..=0, flexible 0..] {
        /// The whole state that this changes.
        snapshot_epoch: i32 [0..],
        /// The epoch of the leader that wrote this.
        leader_epoch: i32 [0..],
        /// The share-partition start offset, or -1 if unchanged.
        start_offset: i64 [0..],
        /// How many records from the start offset on are settled, or -1.
        delivery_complete_count: i32 [0.., tag 0] = -1,
        /// The ranges whose state has changed.
        state_batches: Vec<StateBatch> [0..],
    }
}
