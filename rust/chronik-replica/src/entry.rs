//! Entries as raft carries them and as the log keeps them, and the control entries of this crate.
//!
//! A raft entry without data is a new leader's no-op, one whose context is the control mark is a control entry, one with
//! the members mark changes who belongs to the group, every other is exactly one record batch. Raft itself never sees a
//! change of members as one: it would read it with a codec that is not fit for bytes from elsewhere. Control entries are
//! how facts that must be the same on every replica enter the state: a new log start, the time that producers are aged by,
//! a decision to compact. Apply never looks at a clock.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_log::compaction::CompactionPlan;
use chronik_log::{Entry as LogEntry, EntryKind, Index, Term};
use chronik_wire::types::Offset;
use raft::eraftpb::Entry;

use crate::codec::{CodecError, Reader, put_signed};
use crate::compaction::{decode_plan, encode_plan};

const CONTROL_MARK: &[u8] = b"c";
const MEMBERS_MARK: &[u8] = b"m";
const LOG_START: u8 = 1;
const PRODUCER_CLOCK: u8 = 2;
const COMPACT: u8 = 3;

/// Whether a raft entry is a control entry.
pub(crate) fn is_control(entry: &Entry) -> bool {
    entry.context.as_ref() == CONTROL_MARK
}

/// Makes a raft entry a control entry.
pub(crate) fn mark_control(entry: &mut Entry) {
    entry.context = Bytes::from_static(CONTROL_MARK);
}

/// Whether a raft entry changes the members of the group.
pub(crate) fn is_members(entry: &Entry) -> bool {
    entry.context.as_ref() == MEMBERS_MARK
}

/// Makes a raft entry a change of members.
pub(crate) fn mark_members(entry: &mut Entry) {
    entry.context = Bytes::from_static(MEMBERS_MARK);
}

/// A raft entry as the log keeps it. Shares the bytes.
pub(crate) fn to_log(entry: &Entry) -> LogEntry {
    let kind = match entry {
        entry if is_members(entry) => EntryKind::ConfigChange,
        entry if is_control(entry) => EntryKind::Control,
        entry if entry.data.is_empty() => EntryKind::Noop,
        _ => EntryKind::Batch,
    };
    LogEntry::new(Index(entry.index), Term(entry.term), kind, entry.data.clone())
}

/// A log entry as raft wants it. Shares the bytes.
pub(crate) fn to_raft(entry: LogEntry) -> Entry {
    let mut out = Entry { index: entry.index.0, term: entry.term.0, data: entry.data, ..Entry::default() };
    match entry.kind {
        EntryKind::Noop | EntryKind::Batch => {}
        EntryKind::Control => mark_control(&mut out),
        EntryKind::ConfigChange => mark_members(&mut out),
    }
    out
}

/// A fact every replica learns at the same index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Records below this offset may be dropped and are no longer readable.
    LogStart(Offset),
    /// The leader's wall clock, and the time before which unused producers are forgotten, in milliseconds.
    ProducerClock {
        /// Now.
        now_ms: i64,
        /// Producers last used before this are forgotten.
        forget_before_ms: i64,
    },
    /// The log is to be compacted.
    Compact {
        /// How far, and which tombstones go.
        plan: CompactionPlan,
        /// The leader's wall clock, in milliseconds: what was compacted now may be forgotten in time.
        now_ms: i64,
    },
}

impl Control {
    /// The entry's data.
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(24);
        match self {
            Control::LogStart(offset) => {
                out.put_u8(LOG_START);
                put_signed(&mut out, offset.0);
            }
            Control::ProducerClock { now_ms, forget_before_ms } => {
                out.put_u8(PRODUCER_CLOCK);
                put_signed(&mut out, now_ms);
                put_signed(&mut out, forget_before_ms);
            }
            Control::Compact { plan, now_ms } => {
                out.put_u8(COMPACT);
                encode_plan(&plan, &mut out);
                put_signed(&mut out, now_ms);
            }
        }
        out.freeze()
    }

    /// Reads an entry's data. An unknown control entry stops the replica: to skip it would let replicas differ.
    pub(crate) fn decode(data: Bytes) -> Result<Control, CodecError> {
        let mut reader = Reader::new(data);
        let control = match reader.byte("control entry")? {
            LOG_START => Control::LogStart(Offset(reader.signed("log start")?)),
            PRODUCER_CLOCK => Control::ProducerClock {
                now_ms: reader.signed("clock")?,
                forget_before_ms: reader.signed("forget before")?,
            },
            COMPACT => Control::Compact { plan: decode_plan(&mut reader)?, now_ms: reader.signed("clock")? },
            other => return Err(CodecError::Unknown("control entry", u64::from(other))),
        };
        reader.finish("control entry")?;
        Ok(control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_entries_round_trip() {
        let clock = Control::ProducerClock { now_ms: 1_700_000_000_000, forget_before_ms: -1 };
        let plan = CompactionPlan { up_to: Offset(90), tombstones_below: Offset(7), file_bytes: 1 << 20 };
        let compact = Control::Compact { plan, now_ms: 1_700_000_000_000 };
        for control in [Control::LogStart(Offset(12)), clock, compact] {
            assert_eq!(Control::decode(control.encode()), Ok(control));
        }
        assert!(Control::decode(Bytes::from_static(&[9])).is_err());
        assert!(Control::decode(Bytes::new()).is_err());
    }
}
