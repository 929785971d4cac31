//! The list. Each mutant says what it breaks and which rule of the checker should catch it.

macro_rules! mutants {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $($(#[$meta])* $variant,)*
        }

        impl Mutant {
            /// Every mutant, in the order of the list.
            pub const ALL: &[Mutant] = &[$(Mutant::$variant,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $name,)*
                }
            }

            /// The mutant of that name.
            pub fn by_name(name: &str) -> Option<Mutant> {
                Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name)
            }
        }
    };
}

mutants! {
    // The read gate.
    /// Followers answer without a barrier. Caught by: stale-read, false-empty.
    FollowerUngated = "follower-ungated",
    /// Leaders answer without a barrier; a deposed one does not know that it is. Caught by: stale-read.
    LeaderUngated = "leader-ungated",
    /// A sleeping group is taken for one in which nothing happened. Caught by: stale-read.
    SleeperUngated = "sleeper-ungated",
    /// The end of the log is told by ListOffsets without a barrier. Caught by: stale-read, end-went-back.
    ListOffsetsUngated = "list-offsets-ungated",
    /// Fetches with `read_committed` pass no barrier, as if an old last stable offset did no harm. Caught by:
    /// stale-read, false-empty.
    CommittedReadsUngated = "committed-reads-ungated",
    /// "There is no such topic" is said without asking the metadata's leader. Caught by: meta-regress.
    MetadataUngated = "metadata-ungated",
    /// The gate opens with the leader's answer, whether or not this replica has applied that far. Caught by:
    /// stale-read.
    ApplyNotAwaited = "apply-not-awaited",
    /// The gate waits for the answered index to be committed here, not applied. Caught by: false-empty.
    CommittedNotApplied = "committed-not-applied",
    /// Leaders trust a lease of time instead of asking. Caught by: stale-read.
    LeaseReads = "lease-reads",
    /// One read context serves all rounds of a leadership: an old answer confirms a new round. Caught by: stale-read.
    ContextReused = "context-reused",
    /// Rounds have numbers from a small circle that begins at zero in every life of a process, and read contexts do not
    /// name their owner: an answer to an earlier round or life opens a gate. Caught by: stale-read.
    RoundIdsRepeat = "round-ids-repeat",
    /// Any answer of the leader settles the round in flight, also one to an earlier round. Caught by: stale-read.
    AnswerToAnyRound = "answer-to-any-round",
    /// A reader joins the round in flight, whose index may be older than the reader. Caught by: stale-read.
    RoundInFlightJoined = "round-in-flight-joined",
    /// A new leader lets readers pass before it has committed in its own term. Caught by: stale-read.
    OwnTermNotAwaited = "own-term-not-awaited",
    /// A gate that did not open in time is answered with success and nothing. Caught by: false-empty, stale-read.
    EmptyOnTimeout = "empty-on-timeout",
    /// A position beyond what this replica has applied is called out of range. Caught by: wrong-code.
    OutOfRangeWhenBehind = "out-of-range-when-behind",
    /// Once one partition has records the others are answered without waiting for their gates. Caught by: false-empty.
    PendingGateAnswered = "pending-gate-answered",
    /// The high watermark covers entries that are not committed. Caught by: phantom, end-went-back.
    UncommittedVisible = "uncommitted-visible",

    // Acknowledgements.
    /// `acks=all` is answered when the leader alone has persisted the batch. Caught by: lost-write.
    AckBeforeQuorum = "ack-before-quorum",
    /// A proposal is matched to what was committed by its index alone: a deposed leader acknowledges a batch in whose
    /// place another one was committed. Caught by: lost-write, inconsistent-offset.
    FateByIndex = "fate-by-index",
    /// A leader that is deposed calls its open proposals failed for sure. Caught by: wrong-code.
    OpenFateCalledFailed = "open-fate-called-failed",
    /// The repetition of a batch in flight is acknowledged before the batch is. Caught by: lost-write.
    RepetitionAckedEarly = "repetition-acked-early",

    // Persistence.
    /// A follower acknowledges entries before they are synced. Caught by: lost-write.
    AckBeforeSync = "ack-before-sync",
    /// A vote leaves before it is synced. Caught by: two leaders in one term.
    VoteBeforeSync = "vote-before-sync",
    /// The term is written down without the vote. Caught by: two leaders in one term.
    VoteForgotten = "vote-forgotten",
    /// Raft is told that entries are persisted when they are merely written. Caught by: lost-write.
    WrittenCountsAsPersisted = "written-counts-as-persisted",
    /// The name of a new segment is not synced: a power cut takes the file with all that was synced into it. Caught by:
    /// lost-write, refused recovery.
    SegmentNamesNotSynced = "segment-names-not-synced",
    /// Recovery cuts the log before any damage, also before entries that were synced. Caught by: lost-write.
    DamageTruncated = "damage-truncated",
    /// Recovery takes the whole log for committed. Caught by: phantom, inconsistent-offset.
    TailTakenForCommitted = "tail-taken-for-committed",
    /// Records read from a file are not compared with their checksum. Caught by: garbage.
    PayloadsUnverified = "payloads-unverified",
    /// A truncation leaves the entries cached in memory. Caught by: inconsistent-offset, replica-divergence.
    CacheNotTruncated = "cache-not-truncated",
    /// A truncation leaves the starts of the cut terms in the table. Caught by: a stopped replica, stale epochs.
    TermsNotTruncated = "terms-not-truncated",

    // Membership.
    /// A node whose disk was wiped is a member as before: it votes, campaigns and acknowledges. Caught by: lost-write, a
    /// stopped replica.
    WipedDiskVotes = "wiped-disk-votes",
    /// A removed member keeps its vote in the eyes of raft. Caught by: a replica that takes part after it left.
    RemovedKeepsVote = "removed-keeps-vote",
    /// A new member counts towards quorums before it holds the log. Caught by: lost-write.
    JoiningCounts = "joining-counts",
    /// Which changes of members are committed is forgotten in a crash. Caught by: two leaders, lost-write.
    MembersForgotten = "members-forgotten",
    /// A leader changes the members of its group when it proposes to. Caught by: lost-write, two leaders.
    MembersBeforeCommit = "members-before-commit",

    // State that replicas share.
    /// A new leader counts offsets from what it has applied, not from the end of its log. Caught by: a stopped
    /// replica, lost-write.
    OffsetsFromApplied = "offsets-from-applied",
    /// Producers are missing in snapshots. Caught by: duplicate.
    ProducersNotSaved = "producers-not-saved",
    /// A restart takes what was committed for applied, and so does not learn the producers from it again. Caught by:
    /// duplicate.
    ProducersNotReplayed = "producers-not-replayed",
    /// A sequence number is judged by applied batches alone, those in flight are not looked at. Caught by: duplicate,
    /// wrong-code.
    SequenceOneLevel = "sequence-one-level",
    /// A produce overtakes the one before it on its connection while that waits for its topic to be known. Caught by: a
    /// batch in order that is refused.
    ProducesOvertake = "produces-overtake",
    /// The leader moves its log start by itself instead of by an entry. Caught by: end-went-back, replica-divergence.
    LogStartMovedAlone = "log-start-moved-alone",

    // Transactions.
    /// Committed records and open ones look alike: the last stable offset is the high watermark. Caught by: G1a,
    /// precommitted.
    OpenTransactionsVisible = "open-transactions-visible",
    /// A new leader does not know the transactions that were aborted before. Caught by: G1a.
    AbortedListLost = "aborted-list-lost",
    /// A marker that was written already is written again: it may end the producer's next transaction. Caught by:
    /// torn-txn.
    MarkerRepeated = "marker-repeated",
    /// A batch that comes after its transaction has ended opens another, which nobody ends. Caught by: a last stable
    /// offset that stands still.
    LateBatchOpens = "late-batch-opens",
    /// Open transactions are missing in snapshots. Caught by: G1a, precommitted.
    OpenTransactionsNotSaved = "open-transactions-not-saved",

    // Coordinators.
    /// A coordinator answers before its records are committed. Caught by: offset-regress.
    CommitAnsweredEarly = "commit-answered-early",
    /// A coordinator says what it knows without showing that it still leads. Caught by: offset-regress.
    CoordinatorUngated = "coordinator-ungated",
    /// Members commit whatever their generation or epoch. Caught by: fencing, and by its scenario sooner.
    OldGenerationCommits = "old-generation-commits",
    /// Members that are silent stay in their groups. Caught by: partitions that nobody reads.
    SessionsNeverEnd = "sessions-never-end",
    /// Offsets are told to those who ask for stable ones, though an open transaction may replace them. Caught by: records
    /// that are copied twice.
    UnstableOffsetsTold = "unstable-offsets-told",
    /// The offsets of an aborted transaction count. Caught by: offset-regress, records that are not copied.
    AbortedOffsetsKept = "aborted-offsets-kept",
    /// Committed offsets are missing in snapshots. Caught by: offset-regress.
    GroupSnapshotsForgetOffsets = "group-snapshots-forget-offsets",
    /// A producer that was replaced ends the transaction of its successor. Caught by: zombie.
    ZombieEndsTransaction = "zombie-ends-transaction",
    /// Markers are written before the decision is committed. Caught by: markers of a decision that its successor does not
    /// know.
    MarkersBeforeDecision = "markers-before-decision",

    // Compaction.
    /// A compaction drops tombstones that nobody had time to read. Caught by: a reader from the beginning that keeps a
    /// key which was deleted; replicas that differ above the plan's bound.
    TombstoneDroppedEarly = "tombstone-dropped-early",
    /// A compaction drops the newest value of a key with the old ones. Caught by: a key that is lost.
    NewestValueDropped = "newest-value-dropped",
    /// The files of a compacted prefix go before the manifest that names their successors has its name. Caught by: a crash
    /// in between, after which the log does not open.
    OldFilesGoFirst = "old-files-go-first",
    /// Readers are told of aborted transactions whose markers are compacted away. Caught by: the producer's next
    /// transaction, which they skip.
    CompactedAbortsTold = "compacted-aborts-told",

    // Names.
    /// A topic that is created again gets the id of its predecessor, and with it files, gate and sessions. Caught by:
    /// garbage, inconsistent-offset.
    TopicIdReused = "topic-id-reused",
}

