//! The replicated state beside the log, and its bytes: producers, aborted transactions, compaction and the seated machine.
//!
//! A snapshot is taken at segment boundaries and is small: the records themselves stay in the log. A follower too
//! far behind installs the one at the leader's first entry and gets the rest as ordinary appends; what is compacted before
//! that entry it fetches first.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_mutants::{Mutant, planted};

use crate::codec::{CodecError, Reader, put_bytes};
use crate::compaction::CompactionState;
use crate::config::{Machine, MachineError};
use crate::limits;
use crate::producers::{AbortedTransactions, Producers};

const VERSION: u8 = 3;

/// State that is a pure function of the applied entries.
#[derive(Default)]
pub(crate) struct ReplicatedState {
    pub(crate) producers: Producers,
    pub(crate) aborted: AbortedTransactions,
    pub(crate) compaction: CompactionState,
    pub(crate) machine: Option<Box<dyn Machine>>,
}

/// Why a snapshot's bytes could not be taken over.
#[derive(Debug)]
pub(crate) enum RestoreError {
    Codec(CodecError),
    Machine(MachineError),
}

impl ReplicatedState {
    /// The state as bytes.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        if planted(Mutant::ProducersNotSaved) {
            Producers::forgetful().encode(&mut out);
        } else {
            self.producers.encode(&mut out);
        }
        self.aborted.encode(&mut out);
        self.compaction.encode(&mut out);
        match &self.machine {
            Some(machine) => {
                out.put_u8(1);
                put_bytes(&mut out, &machine.snapshot());
            }
            None => out.put_u8(0),
        }
        out.freeze()
    }

    /// Replaces the state. Unchanged if the bytes do not decode.
    pub(crate) fn restore(&mut self, bytes: Bytes) -> Result<(), RestoreError> {
        let Decoded { producers, aborted, compaction, machine } =
            decode(bytes).map_err(RestoreError::Codec)?;
        if let (Some(seat), Some(state)) = (&mut self.machine, machine) {
            seat.restore(&state).map_err(RestoreError::Machine)?;
        }
        self.producers = producers;
        self.aborted = aborted;
        self.compaction = compaction;
        Ok(())
    }
}

/// Whether bytes from another node are a snapshot at all: raft cannot refuse one after it was stepped.
pub(crate) fn is_valid(bytes: Bytes) -> bool {
    decode(bytes).is_ok()
}

struct Decoded {
    producers: Producers,
    aborted: AbortedTransactions,
    compaction: CompactionState,
    machine: Option<Bytes>,
}

fn decode(bytes: Bytes) -> Result<Decoded, CodecError> {
    let mut reader = Reader::new(bytes);
    let version = reader.byte("snapshot version")?;
    if version != VERSION {
        return Err(CodecError::Unknown("snapshot version", u64::from(version)));
    }
    let producers = Producers::decode(&mut reader)?;
    let aborted = AbortedTransactions::decode(&mut reader)?;
    let compaction = CompactionState::decode(&mut reader)?;
    let machine = match reader.byte("machine mark")? {
        0 => None,
        1 => Some(reader.byte_string("machine state", limits::SNAPSHOT_BYTES_MAX)?),
        other => return Err(CodecError::Unknown("machine mark", u64::from(other))),
    };
    reader.finish("snapshot")?;
    Ok(Decoded { producers, aborted, compaction, machine })
}
