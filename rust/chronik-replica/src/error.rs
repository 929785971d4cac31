//! What can go wrong, one small enum per family of calls. The broker maps each to Kafka codes in one place.

use chronik_wire::types::{NodeId, Offset, PartitionKey};

/// A call about a replica as a whole failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// This host has no such replica.
    #[error("partition {0:?} is not hosted here; refresh the metadata")]
    NotHosted(PartitionKey),
    /// The replica exists already.
    #[error("partition {0:?} is hosted here already; remove it first")]
    AlreadyHosted(PartitionKey),
    /// The specification cannot work.
    #[error("partition {key:?} cannot be created: {reason}")]
    InvalidSpec {
        /// The partition.
        key: PartitionKey,
        /// What is wrong with it.
        reason: String,
    },
    /// The replica stopped after a storage fault or a broken invariant.
    #[error("partition {key:?} stopped on this node: {reason}; restart the node after checking its disk")]
    Stopped {
        /// The partition.
        key: PartitionKey,
        /// What stopped it.
        reason: String,
    },
    /// Only the leader can do this.
    #[error("partition {key:?} is not led here; ask node {leader:?}")]
    NotLeader {
        /// The partition.
        key: PartitionKey,
        /// The leader, if one is known.
        leader: Option<NodeId>,
    },
    /// The target of a transfer is not a voter.
    #[error("node {node} is no voter of partition {key:?}; choose one of its replicas")]
    NotVoter {
        /// The partition.
        key: PartitionKey,
        /// The node.
        node: NodeId,
    },
    /// The new log start lies above the high watermark.
    #[error("log start of partition {key:?} cannot move to {to}; the high watermark is {high_watermark}")]
    LogStartAboveEnd {
        /// The partition.
        key: PartitionKey,
        /// The requested log start.
        to: Offset,
        /// The present high watermark.
        high_watermark: Offset,
    },
    /// The log failed.
    #[error("log of partition {key:?} failed: {source}")]
    Log {
        /// The partition.
        key: PartitionKey,
        /// What the log said.
        #[source]
        source: chronik_log::LogError,
    },
    /// The record that tells who the node's disk is cannot be used.
    #[error(
        "identity of this node's disk: {source}; give the node its own disk, or an empty one to follow without a vote"
    )]
    Identity {
        /// What the disk or the record said.
        #[source]
        source: chronik_log::LogError,
    },
    /// The machine did not accept its snapshot.
    #[error("partition {key:?}: {source}")]
    Machine {
        /// The partition.
        key: PartitionKey,
        /// What the machine said.
        #[source]
        source: crate::MachineError,
    },
    /// A stored snapshot does not decode.
    #[error("snapshot of partition {key:?} does not decode: {source}")]
    Snapshot {
        /// The partition.
        key: PartitionKey,
        /// What is wrong with it.
        #[source]
        source: crate::CodecError,
    },
}

impl ReplicaError {
    /// Whether opening the replica again may succeed although nobody repaired anything: the process ran out of
    /// descriptors, or the disk of space. Nothing was promised in between, and no sync has failed.
    pub fn is_passing(&self) -> bool {
        matches!(self, ReplicaError::Log { source, .. } if source.is_passing())
    }

    /// Whether what the replica had written is damaged: it will never open again, and its peers have what it held.
    pub fn is_damage(&self) -> bool {
        match self {
            ReplicaError::Log { source, .. } => matches!(source, chronik_log::LogError::Corrupt { .. }),
            ReplicaError::Snapshot { .. } => true,
            _ => false,
        }
    }
}

/// An append got no offset. Each variant says what the client may conclude.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Not leader, or a leadership transfer is under way, and nothing was appended; or the entry is known to be
    /// truncated. Failed for sure.
    #[error("not the leader; ask node {hint:?}")]
    NotLeader {
        /// The leader, if one is known.
        hint: Option<NodeId>,
    },
    /// Fewer members in sync than `min.insync.replicas`; nothing was appended.
    #[error("{in_sync} members in sync, {required} required; wait for replicas to catch up")]
    NotEnoughReplicas {
        /// Members in sync.
        in_sync: usize,
        /// `min.insync.replicas`.
        required: usize,
    },
    /// Committed and visible, but at the deadline on fewer members than `min.insync.replicas`.
    #[error("committed on fewer members than min.insync.replicas; wait for replicas to catch up")]
    NotEnoughReplicasAfterAppend,
    /// Appended, and its fate was open at the deadline or when leadership was lost.
    #[error("appended but not known to be committed; retry with an idempotent producer")]
    TimedOut,
    /// The disk is full, or the replica stopped, before the append. Failed for sure.
    #[error("storage of this replica failed or is full; nothing was appended")]
    Storage,
    /// The batch's sequence number leaves a gap.
    #[error("sequence {first} of producer {producer} does not follow {last}")]
    OutOfOrderSequence {
        /// The producer id.
        producer: i64,
        /// The batch's first sequence number.
        first: i32,
        /// The last sequence number accepted, -1 for none.
        last: i32,
    },
    /// A newer epoch of the same producer is known.
    #[error("epoch {epoch} of producer {producer} is fenced by epoch {current}")]
    InvalidProducerEpoch {
        /// The producer id.
        producer: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The newest epoch known.
        current: i16,
    },
    /// The coordinator of the producer's transactions is an older one.
    #[error("coordinator epoch {epoch} of producer {producer} is fenced by epoch {current}")]
    CoordinatorFenced {
        /// The producer id.
        producer: i64,
        /// The marker's coordinator epoch.
        epoch: i32,
        /// The newest coordinator epoch known.
        current: i32,
    },
    /// The producer's transaction is open and takes no records from outside it.
    #[error("the transaction of producer {producer} is open; end it before other records")]
    InvalidTransactionState {
        /// The producer id.
        producer: i64,
    },
    /// The batch would open a transaction, and whether the partition belongs to it is not known, or not any more, or
    /// that of an older epoch has not ended here; nothing was appended.
    #[error(
        "partition is not known to be in the transaction of producer {producer}; retry to have it verified"
    )]
    Unverified {
        /// The producer id.
        producer: i64,
    },
    /// Too many batches wait here, or too many transactions are open or were aborted; nothing was appended.
    #[error("too many batches or transactions wait in partition {0:?}; slow down and retry")]
    Overloaded(PartitionKey),
    /// The bytes are not a batch of magic 2. The caller should have checked.
    #[error("not a record batch of magic 2")]
    InvalidBatch,
    /// This host has no such replica; nothing was appended.
    #[error("partition {0:?} is not hosted here; refresh the metadata")]
    NotHosted(PartitionKey),
}

/// A read of the log failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// This host has no such replica.
    #[error("partition {0:?} is not hosted here; refresh the metadata")]
    NotHosted(PartitionKey),
    /// The replica stopped after a storage fault.
    #[error("partition {0:?} stopped on this node; read from another replica")]
    Stopped(PartitionKey),
    /// The offset lies outside the log.
    #[error("offset {offset} is outside [{log_start}, {high_watermark}]; reset the position")]
    OutOfRange {
        /// The requested offset.
        offset: Offset,
        /// The first readable offset.
        log_start: Offset,
        /// The end of what is visible.
        high_watermark: Offset,
    },
    /// The log failed or its bytes are damaged.
    #[error("log read failed: {0}")]
    Storage(#[source] chronik_log::LogError),
}
