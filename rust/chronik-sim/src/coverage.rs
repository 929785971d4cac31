//! Rare paths, each with the counter that shows that it was taken. A gate that never took one of them proves nothing
//! about it, and fails.

use std::collections::BTreeMap;

/// A path and the counter of it.
#[derive(Clone, Copy, Debug)]
pub struct RarePath {
    /// The counter, as nodes report it.
    pub counter: &'static str,
    /// What it shows.
    pub meaning: &'static str,
}

macro_rules! paths {
    ($($counter:ident: $meaning:literal,)*) => {
        /// Every rare path that the product has.
        pub const RARE_PATHS: &[RarePath] =
            &[$(RarePath { counter: stringify!($counter), meaning: $meaning },)*];
    };
}

paths! {
    elections_won: "election",
    leaderships_lost: "a leader is deposed",
    leader_transfers: "leadership handed over",
    barriers_parked: "wait for the leader's own term",
    read_gate_retries: "a round of the read gate is lost and asked again",
    read_gate_timeouts: "the read gate does not open in time",
    barrier_answers_ignored: "a late or repeated answer to the read gate",
    reads_at_deposed_leader: "a read waits at a leader that is deposed",
    appends_at_deposed_leader: "an append waits at a leader that is deposed",
    appends_replaced: "an append gives way to another leader's entry",
    appends_timed_out: "an append whose fate is open at its deadline",
    appends_short: "an append on too few members at its deadline",
    log_truncations: "the end of a log is replaced",
    snapshots_sent: "snapshot sent",
    snapshots_installed: "snapshot installed",
    compactions: "a log is compacted",
    prefix_pieces_sent: "a compacted log is sent to a member far behind",
    torn_tails_cut: "a torn tail is cut at the start",
    damage_refusals: "damaged bytes are refused",
    sync_failures: "a sync fails",
    replicas_stopped: "a replica stops after a fault of its disk",
    disk_full_refusals: "a full disk refuses",
    disk_full_recoveries: "a full disk has room again",
    duplicate_batches: "a repeated batch gets its first offset",
    replicas_removed: "a replica of a deleted topic goes",
    group_sleeps: "a group goes to sleep",
    group_wakes: "a group wakes",
    early_messages_kept: "a message for a group that is not there yet",
    votes_refused_unknown_directory: "a wiped node is asked for its vote",
    learner_answers: "an answer of a wiped node counts for nothing",
    progress_lowered: "a member holds less than it acknowledged",
    epochs_fenced: "a client of an older epoch",
    epochs_unknown: "a client of a newer epoch",
    epochs_diverging: "a client whose log parted from this one",
    offsets_out_of_range: "a position outside the log",
    topics_unknown: "a topic that is not there",
    storage_refusals: "a request to a stopped replica",
    fetches_parked: "a long poll",
    fetches_refused_by_gate: "a fetch refused because the gate stayed shut",
    preferred_replica_hints: "a consumer sent to another replica",
    fetch_sessions_created: "a fetch session",
    produces_forwarded: "a produce at a pinned address",
    member_changes: "the members of a group change",
}

macro_rules! sights {
    ($($counter:ident: $meaning:literal,)*) => {
        /// Rare paths that show to clients, or to who looks after the cluster.
        pub const RARE_SIGHTS: &[RarePath] =
            &[$(RarePath { counter: stringify!($counter), meaning: $meaning },)*];
    };
}

sights! {
    coordinators_moved: "a coordinator is elsewhere",
    rebalances_heard: "a member hears that its group begins another generation",
    commits_fenced: "a commit of a member or generation of the past",
    positions_fenced: "the same in a transaction",
    offsets_unstable: "an offset that an open transaction may replace",
    records_copied: "records are copied in one transaction with the position",
    ends_fenced: "a transaction was ended by somebody else, or took too long",
    records_deleted: "records are deleted on request",
    nodes_joined: "a node joins",
    nodes_left: "a node leaves for good",
    partitions_moved: "a partition moves",
    disks_readmitted: "a wiped disk is admitted again",
    states_put_back: "the state of the cluster is put back",
}

/// The paths that were taken less than `least` times, with how often they were.
pub fn missing(counters: &BTreeMap<String, u64>, least: u64) -> Vec<(RarePath, u64)> {
    RARE_PATHS
        .iter()
        .chain(RARE_SIGHTS)
        .map(|path| (*path, counters.get(path.counter).copied().unwrap_or(0)))
        .filter(|(_, count)| *count < least)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_broker::BrokerCounters;
    use chronik_replica::ReplicaCounters;

    #[test]
    fn every_path_has_a_counter_that_exists() {
        let mut counters = ReplicaCounters::default().to_map();
        BrokerCounters::default().snapshot(&mut counters);
        for path in RARE_PATHS {
            assert!(counters.contains_key(path.counter), "{}", path.counter);
        }
        assert_eq!(missing(&counters, 1).len(), RARE_PATHS.len() + RARE_SIGHTS.len());
    }
}
