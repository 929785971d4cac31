//! One raft member: owns its `RawNode` and with it the log, drains `Ready` in the documented order, and keeps what
//! follows from the applied entries.
//!
//! The parts, one file each: [`open`] creates and restores; [`turn`] is the order of a turn; [`role`] notices
//! changes of role, leader or term before anything else looks; [`persist`] moves readies to the log and holds the
//! promises back until they are synced; [`apply`] turns committed entries into visible state; [`propose`], [`judge`] and
//! [`acks`] carry an append from request to answer, [`transactions`] the end of a transaction; [`barrier`] connects the read gate; [`messages`] decides what
//! raft may see, and [`standing`] what a disk that is no member may say; [`compact`] is compaction; [`lead`] is what only
//! a leader does, and [`learners`] what it does for members whose word counts for nothing; [`members`] is how members come
//! and go; [`sleep`] is hibernation; [`read`] answers questions; [`stop`] is the end.
//! Must not: know sockets, threads or clocks. Time comes with [`Shared`].

mod acks;
mod apply;
mod barrier;
mod compact;
mod judge;
mod lead;
mod learners;
mod members;
mod messages;
mod open;
mod persist;
mod propose;
mod read;
mod role;
mod sleep;
mod standing;
mod stop;
mod transactions;
mod turn;

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_log::{Index, LogConfig, PartitionLog, Term};
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::{LeaderEpoch, NodeId, Offset, PartitionKey};
use raft::eraftpb::Message;
use raft::{RawNode, Ready, StateRole};
use tokio::sync::oneshot;

use crate::config::{Standing, TopicSettings};
use crate::gate::{BarrierDesk, GateError, GatePass, ReadGate};
use crate::host::shared::Shared;
use crate::ids::node_of;
use crate::insync::InSync;
use crate::members::WantedMember;
use crate::snapshot::ReplicatedState;
use crate::storage::LogStorage;
use crate::waiter::{ParkedWaiters, Waiter};

pub(crate) use acks::Terms;
pub use acks::{Acks, AppendReceiver, Appended};
pub use lead::LeaderChange;
pub use read::{EpochEnd, FollowerProgress, ReadView, Role, TimestampedOffset};
pub use transactions::{AbortedTransaction, EndMarker, ProducerState};

pub(crate) type GateSender = oneshot::Sender<Result<GatePass, GateError>>;

/// Role, leader and term as the last turn saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Leadership {
    leads: bool,
    leader: Option<NodeId>,
    term: Term,
}

/// A ready that is written and waits for its sync.
#[derive(Debug)]
struct Unsynced {
    number: u64,
    needs_sync: bool,
    messages: Vec<Message>,
}

/// One raft member on this node.
pub struct Replica {
    key: PartitionKey,
    node: NodeId,
    /// The member that the group may make of this disk; see [`ReplicaSpec::successor`](crate::ReplicaSpec).
    successor: Option<u64>,
    /// What this replica's promises are worth, if it is not what those of the node are.
    standing: Option<Standing>,
    /// Who shall belong to the group; empty while nobody said.
    wanted: Vec<WantedMember>,
    /// The last change of members applied in this life.
    last_change: Index,
    /// This replica applied its own removal.
    has_left: bool,
    dir: String,
    /// Whether this is the member that campaigns at once in a new group.
    designated: bool,
    settings: TopicSettings,
    raw: RawNode<LogStorage>,
    /// Why the replica stopped, if it did. Then `raw` must not be touched any more.
    stopped: Option<String>,

    state: ReplicatedState,
    applied: Index,
    applied_term: Term,
    high_watermark: Offset,

    seen: Leadership,
    /// Elections started here since a leader was last known.
    attempts: u64,
    /// The election timeout in force, and the term and attempt it was computed from.
    timeout: (usize, Term, u64),
    urgent: Option<sleep::UrgentCampaign>,

    unsynced: VecDeque<Unsynced>,
    /// Number of the newest ready covered by the sync in flight.
    syncing: Option<u64>,
    /// A ready the full disk did not take. Raft stands still until it does.
    stalled: Option<Box<Ready>>,
    /// A snapshot that waits for the compacted files it begins with.
    transfer: Option<Box<compact::Transfer>>,
    /// The disk was full when this replica last wanted to write.
    met_full_disk: bool,

