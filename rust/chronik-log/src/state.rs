//! The partition's small state: Raft hard state, log start, first index, and how far the log was synced.
//!
//! Two slots in one file, 512 bytes apart so that each lies in a sector of its own. A write goes to the slot
//! that was not last handed to a sync, so the last promised state is never overwritten before its successor
//! is durable. A slot that holds anything but zeros and does not match its CRC is damage: falling back to the
//! other slot could forget a vote. The CRC covers which slot it is, so that one is never read as the other.

use std::sync::Arc;

use chronik_wire::types::Offset;

use crate::disk::{Disk, DiskError, DiskFile};
use crate::error::LogError;
use crate::{Index, Term};

/// Raft's hard state. The default is that of a member that never voted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// Current term.
    pub term: Term,
    /// The Raft id voted for in that term; zero is nobody.
    pub vote: u64,
    /// Last index known to be committed.
    pub commit: Index,
}

/// Name of the state file in a partition's directory.
pub(crate) const STATE_FILE: &str = "state";

const SLOT_BYTES: usize = 72;
/// Where the part of a slot begins that its crc covers.
const FIELDS_START: usize = 8;
const SLOT_STRIDE_BYTES: u64 = 512;
const SLOTS: usize = 2;
const MAGIC: [u8; 4] = *b"CHST";

/// Everything a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogState {
    pub(crate) hard: HardState,
    /// Logical log start.
    pub(crate) log_start: Offset,
    /// First index of the log; files of earlier entries are leftovers.
    pub(crate) first_index: Index,
    /// The log was synced at least up to here.
    pub(crate) synced_through: Index,
    /// Part of the segment names; changes when a snapshot replaces the whole log.
    pub(crate) generation: u64,
}

impl Default for LogState {
    fn default() -> Self {
        LogState {
            hard: HardState::default(),
            log_start: Offset::ZERO,
            first_index: Index(1),
            synced_through: Index::ZERO,
            generation: 0,
        }
    }
}

impl LogState {
    fn encode(&self, slot: usize, sequence: u64) -> [u8; SLOT_BYTES] {
        let fields = [
            sequence,
            self.hard.term.0,
            self.hard.vote,
            self.hard.commit.0,
            self.log_start.0.unsigned_abs(),
            self.first_index.0,
            self.synced_through.0,
            self.generation,
        ];
        let mut out = [0; SLOT_BYTES];
        out[..4].copy_from_slice(&MAGIC);
        for (field, target) in fields.iter().zip(out[FIELDS_START..].chunks_exact_mut(8)) {
            target.copy_from_slice(&field.to_be_bytes());
        }
        let crc = slot_crc(slot, &out[FIELDS_START..]);
        out[4..8].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Sequence number and state of a slot; `None` if it was never written.
    fn decode(at: usize, slot: &[u8]) -> Result<Option<(u64, LogState)>, &'static str> {
        if slot.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if slot.len() != SLOT_BYTES || slot[..4] != MAGIC {
            return Err("state slot has no magic");
        }
        if slot[4..8] != slot_crc(at, &slot[FIELDS_START..]).to_be_bytes() {
            return Err("state slot does not match its crc");
        }
        let mut fields = [0_u64; 8];
        for (field, source) in fields.iter_mut().zip(slot[FIELDS_START..].chunks_exact(8)) {
            *field = source.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        let [sequence, term, vote, commit, log_start, first_index, synced_through, generation] = fields;
        let state = LogState {
            hard: HardState { term: Term(term), vote, commit: Index(commit) },
            log_start: Offset(i64::try_from(log_start).map_err(|_| "state slot holds a negative log start")?),
            first_index: Index(first_index),
            synced_through: Index(synced_through),
            generation,
        };
        Ok(Some((sequence, state)))
    }
}

/// The state file. Does not exist on disk until the first write.
#[derive(Debug, Default)]
pub(crate) struct StateFile {
    file: Option<Arc<dyn DiskFile>>,
    sequence: u64,
    /// Slot of the newest state.
    newest: usize,
    /// Whether the newest state was handed to a sync, so that its slot must be left alone.
    handed_out: bool,
}

impl StateFile {
    /// Reads the newest state; the default if the file is not there or nothing in it was completed.
    pub(crate) fn open(disk: &dyn Disk, dir: &str, exists: bool) -> Result<(StateFile, LogState), LogError> {
        if !exists {
            return Ok((StateFile::default(), LogState::default()));
        }
        let file = disk.open(dir, STATE_FILE)?;
        let mut newest: Option<(u64, LogState, usize)> = None;
        let complete = (0..SLOTS).take_while(|slot| slot_end(*slot) <= file.len()).count();
        let end = complete.checked_sub(1).map_or(0, slot_end);
        if file.len() > end {
            // The first write of a slot extends the file; cut short, it was never synced. Its stump must not
            // look like a damaged slot once the next one is written.
            file.truncate(end)?;
        }
        for slot in 0..complete {
            let position = slot_position(slot);
            let bytes = file.read_at(position, SLOT_BYTES, SLOT_BYTES)?;
            let decoded = LogState::decode(slot, &bytes)
                .map_err(|reason| LogError::corrupt(format!("{dir}/{STATE_FILE}"), position, reason))?;
            if let Some((sequence, state)) = decoded
                && newest.is_none_or(|(known, ..)| known < sequence)
            {
                newest = Some((sequence, state, slot));
            }
        }
        let (sequence, state, newest) = newest.unwrap_or_default();
        Ok((StateFile { file: Some(file), sequence, newest, handed_out: true }, state))
    }

