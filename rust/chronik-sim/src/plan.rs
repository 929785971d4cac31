//! What a schedule does: the cluster, the network, the clients and every fault with its time. A plan follows from a seed,
//! can be shortened by leaving faults out, and is kept as a file.
//!
//! Chance during the run (latencies, which bytes survive a crash, what clients write) comes from the plan's seed alone, so
//! a plan decides everything.

mod draw;

use serde::{Deserialize, Serialize};

/// A whole schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Seed of all chance during the run.
    pub seed: u64,
    /// Simulated length of the phase with faults, in milliseconds.
    pub duration_ms: u64,
    /// The cluster.
    pub cluster: ClusterPlan,
    /// Links between nodes, and between clients and nodes.
    pub network: NetworkPlan,
    /// What clients do.
    pub workload: WorkloadPlan,
    /// The faults, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// Nodes, disks, timers and topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// How many nodes; ids from 1.
    pub nodes: i32,
    /// Partitions of each topic; every partition has a replica on each node.
    pub topics: Vec<i32>,
    /// When bytes count as persisted.
    pub durability: Durability,
    /// Length of a Raft tick in milliseconds; election and heartbeat follow from it.
    pub tick_ms: u64,
    /// Mean time a sync takes, in microseconds.
    pub sync_us: u64,
    /// Longest time between an input and the turn that handles it, in microseconds.
    pub turn_us: u64,
    /// How fast each node's clock runs: 1,000 is right, 500 half as fast.
    pub clock_per_mille: Vec<u64>,
    /// Segment size of the topics, in bytes.
    pub segment_bytes: u64,
    /// Members that must have persisted a batch before it is acknowledged.
    pub min_insync: i32,
    /// Size above which old records of the topics may be dropped, in bytes; 0 keeps them.
    pub retention_bytes: u64,
    /// Age above which records of the topics may be dropped, in milliseconds; 0 keeps them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retention_ms: u64,
    /// The topics are compacted. Every record has a key of its own, so that none is ever superseded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compacted: bool,
    /// The read gate is switched off: such a cluster must be caught lying.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gate_off: bool,
}

impl ClusterPlan {
    /// Whether a write needs more members than the commit of its entry.
    pub(crate) fn has_strict_writes(&self) -> bool {
        self.min_insync > self.nodes / 2 + 1
    }
}

/// When bytes count as persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Synced by a disk thread, while turns go on.
    Fsync,
    /// Synced inside the turn.
    FsyncInline,
    /// Never synced: machines do not lose power in such a plan, only processes die.
    Os,
}

/// How links behave when nothing is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Mean time from one node to another, in microseconds.
    pub latency_us: u64,
    /// Whether messages of one link arrive in order, as on a stream.
    pub ordered: bool,
    /// What happens to messages all the time.
    #[serde(flatten)]
    pub noise: Noise,
    /// How many of a thousand messages under way survive a cut.
    pub survive_per_mille: u64,
}

/// What happens to messages by chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// How many of a thousand messages are lost.
    pub loss_per_mille: u64,
    /// How many of a thousand messages arrive twice.
    pub repeat_per_mille: u64,
    /// How many of a thousand messages are late by up to three seconds.
    pub late_per_mille: u64,
}

