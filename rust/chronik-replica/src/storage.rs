//! The log as raft sees it: a read-only view, because raft hands every write to the replica in a `Ready`.
//!
//! Raft panics when its storage fails. So a failed read is answered with something harmless and kept as a fault; the
//! replica looks for it before anything that came of the answer leaves, and stops.

use std::sync::OnceLock;

use chronik_log::{Index, LogError, PartitionLog, Term};
use raft::eraftpb::{Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::entry;
use crate::limits;
use crate::members::Members;

/// A partition's log with the members of its group as of the applied index.
pub(crate) struct LogStorage {
    pub(crate) log: PartitionLog,
    pub(crate) members: Members,
    /// The first read that failed for good.
    fault: OnceLock<LogError>,
}

impl LogStorage {
    pub(crate) fn new(log: PartitionLog, members: Members) -> LogStorage {
        LogStorage { log, members, fault: OnceLock::new() }
    }

    /// The read that failed. From then on nothing that raft says may leave.
    pub(crate) fn fault(&self) -> Option<&LogError> {
        self.fault.get()
    }

    fn note(&self, error: LogError) {
        // The first one names the cause.
        let _ = self.fault.set(error);
    }
}

impl Storage for LogStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let stored = self.log.hard_state();
        // The commit index is written lazily; what was dropped from the log or snapshotted was committed.
        let dropped = self.log.first_index().0.saturating_sub(1);
        let hard_state = HardState {
            term: stored.term.0,
            vote: stored.vote,
            commit: stored.commit.0.max(dropped),
            ..HardState::default()
        };
        Ok(RaftState::new(hard_state, self.members.conf_state(None)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        // Only a campaign asks without a bound: it looks for membership changes among everything that is committed and
        // not applied. A replica campaigns only when there is no such entry, so any portion tells it as much.
        let max_bytes = max_size.into().unwrap_or(limits::APPEND_MESSAGE_BYTES_MAX);
        match self.log.entries(Index(low), Index(high), max_bytes) {
            Ok(entries) => Ok(entries.into_iter().map(entry::to_raft).collect()),
            // The peer is sent its entries when it is heard of again.
            Err(error) if error.is_passing() && context.can_async() => {
                Err(raft::Error::Store(StorageError::LogTemporarilyUnavailable))
            }
            Err(error) if error.is_storage_fault() => {
                self.note(error);
                Ok(Vec::new())
            }
            Err(error) => Err(storage_error(error)),
        }
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        Ok(self.log.term(Index(index)).map_err(storage_error)?.0)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.log.first_index().0)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.log.last_index().0)
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let unavailable = raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable);
        let stored = match self.log.snapshot() {
            Ok(stored) => stored,
            Err(error) if error.is_passing() => return Err(unavailable),
            Err(error) => {
                self.note(error);
                return Err(unavailable);
            }
        };
        let Some(stored) = stored.filter(|stored| stored.index.0 >= request_index) else {
            return Err(unavailable);
        };
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().index = stored.index.0;
        snapshot.mut_metadata().term = stored.term.0;
        // The members as of the snapshot: later changes are entries behind it.
        let Ok(members) = Members::decode(stored.conf_state.clone()) else { return Err(unavailable) };
        snapshot.mut_metadata().set_conf_state(members.conf_state(None));
        snapshot.data = stored.encode();
        Ok(snapshot)
    }
}

fn storage_error(error: LogError) -> raft::Error {
    raft::Error::Store(match error {
        LogError::Compacted { .. } => StorageError::Compacted,
        LogError::Unavailable { .. } => StorageError::Unavailable,
        other => StorageError::Other(Box::new(other)),
    })
}

/// The term of an entry that is known to be in the log.
pub(crate) fn term_of(log: &PartitionLog, index: Index) -> Result<Term, LogError> {
    if index == Index::ZERO { Ok(Term(0)) } else { log.term(index) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use bytes::Bytes;
    use chronik_wire::types::NodeId;

    use crate::ids::MemberId;
    use chronik_log::{Entry as LogEntry, EntryKind, LogConfig, MemDisk};

    #[test]
    fn a_campaign_does_not_read_the_whole_log() {
        let mut log =
            PartitionLog::open(Arc::new(MemDisk::new()), "p", Arc::new(LogConfig::default())).unwrap();
        let data = Bytes::from(vec![7; 300 << 10]);
        let entry = |index| LogEntry::new(Index(index), Term(1), EntryKind::Control, data.clone());
        log.append(&(1..=20).map(entry).collect::<Vec<_>>()).unwrap();
        let storage = LogStorage::new(log, Members::of([MemberId::founder(NodeId(0))]));
        let read = |max_size: Option<u64>| {
            storage.entries(1, 21, max_size, GetEntriesContext::empty(false)).unwrap().len()
        };
        assert_eq!(read(Some(u64::MAX)), 20);
        assert_eq!(read(None), 3, "one portion");
    }
}