impl Mutant {
    /// Whether chance meets it too seldom for a search: a directed scenario kills it, and schedules need not. Such a
    /// scenario is named in a test `the_scenarios_above_kill_their_bugs` of the crate that has the bug.
    pub fn is_for_scenarios(self) -> bool {
        matches!(
            self,
            Mutant::TermsNotTruncated
                | Mutant::PayloadsUnverified
                | Mutant::ProducesOvertake
                | Mutant::OpenTransactionsVisible
                | Mutant::AbortedListLost
                | Mutant::MarkerRepeated
                | Mutant::LateBatchOpens
                | Mutant::OpenTransactionsNotSaved
                | Mutant::RemovedKeepsVote
                | Mutant::JoiningCounts
                | Mutant::MembersBeforeCommit
                | Mutant::MembersForgotten
                | Mutant::CoordinatorUngated
                | Mutant::OldGenerationCommits
                | Mutant::SessionsNeverEnd
                | Mutant::MarkersBeforeDecision
                | Mutant::TombstoneDroppedEarly
                | Mutant::NewestValueDropped
                | Mutant::OldFilesGoFirst
                | Mutant::CompactedAbortsTold
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_found_by_its_own_name() {
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::by_name(mutant.name()), Some(*mutant));
        }
        assert_eq!(Mutant::by_name("unknown"), None);
    }
}