/// What clients do, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadPlan {
    /// Producers that give up a batch that was not acknowledged.
    pub writers: usize,
    /// Idempotent producers that repeat a batch until it is acknowledged.
    pub idempotent_writers: usize,
    /// Batches an idempotent producer has under way.
    pub pipeline: usize,
    /// Records per batch, at most.
    pub batch_records: u64,
    /// Clients per node that ask that node about the end of the log, again and again.
    pub end_readers: usize,
    /// Clients per node that ask that node about all partitions at once, in a fetch session.
    pub session_readers: usize,
    /// Clients per node that read that node from the start to the end.
    pub scanners: usize,
    /// Clients that follow the log wherever metadata and hints send them.
    pub consumers: usize,
    /// Whether producers also write to pinned addresses, which forward.
    pub pinned_writes: bool,
    /// Whether somebody deletes and recreates a topic of its own.
    pub topic_churn: bool,
    /// Mean pause of a client between requests, in milliseconds.
    pub pause_ms: u64,
    /// How long all clients rest together now and then, so that groups fall asleep, in milliseconds; 0 if never.
    #[serde(default)]
    pub rest_ms: u64,
    /// Transactional ids; each has a producer that works in transactions.
    #[serde(default)]
    pub transactional_writers: usize,
    /// Whether each of them has a second producer, so that the two replace each other.
    #[serde(default)]
    pub rivals: bool,
    /// Whether somebody deletes records from the start of logs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes_records: bool,
    /// Members of a group that speaks the classic protocol.
    #[serde(default, skip_serializing_if = "is_none")]
    pub members: usize,
    /// Members of a group that speaks the newer protocol (KIP-848).
    #[serde(default, skip_serializing_if = "is_none")]
    pub newer_members: usize,
    /// Members of a group whose members copy every record, each in a transaction with the group's position.
    #[serde(default, skip_serializing_if = "is_none")]
    pub copiers: usize,
    /// Whether these speak the newer protocol.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub newer_copiers: bool,
    /// Records have keys, as compacted topics demand: each its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyed: bool,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins, in milliseconds since the topics are there.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds; a crash's is the time until the restart.
    #[serde(default)]
    pub for_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// Which node a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The node of that id.
    Node(i32),
    /// Whoever leads the partition of that number when the fault begins, over all topics.
    LeaderOf(usize),
}

/// What becomes of unsynced bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsynced {
    /// Lost.
    Drop,
    /// Some survive, by sectors.
    Torn,
    /// All survive: the process died, the machine did not.
    Keep,
}

/// Kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum FaultKind {
    /// A node goes down and comes back.
    Crash {
        /// Which.
        target: Target,
        /// What it loses.
        unsynced: Unsynced,
        /// Whether the others are told at once, as by a closed connection on the same machine.
        told: bool,
        /// The power goes in the middle of a turn, after that many more changes of the disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_changes: Option<u64>,
    },
    /// All nodes lose power at once and come back one after the other.
    PowerCut {
        /// What they lose.
        unsynced: Unsynced,
    },
    /// A node stands still; what is sent to it waits and is taken interleaved with new requests.
    Pause {
        /// Which.
        target: Target,
    },
    /// Links between nodes carry nothing.
    Cut {
        /// Which links.
        shape: CutShape,
    },
    /// All links get worse.
    Noise(Noise),
    /// A node's disk takes longer to sync.
    SlowDisk {
        /// Which node.
        target: Target,
        /// Mean time of a sync, in microseconds.
        sync_us: u64,
    },
    /// A node takes longer over each turn.
    SlowNode {
        /// Which.
        target: Target,
        /// Longest time until a turn, in microseconds.
        turn_us: u64,
    },
    /// A node's disk has little room left.
    FullDisk {
        /// Which node.
        target: Target,
        /// Room beyond what Raft keeps for itself, in bytes.
        room_bytes: u64,
    },
    /// Syncs of a node fail; the node is restarted at the end, since a failed sync is never retried.
    SyncError {
        /// Which node.
        target: Target,
        /// How many syncs fail.
        syncs: u32,
    },
    /// Operations on a node's files fail; the node is restarted at the end if a replica stopped.
    BadDisk {
        /// Which node.
        target: Target,
        /// What fails.
        operation: DiskOperation,
        /// How many of them fail.
        times: u32,
    },
    /// A bit of what a node had synced flips while the node is down.
    BitFlip {
        /// Which node.
        target: Target,
    },
    /// A node comes back with an empty disk.
    Wipe {
        /// Which.
        target: Target,
        /// The new disk is admitted in place of the lost one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        readmitted: bool,
    },
    /// A node's wall clock jumps.
    ClockJump {
        /// Which node.
        target: Target,
        /// By how much, in milliseconds.
        by_ms: i64,
    },
    /// Leadership is handed over.
    Transfer {
        /// The partition, over all topics.
        partition: usize,
        /// To whom.
        to: i32,
    },
    /// The state of the whole cluster is taken, and put back at the end: what happened in between has not happened.
    Rewind,
    /// A new node joins the cluster.
    AddNode,
    /// A node leaves the cluster for good, if the others can hold what it held.
    RemoveNode {
        /// Which.
        node: i32,
    },
    /// A partition moves.
    Reassign {
        /// The partition, over all topics.
        partition: usize,
        /// The node that it shall not be on, if there are enough others.
        without: i32,
    },
}

