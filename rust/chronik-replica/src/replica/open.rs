//! Birth of a replica: open the log, restore the newest snapshot, start raft at the restored index.

use chronik_log::{Index, LogError, PartitionLog, Term};
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::PartitionKey;
use raft::{Config, RawNode, ReadOnlyOption};

use super::{Leadership, Replica, acks, lead, sleep};
use crate::config::{ReplicaSpec, Standing};
use crate::counters::ReplicaCounters;
use crate::error::ReplicaError;
use crate::gate::{BarrierDesk, ReadGate};
use crate::host::shared::Shared;
use crate::ids::{MemberId, raft_id};
use crate::insync::InSync;
use crate::limits;
use crate::members::Members;
use crate::producers::Producers;
use crate::snapshot::{ReplicatedState, RestoreError};
use crate::storage::{LogStorage, term_of};
use crate::waiter::ParkedWaiters;

impl Replica {
    /// Opens the log of `spec` and starts raft on it. The designated voter campaigns at once.
    pub(crate) fn open(spec: ReplicaSpec, shared: &mut Shared) -> Result<Replica, ReplicaError> {
        check(&spec, shared)?;
        let key = spec.key;
        let log_error = |source| ReplicaError::Log { key, source };
        let log_config = shared.config.sync.log_config(spec.log);
        let opened = PartitionLog::open(shared.disk.clone(), &spec.dir, log_config);
        count_repairs(&opened, &shared.counters);
        let mut log = opened.map_err(log_error)?;
        let mut state = ReplicatedState { machine: spec.machine, ..ReplicatedState::default() };
        let mut members = Members::of(spec.voters.iter().copied().map(MemberId::founder));
        let mut applied = Index::ZERO;
        if let Some(stored) = log.newest_snapshot().map_err(log_error)? {
            state.restore(stored.machine).map_err(|error| restore_error(key, error))?;
            members = Members::decode(stored.conf_state)
                .map_err(|source| ReplicaError::Snapshot { key, source })?;
            applied = stored.index;
            // The log start is written without a sync: a crash may have taken it back to before the snapshot, and
            // the entry that moved it is not replayed any more.
            log.set_log_start(stored.log_start).map_err(log_error)?;
        }
        if planted(Mutant::ProducersNotReplayed) && state.machine.is_none() {
            applied = applied.max(log.hard_state().commit);
            state.producers = Producers::forgetful();
        }
        let applied_term = term_of(&log, applied).map_err(log_error)?;
        let high_watermark = log.offset_after_index(applied).map_err(log_error)?;
        let round_timeout_ms = shared.config.round_timeout_ms();
        let node = shared.config.node;
        let successor = spec.successor.map(|generation| raft_id(MemberId { node, generation }));
        let named = raft_id(MemberId { node, generation: spec.generation });
        // A disk that its group took in place of a lost one is that member since.
        let admitted = successor.filter(|successor| *successor != named && members.contains(*successor));
        let standing = if admitted.is_some() { Some(Standing::Voter) } else { spec.standing };
        let raw = start_raft(LogStorage::new(log, members), admitted.unwrap_or(named), applied, shared)
            .map_err(|error| ReplicaError::InvalidSpec { key, reason: error.to_string() })?;
        let mut replica = Replica {
            key,
            node,
            successor,
            standing,
            wanted: Vec::new(),
            last_change: Index::ZERO,
            has_left: false,
            dir: spec.dir,
            designated: spec.designated == node && spec.generation == 0,
            settings: spec.settings,
            raw,
            stopped: None,
            state,
            applied,
            applied_term,
            high_watermark,
            seen: Leadership::default(),
            attempts: 0,
            timeout: (0, Term(0), 0),
            urgent: None,
            unsynced: Default::default(),
            syncing: None,
            stalled: None,
            transfer: None,
            met_full_disk: false,
            gate: ReadGate::new(round_timeout_ms),
            desk: BarrierDesk::default(),
            appends: acks::Appends::default(),
            in_sync: InSync::default(),
            lead: lead::LeaderState::default(),
            parked: ParkedWaiters::default(),
            sleep: sleep::SleepState::default(),
        };
        replica.seen.term = replica.term();
        replica.fix_election_timeout(shared);
        shared.awake.insert(key);
        replica.want_compaction(shared);
        if replica.designated {
            replica.campaign(shared);
        }
        replica.mark_dirty(shared);
        Ok(replica)
    }
}

fn count_repairs(opened: &Result<PartitionLog, LogError>, counters: &ReplicaCounters) {
    match opened {
        Ok(log) if log.recovery().cut_bytes > 0 => counters.torn_tails_cut.increment(),
        Err(LogError::Corrupt { .. }) => counters.damage_refusals.increment(),
        _ => {}
    }
}

fn check(spec: &ReplicaSpec, shared: &Shared) -> Result<(), ReplicaError> {
    let node = shared.config.node;
    let mut sorted = spec.voters.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let reason = if spec.voters.len() > limits::VOTERS_MAX {
        format!("{} voters, above the bound of {}", spec.voters.len(), limits::VOTERS_MAX)
    } else if sorted.len() != spec.voters.len() {
        "a voter is named twice".to_owned()
    } else if spec.voters.iter().any(|voter| voter.0 < 0) {
        "a voter has a negative id".to_owned()
    } else if spec.generation == 0 && !spec.voters.contains(&node) {
        format!("node {node} is not among its voters")
    } else {
        return Ok(());
    };
    Err(ReplicaError::InvalidSpec { key: spec.key, reason })
}

fn start_raft(
    store: LogStorage,
    own: u64,
    applied: Index,
    shared: &Shared,
) -> raft::Result<RawNode<LogStorage>> {
    let mut config = Config {
        id: own,
        election_tick: shared.config.election_ticks,
        heartbeat_tick: shared.config.heartbeat_ticks,
        applied: applied.0,
        max_size_per_msg: limits::APPEND_MESSAGE_BYTES_MAX,
        max_inflight_msgs: limits::APPEND_MESSAGES_IN_FLIGHT_MAX,
        max_committed_size_per_ready: limits::COMMITTED_BYTES_PER_READY_MAX,
        check_quorum: true,
        pre_vote: true,
        batch_append: true,
        skip_bcast_commit: false,
        read_only_option: ReadOnlyOption::Safe,
        ..Config::default()
    };
    if planted(Mutant::LeaseReads) {
        config.read_only_option = ReadOnlyOption::LeaseBased;
    }
    let mut raw = RawNode::new(&config, store, &shared.logger)?;
    // Raft sets aside two kilobytes per peer for its window of messages in flight. Idle groups are many.
    raw.raft.maybe_free_inflight_buffers();
    Ok(raw)
}

pub(super) fn restore_error(key: PartitionKey, error: RestoreError) -> ReplicaError {
    match error {
        RestoreError::Codec(source) => ReplicaError::Snapshot { key, source },
        RestoreError::Machine(source) => ReplicaError::Machine { key, source },
    }
}