    gate: ReadGate<GateSender>,
    desk: BarrierDesk,
    appends: acks::Appends,
    in_sync: InSync,
    lead: lead::LeaderState,
    parked: ParkedWaiters,
    sleep: sleep::SleepState,
}

impl Replica {
    /// The partition this replica belongs to.
    pub fn key(&self) -> PartitionKey {
        self.key
    }

    /// Where its log lies on the node's disk.
    pub(crate) fn dir(&self) -> &str {
        &self.dir
    }

    /// Why the replica stopped, if it did.
    pub fn stop_reason(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// The raw raft term. Clients never see it; they see the leader epoch.
    pub fn term(&self) -> Term {
        Term(self.raw.raft.term)
    }

    /// Whether raft says that this replica leads. Only a barrier proves that it still does.
    pub fn leads(&self) -> bool {
        self.stopped.is_none() && self.raw.raft.state == StateRole::Leader
    }

    /// The leader as raft knows it here.
    pub fn leader(&self) -> Option<NodeId> {
        if self.stopped.is_some() { None } else { node_of(self.raw.raft.leader_id) }
    }

    /// The last entry applied here.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The term of the last applied entry, as clients see it.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        epoch_of(self.applied_term)
    }

    /// Next offset after the last applied record.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether the group sleeps here: it gets no ticks.
    pub fn is_asleep(&self) -> bool {
        self.sleep.asleep
    }

    /// The partition's log, for inspection.
    pub fn log(&self) -> &PartitionLog {
        &self.raw.store().log
    }

    fn log_mut(&mut self) -> &mut PartitionLog {
        &mut self.raw.mut_store().log
    }

    /// The other members of the group, with and without a vote.
    fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.raw.store().members.ids().filter_map(node_of).filter(|node| *node != self.node)
    }

    /// The other voters of the group.
    fn other_voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        let voters = self.raw.store().members.voters().iter();
        voters.filter_map(|id| node_of(*id)).filter(|node| *node != self.node)
    }

    fn is_voter(&self, node: NodeId) -> bool {
        self.raw.store().members.is_voter(self.id_of(node))
    }

    /// The member of the group on a node, as raft names it; raft's "nobody" if there is none.
    fn id_of(&self, node: NodeId) -> u64 {
        let mut ids = self.raw.store().members.ids();
        ids.find(|id| node_of(*id) == Some(node)).unwrap_or(raft::INVALID_ID)
    }

    /// What this replica's promises are worth.
    fn standing(&self, shared: &Shared) -> Standing {
        if planted(Mutant::WipedDiskVotes) {
            return Standing::Voter;
        }
        self.standing.unwrap_or(shared.standing)
    }

    /// Whether this leader applied an entry of its own term: it knows everything its predecessors committed.
    fn is_confirmed(&self) -> bool {
        self.leads() && self.applied_term == self.term()
    }

    fn wake_parked(&self) {
        self.parked.wake_all(self.key);
    }

    pub(crate) fn park(&mut self, waiter: &Arc<Waiter>) -> bool {
        self.parked.park(waiter)
    }

    pub(crate) fn unpark(&mut self, waiter: &Arc<Waiter>) {
        self.parked.unpark(waiter);
    }

    pub(crate) fn set_settings(&mut self, settings: TopicSettings, shared: &mut Shared) {
        self.settings = settings;
        if self.stopped.is_none() {
            self.settle_appends(shared);
            self.announce_in_sync(shared);
        }
    }

    pub(crate) fn set_log_config(&mut self, config: Arc<LogConfig>, shared: &mut Shared) {
        let config = shared.config.sync.log_config(config);
        if self.stopped.is_none()
            && let Err(error) = self.log_mut().set_config(config)
        {
            self.stop(format!("log settings cannot be applied: {error}"), shared);
        }
    }

    fn mark_dirty(&self, shared: &mut Shared) {
        shared.mark_dirty(self.key);
    }
}

/// Kafka's epoch field holds 31 bits. A group that lived through that many elections stops instead of lying.
fn epoch_of(term: Term) -> LeaderEpoch {
    LeaderEpoch(i32::try_from(term.0).expect("a raft term fits Kafka's 31-bit leader epoch"))
}