/// What fails on a bad disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskOperation {
    /// Opening or creating a file.
    Open,
    /// Reading, with an error.
    Read,
    /// Reading, with the bytes of another place.
    MisdirectedRead,
    /// Writing.
    Write,
    /// Syncing a directory.
    SyncDir,
}

/// Which links a cut takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutShape {
    /// One node from all others.
    Isolate(Target),
    /// One node hears nobody.
    Deaf(Target),
    /// Nobody hears one node.
    Mute(Target),
    /// Two nodes from each other.
    Pair(i32, i32),
    /// One direction between two nodes.
    OneWay(i32, i32),
    /// Every node hears only its predecessor.
    Ring,
    /// Two sides that only one node connects.
    Bridge(i32),
}

impl FaultKind {
    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Crash { after_changes: Some(_), .. } => "power cut in the middle of a turn",
            FaultKind::Crash { unsynced: Unsynced::Keep, .. } => "process kill",
            FaultKind::Crash { unsynced: Unsynced::Drop, .. } => "crash, unsynced bytes lost",
            FaultKind::Crash { unsynced: Unsynced::Torn, .. } => "crash, unsynced bytes torn",
            FaultKind::PowerCut { .. } => "power cut of the cluster",
            FaultKind::Pause { .. } => "pause",
            FaultKind::Cut { shape } => match shape {
                CutShape::Isolate(_) => "cut: isolated node",
                CutShape::Deaf(_) => "cut: deaf node",
                CutShape::Mute(_) => "cut: mute node",
                CutShape::Pair(..) => "cut: pair",
                CutShape::OneWay(..) => "cut: one way",
                CutShape::Ring => "cut: ring",
                CutShape::Bridge(_) => "cut: bridge",
            },
            FaultKind::Noise(_) => "loss, repetition and delay",
            FaultKind::SlowDisk { .. } => "slow disk",
            FaultKind::SlowNode { .. } => "slow node",
            FaultKind::FullDisk { .. } => "full disk",
            FaultKind::SyncError { .. } => "failed sync",
            FaultKind::BadDisk { operation, .. } => match operation {
                DiskOperation::Open => "files cannot be opened",
                DiskOperation::Read => "failing read",
                DiskOperation::MisdirectedRead => "misdirected read",
                DiskOperation::Write => "failing write",
                DiskOperation::SyncDir => "failing directory sync",
            },
            FaultKind::BitFlip { .. } => "bit flip",
            FaultKind::Wipe { readmitted: true, .. } => "wiped disk, admitted again",
            FaultKind::Wipe { .. } => "wiped disk",
            FaultKind::ClockJump { .. } => "wall clock jump",
            FaultKind::Transfer { .. } => "leader transfer",
            FaultKind::Rewind => "state put back",
            FaultKind::AddNode => "node joins",
            FaultKind::RemoveNode { .. } => "node leaves",
            FaultKind::Reassign { .. } => "partition moves",
        }
    }
}

impl Plan {
    /// The plan that a seed stands for, with a fault phase of `duration_ms`.
    pub fn draw(seed: u64, duration_ms: u64) -> Plan {
        draw::plan(seed, duration_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_file() {
        for seed in 0..200 {
            let plan = Plan::draw(seed, 60_000);
            assert_eq!(plan, Plan::draw(seed, 60_000));
            let text = toml::to_string(&plan).expect("a plan is plain data");
            assert_eq!(toml::from_str::<Plan>(&text).expect("its own text"), plan, "{text}");
        }
    }
}