    /// Whether there is a file on disk.
    pub(crate) fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// Creates the file. The directory must exist.
    pub(crate) fn create(&mut self, disk: &dyn Disk, dir: &str) -> Result<(), DiskError> {
        self.file = Some(disk.create(dir, STATE_FILE)?);
        Ok(())
    }

    /// Writes a state without syncing it.
    pub(crate) fn write(&mut self, state: &LogState) -> Result<(), DiskError> {
        let Some(file) = &self.file else { return Ok(()) };
        let slot = if self.handed_out { (self.newest + 1) % SLOTS } else { self.newest };
        file.write_at(slot_position(slot), &state.encode(slot, self.sequence + 1))?;
        self.sequence += 1;
        self.newest = slot;
        self.handed_out = false;
        Ok(())
    }

    /// The file, for a sync; from here on the newest state is left alone.
    pub(crate) fn hand_out(&mut self) -> Option<Arc<dyn DiskFile>> {
        self.handed_out = true;
        self.file.clone()
    }
}

/// CRC32C of a slot's number and its fields.
fn slot_crc(slot: usize, fields: &[u8]) -> u32 {
    let mut covered = [0; 8 + SLOT_BYTES - FIELDS_START];
    let (number, rest) = covered.split_at_mut(8);
    number.copy_from_slice(&(slot as u64).to_be_bytes());
    rest.copy_from_slice(fields);
    crc_fast::crc32_iscsi(&covered)
}

fn slot_position(slot: usize) -> u64 {
    slot as u64 * SLOT_STRIDE_BYTES
}

fn slot_end(slot: usize) -> u64 {
    slot_position(slot) + SLOT_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemDisk, UnsyncedPolicy};

    fn state(term: u64) -> LogState {
        LogState { hard: HardState { term: Term(term), vote: 2, commit: Index(term) }, ..LogState::default() }
    }

    fn created(disk: &MemDisk) -> StateFile {
        disk.create_dir("p").unwrap();
        let mut file = StateFile::default();
        file.create(disk, "p").unwrap();
        disk.sync_dir("p").unwrap();
        file
    }

    fn reopen(disk: &MemDisk) -> Result<LogState, LogError> {
        StateFile::open(disk, "p", true).map(|(_, state)| state)
    }

    #[test]
    fn the_newest_completed_state_is_read_back() {
        let disk = MemDisk::new();
        let mut file = created(&disk);
        assert_eq!(reopen(&disk).unwrap(), LogState::default());
        for term in 1..10 {
            file.write(&state(term)).unwrap();
            assert_eq!(reopen(&disk).unwrap(), state(term));
            if term % 3 == 0 {
                file.hand_out().unwrap().sync().unwrap();
            }
        }
    }

    #[test]
    fn a_power_cut_never_loses_the_synced_state() {
        for seed in 0..100 {
            let disk = MemDisk::new();
            let mut file = created(&disk);
            for term in 1..=seed % 7 + 1 {
                file.write(&state(term)).unwrap();
                file.hand_out().unwrap().sync().unwrap();
            }
            for term in 50..50 + seed % 5 {
                file.write(&state(term)).unwrap();
            }
            disk.crash(UnsyncedPolicy::Torn { seed });
            let term = reopen(&disk).unwrap().hard.term.0;
            assert!(term >= 50 || term == seed % 7 + 1, "seed {seed} read term {term}");
        }
    }

    #[test]
    fn a_read_that_lands_in_the_other_slot_is_damage() {
        let disk = MemDisk::new();
        let mut file = created(&disk);
        for term in 1..3 {
            file.write(&state(term)).unwrap();
            file.hand_out().unwrap().sync().unwrap();
        }
        let older = disk.open("p", STATE_FILE).unwrap().read_at(0, SLOT_BYTES, SLOT_BYTES).unwrap();
        disk.open("p", STATE_FILE).unwrap().write_at(SLOT_STRIDE_BYTES, &older).unwrap();
        assert!(matches!(reopen(&disk), Err(LogError::Corrupt { .. })), "a vote must not be forgotten");
    }

    #[test]
    fn a_flipped_bit_is_reported_and_no_older_state_taken_instead() {
        let disk = MemDisk::new();
        let mut file = created(&disk);
        for term in 1..3 {
            file.write(&state(term)).unwrap();
            file.hand_out().unwrap().sync().unwrap();
        }
        for byte in 0..SLOT_BYTES as u64 {
            assert!(disk.flip_bit("p", STATE_FILE, SLOT_STRIDE_BYTES + byte, 3));
            assert!(matches!(reopen(&disk), Err(LogError::Corrupt { .. })), "byte {byte}");
            disk.flip_bit("p", STATE_FILE, SLOT_STRIDE_BYTES + byte, 3);
        }
        assert_eq!(reopen(&disk).unwrap(), state(2));
    }
}
