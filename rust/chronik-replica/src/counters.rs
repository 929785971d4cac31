//! Counters of one node's replicas: the proof that a path was taken, read by tests and metrics.
//!
//! Counters are shared by all shards of a node and only ever rise. Nothing here decides anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        /// What the replicas of one node have done since the process started.
        #[derive(Debug, Default)]
        pub struct ReplicaCounters {
            $($(#[$meta])* pub $name: Counter,)*
        }

        impl ReplicaCounters {
            /// Every counter by name.
            pub fn to_map(&self) -> BTreeMap<String, u64> {
                BTreeMap::from([$((stringify!($name).to_owned(), self.$name.get()),)*])
            }
        }
    };
}

counters! {
    /// Barrier rounds this node started for its own waiters, at leaders and followers.
    read_gate_rounds,
    /// Requests that entered the gate and could not pass at once.
    read_gate_waits,
    /// Requests that passed the gate.
    read_gate_passes,
    /// Requests that ran out of time in the gate.
    read_gate_timeouts,
    /// Rounds that failed or got lost and whose waiters moved to another round.
    read_gate_retries,
    /// Requests that were let through without a barrier because a test switched the gate off.
    read_gate_bypasses,
    /// Barrier answers with an unknown id or context, which are ignored.
    barrier_answers_ignored,
    /// Barrier requests of other nodes that this node answered as leader with an index.
    barriers_served,
    /// Barrier requests of other nodes that this node refused.
    barriers_refused,
    /// Barrier requests that waited for the leader's own term to commit.
    barriers_parked,
    /// Read contexts handed to raft.
    read_index_calls,
    /// Batches proposed.
    appends_proposed,
    /// Batches refused or failed.
    appends_failed,
    /// Repeated idempotent batches that got their original offset.
    duplicate_batches,
    /// Repeated markers of transactions that had ended.
    duplicate_markers,
    /// Appends answered with an open fate: not known to be committed in time, or when leadership was lost.
    appends_timed_out,
    /// Appends that were committed, but in time on fewer members than `min.insync.replicas`.
    appends_short,
    /// Proposed batches in whose place a new leader committed something else.
    appends_replaced,
    /// Batches, waiting or proposed, whose leader here found itself deposed.
    appends_at_deposed_leader,
    /// Readers in the gate of a leader that found itself deposed.
    reads_at_deposed_leader,
    /// Entries applied.
    entries_applied,
    /// Elections won here.
    elections_won,
    /// Leaderships lost here.
    leaderships_lost,
    /// Elections started here.
    campaigns,
    /// Leaderships handed over on request.
    leader_transfers,
    /// Times the entries of another leader replaced the end of a log here.
    log_truncations,
    /// Raft snapshots sent.
    snapshots_sent,
    /// Raft snapshots installed.
    snapshots_installed,
    /// Compactions that took their place in a log here.
    compactions,
    /// Pieces of a compacted log sent to members that begin with it.
    prefix_pieces_sent,
    /// Replicas stopped by a storage fault or a broken invariant.
    replicas_stopped,
    /// Appends refused because the disk is full, and raft appends of a leader that were not stepped for the same reason.
    disk_full_refusals,
    /// Times a replica that had met a full disk could write again.
    disk_full_recoveries,
    /// Logs opened with a torn tail, which was cut.
    torn_tails_cut,
    /// Logs not opened and reads not answered because persisted bytes are damaged.
    damage_refusals,
    /// Syncs that failed.
    sync_failures,
    /// Replicas that left this node.
    replicas_removed,
    /// Times a group went to sleep here.
    group_sleeps,
    /// Times a group woke here.
    group_wakes,
    /// Messages kept for a group that did not exist yet.
    early_messages_kept,
    /// Messages for unknown groups that were dropped because of age or bounds.
    early_messages_dropped,
    /// Syncs completed.
    syncs,
    /// Requests for a vote, or to campaign, that this node dropped because its disk is none of the cluster's members.
    votes_refused_unknown_directory,
    /// Answers of members without a vote that this node took as leader; they count for nothing.
    learner_answers,
    /// Changes of a group's members applied.
    member_changes,
    /// Requests for a vote dropped because their sender left the group.
    votes_refused_left,
    /// Messages dropped because they were meant for another member on this node.
    messages_for_another_member,
    /// Times a replica learned that it left its group.
    members_left,
    /// Times a leader handed over because it is to leave its group.
    leaders_leaving,
    /// Times a leader found that a member holds less than it had acknowledged.
    progress_lowered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_names_every_counter() {
        let counters = ReplicaCounters::default();
        counters.read_gate_rounds.add(2);
        counters.syncs.increment();
        let map = counters.to_map();
        assert_eq!(map.get("read_gate_rounds"), Some(&2));
        assert_eq!(map.get("syncs"), Some(&1));
        assert_eq!(map.get("campaigns"), Some(&0));
    }
}
