//! The bytes of a [`ReplicaMessage`]: a small head, then raw payloads.
//!
//! Protobuf must not parse bytes from the network, and encoding through it costs more than all of raft. Only the
//! raft messages a replica really sends exist here; proposals, forwarded reads and local messages do not decode.
//! Entries of an append are contiguous, so only the first index travels.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_log::compaction::PrefixPlace;
use chronik_log::limits::PREFIX_PIECE_BYTES_MAX;
use chronik_log::{Index, Term};
use chronik_wire::types::{NodeId, Offset};
use raft::eraftpb::{ConfState, Entry, EntryType, Message, MessageType, Snapshot};

use super::{BarrierOutcome, ReplicaMessage};
use crate::codec::{CodecError, Reader, put_bytes, put_signed, put_varint};
use crate::entry;
use crate::limits;

const RAFT: u8 = 1;
const READ_BARRIER: u8 = 2;
const READ_BARRIER_REPLY: u8 = 3;
const SLEEP: u8 = 4;
const LEARNER: u8 = 5;
const PREFIX_REQUEST: u8 = 6;
const PREFIX_PIECE: u8 = 7;

const OK: u8 = 0;
const NOT_LEADER: u8 = 1;
const NOT_READY: u8 = 2;

const REJECT: u8 = 1;
const SNAPSHOT: u8 = 2;

const DATA: u8 = 0;
const CONTROL: u8 = 1;
const MEMBERS: u8 = 2;

/// Raft's message types and their bytes. What is missing here is never sent and never accepted.
const TYPES: [(MessageType, u8); 10] = [
    (MessageType::MsgAppend, 1),
    (MessageType::MsgAppendResponse, 2),
    (MessageType::MsgRequestVote, 3),
    (MessageType::MsgRequestVoteResponse, 4),
    (MessageType::MsgSnapshot, 5),
    (MessageType::MsgHeartbeat, 6),
    (MessageType::MsgHeartbeatResponse, 7),
    (MessageType::MsgTimeoutNow, 8),
    (MessageType::MsgRequestPreVote, 9),
    (MessageType::MsgRequestPreVoteResponse, 10),
];

/// Whether a raft message may leave this node.
pub(crate) fn is_sendable(kind: MessageType) -> bool {
    TYPES.iter().any(|(known, _)| *known == kind)
}

pub(super) fn encode(message: &ReplicaMessage) -> Vec<Bytes> {
    let mut head = BytesMut::with_capacity(64);
    let mut pieces = vec![Bytes::new()];
    match message {
        ReplicaMessage::Raft(message) => encode_raft(RAFT, message, &mut head, &mut pieces),
        ReplicaMessage::Learner(message) => encode_raft(LEARNER, message, &mut head, &mut pieces),
        ReplicaMessage::ReadBarrier { request_id, wait_ms } => {
            head.put_u8(READ_BARRIER);
            put_varint(&mut head, *request_id);
            put_varint(&mut head, u64::from(*wait_ms));
        }
        ReplicaMessage::ReadBarrierReply { request_id, outcome } => {
            head.put_u8(READ_BARRIER_REPLY);
            put_varint(&mut head, *request_id);
            encode_outcome(outcome, &mut head);
        }
        ReplicaMessage::PrefixRequest { place } => {
            head.put_u8(PREFIX_REQUEST);
            encode_place(place, &mut head);
        }
        ReplicaMessage::PrefixPiece { place, bytes } => {
            head.put_u8(PREFIX_PIECE);
            encode_place(place, &mut head);
            put_varint(&mut head, bytes.len() as u64);
            if !bytes.is_empty() {
                pieces.push(bytes.clone());
            }
        }
        ReplicaMessage::Sleep { term, index } => {
            head.put_u8(SLEEP);
            put_varint(&mut head, term.0);
            put_varint(&mut head, index.0);
        }
    }
    pieces[0] = head.freeze();
    pieces
}

fn encode_place(place: &PrefixPlace, head: &mut BytesMut) {
    put_signed(head, place.up_to.0);
    put_signed(head, place.tombstones_below.0);
    put_varint(head, u64::from(place.file));
    put_varint(head, place.position);
}

fn decode_place(reader: &mut Reader) -> Result<PrefixPlace, CodecError> {
    Ok(PrefixPlace {
        up_to: Offset(reader.signed("prefix end")?),
        tombstones_below: Offset(reader.signed("end of expired tombstones")?),
        file: reader.bounded("prefix file", u64::from(u32::MAX))? as u32,
        position: reader.varint("prefix position")?,
    })
}

fn encode_outcome(outcome: &BarrierOutcome, head: &mut BytesMut) {
    match outcome {
        BarrierOutcome::Ok { index, term } => {
            head.put_u8(OK);
            put_varint(head, index.0);
            put_varint(head, term.0);
        }
        BarrierOutcome::NotLeader { hint } => {
            head.put_u8(NOT_LEADER);
            put_signed(head, hint.map_or(-1, |node| i64::from(node.0)));
        }
        BarrierOutcome::NotReady => head.put_u8(NOT_READY),
    }
}

fn encode_raft(mark: u8, message: &Message, head: &mut BytesMut, pieces: &mut Vec<Bytes>) {
    let kind = message.get_msg_type();
    let byte = TYPES.iter().find(|(known, _)| *known == kind).map(|(_, byte)| *byte);
    let has_snapshot = kind == MessageType::MsgSnapshot;
    head.put_u8(mark);
    head.put_u8(byte.expect("only sendable raft messages reach the codec"));
    head.put_u8(if message.reject { REJECT } else { 0 } | if has_snapshot { SNAPSHOT } else { 0 });
    for number in [
        message.to,
        message.from,
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.commit_term,
        message.reject_hint,
        message.request_snapshot,
    ] {
        put_varint(head, number);
    }
    put_signed(head, message.priority);
    put_bytes(head, &message.context);
    put_varint(head, message.get_entries().len() as u64);
    for (position, entry) in message.get_entries().iter().enumerate() {
        assert_eq!(entry.index, message.index + 1 + position as u64, "entries of an append are contiguous");
        assert_eq!(
            entry.get_entry_type(),
            EntryType::EntryNormal,
            "raft never sees a change of members as one"
        );
        head.put_u8(match entry {
            entry if entry::is_control(entry) => CONTROL,
            entry if entry::is_members(entry) => MEMBERS,
            _ => DATA,
        });
        put_varint(head, entry.term);
        put_varint(head, entry.data.len() as u64);
        if !entry.data.is_empty() {
            pieces.push(entry.data.clone());
        }
    }
    if has_snapshot {
        let snapshot = message.get_snapshot();
        let metadata = snapshot.get_metadata();
        let state = metadata.get_conf_state();
        put_varint(head, metadata.index);
        put_varint(head, metadata.term);
        for members in [state.get_voters(), state.get_learners()] {
            put_varint(head, members.len() as u64);
            members.iter().for_each(|member| put_varint(head, *member));
        }
        put_varint(head, snapshot.data.len() as u64);
        if !snapshot.data.is_empty() {
            pieces.push(snapshot.data.clone());
        }
    }
}

pub(super) fn decode(bytes: Bytes) -> Result<ReplicaMessage, CodecError> {
    if bytes.len() > limits::MESSAGE_BYTES_MAX {
        return Err(CodecError::TooLarge("message", bytes.len() as u64, limits::MESSAGE_BYTES_MAX as u64));
    }
    let mut reader = Reader::new(bytes);
    let message = match reader.byte("message kind")? {
        RAFT => ReplicaMessage::Raft(decode_raft(&mut reader)?),
        LEARNER => ReplicaMessage::Learner(decode_raft(&mut reader)?),
        READ_BARRIER => ReplicaMessage::ReadBarrier {
            request_id: reader.varint("request id")?,
            wait_ms: reader.bounded("wait", u64::from(u32::MAX))? as u32,
        },
        READ_BARRIER_REPLY => ReplicaMessage::ReadBarrierReply {
            request_id: reader.varint("request id")?,
            outcome: decode_outcome(&mut reader)?,
        },
        PREFIX_REQUEST => ReplicaMessage::PrefixRequest { place: decode_place(&mut reader)? },
        PREFIX_PIECE => {
            let place = decode_place(&mut reader)?;
            let length = reader.bounded("prefix piece", PREFIX_PIECE_BYTES_MAX as u64)? as usize;
            ReplicaMessage::PrefixPiece { place, bytes: reader.take("prefix piece", length)? }
        }
        SLEEP => ReplicaMessage::Sleep {
            term: Term(reader.varint("term")?),
            index: Index(reader.varint("index")?),
        },
        other => return Err(CodecError::Unknown("message kind", u64::from(other))),
    };
    reader.finish("message")?;
    Ok(message)
}

fn decode_outcome(reader: &mut Reader) -> Result<BarrierOutcome, CodecError> {
    match reader.byte("barrier outcome")? {
        OK => Ok(BarrierOutcome::Ok {
            index: Index(reader.varint("index")?),
            term: Term(reader.varint("term")?),
        }),
        NOT_LEADER => {
            let hint = reader.signed("leader hint")?;
            let hint = i32::try_from(hint).map_err(|_| CodecError::Unknown("leader hint", hint as u64))?;
            Ok(BarrierOutcome::NotLeader { hint: (hint >= 0).then_some(NodeId(hint)) })
        }
        NOT_READY => Ok(BarrierOutcome::NotReady),
        other => Err(CodecError::Unknown("barrier outcome", u64::from(other))),
    }
}

fn decode_raft(reader: &mut Reader) -> Result<Message, CodecError> {
    let byte = reader.byte("raft message type")?;
    let kind = TYPES.iter().find(|(_, known)| *known == byte).map(|(kind, _)| *kind);
    let kind = kind.ok_or(CodecError::Unknown("raft message type", u64::from(byte)))?;
    let flags = reader.byte("raft message flags")?;
    if flags & !(REJECT | SNAPSHOT) != 0 || (flags & SNAPSHOT != 0) != (kind == MessageType::MsgSnapshot) {
        return Err(CodecError::Unknown("raft message flags", u64::from(flags)));
    }
    let mut message = Message::default();
    message.set_msg_type(kind);
    message.reject = flags & REJECT != 0;
    message.to = reader.varint("to")?;
    message.from = reader.varint("from")?;
    message.term = reader.varint("term")?;
    message.log_term = reader.varint("log term")?;
    message.index = reader.varint("index")?;
    message.commit = reader.varint("commit")?;
    message.commit_term = reader.varint("commit term")?;
    message.reject_hint = reader.varint("reject hint")?;
    message.request_snapshot = reader.varint("request snapshot")?;
    message.priority = reader.signed("priority")?;
    message.context = reader.byte_string("context", limits::MESSAGE_CONTEXT_BYTES_MAX)?;
    let mut entries = decode_entry_heads(reader, message.index)?;
    let snapshot = if flags & SNAPSHOT != 0 { Some(decode_snapshot_head(reader)?) } else { None };
    for (entry, len) in &mut entries {
        entry.data = reader.take("entry data", *len)?;
    }
    message.set_entries(entries.into_iter().map(|(entry, _)| entry).collect::<Vec<_>>().into());
    if let Some((mut snapshot, len)) = snapshot {
        snapshot.data = reader.take("snapshot data", len)?;
        message.set_snapshot(snapshot);
    }
    Ok(message)
}

fn decode_entry_heads(reader: &mut Reader, before: u64) -> Result<Vec<(Entry, usize)>, CodecError> {
    const HEAD_BYTES_MIN: usize = 3;
    let count = reader.count("entries", limits::MESSAGE_ENTRIES_MAX, HEAD_BYTES_MIN)?;
    let mut entries = Vec::with_capacity(count);
    for position in 0..count as u64 {
        let mut entry = Entry::default();
        match reader.byte("entry kind")? {
            DATA => {}
            CONTROL => entry::mark_control(&mut entry),
            MEMBERS => entry::mark_members(&mut entry),
            other => return Err(CodecError::Unknown("entry kind", u64::from(other))),
        }
        entry.term = reader.varint("entry term")?;
        entry.index = before.checked_add(1 + position).ok_or(CodecError::TooLarge(
            "entry index",
            before,
            u64::MAX - 1 - position,
        ))?;
        let len = reader.bounded("entry length", limits::MESSAGE_BYTES_MAX as u64)? as usize;
        entries.push((entry, len));
    }
    Ok(entries)
}

fn decode_snapshot_head(reader: &mut Reader) -> Result<(Snapshot, usize), CodecError> {
    let mut snapshot = Snapshot::default();
    snapshot.mut_metadata().index = reader.varint("snapshot index")?;
    snapshot.mut_metadata().term = reader.varint("snapshot term")?;
    let mut state = ConfState::default();
    for members in [&mut state.voters, &mut state.learners] {
        let count = reader.count("members", limits::VOTERS_MAX, 1)?;
        for _ in 0..count {
            members.push(reader.varint("member")?);
        }
    }
    snapshot.mut_metadata().set_conf_state(state);
    let len = reader.bounded("snapshot length", limits::SNAPSHOT_BYTES_MAX as u64)? as usize;
    Ok((snapshot, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(message: ReplicaMessage) {
        let pieces = message.encode();
        let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(ReplicaMessage::decode(Bytes::from(whole.clone())).unwrap(), message);
        for cut in 0..whole.len() {
            assert!(ReplicaMessage::decode(Bytes::from(whole[..cut].to_vec())).is_err(), "cut at {cut}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(ReplicaMessage::decode(Bytes::from(longer)).is_err());
    }

    fn append() -> Message {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgAppend);
        (message.to, message.from, message.term, message.log_term) = (1, 2, 300, 299);
        (message.index, message.commit) = (1_000_000, 999_999);
        let mut batch = Entry::default();
        (batch.index, batch.term, batch.data) = (1_000_001, 300, Bytes::from_static(b"batch"));
        let mut control = Entry::default();
        (control.index, control.term, control.data) = (1_000_002, 300, Bytes::from_static(b"control"));
        entry::mark_control(&mut control);
        let mut noop = Entry::default();
        (noop.index, noop.term) = (1_000_003, 301);
        let mut members = Entry::default();
        (members.index, members.term, members.data) = (1_000_004, 301, Bytes::from_static(b"members"));
        entry::mark_members(&mut members);
        message.set_entries(vec![batch, control, noop, members].into());
        message
    }

    #[test]
    fn every_message_round_trips_and_no_prefix_decodes() {
        round_trip(ReplicaMessage::Raft(append()));
        let mut reply = Message::default();
        reply.set_msg_type(MessageType::MsgHeartbeatResponse);
        (reply.reject, reply.reject_hint, reply.priority) = (true, 7, -3);
        reply.context = Bytes::from_static(&[9; 24]);
        round_trip(ReplicaMessage::Learner(reply.clone()));
        round_trip(ReplicaMessage::Raft(reply));
        let mut install = Message::default();
        install.set_msg_type(MessageType::MsgSnapshot);
        install.mut_snapshot().data = Bytes::from_static(b"state");
        install.mut_snapshot().mut_metadata().index = 77;
        install.mut_snapshot().mut_metadata().mut_conf_state().set_voters(vec![1, 2, 3]);
        install.mut_snapshot().mut_metadata().mut_conf_state().set_learners(vec![1 << 32 | 4]);
        round_trip(ReplicaMessage::Raft(install));
        round_trip(ReplicaMessage::ReadBarrier { request_id: u64::MAX, wait_ms: 5_000 });
        let ok = BarrierOutcome::Ok { index: Index(5), term: Term(6) };
        let somebody = BarrierOutcome::NotLeader { hint: Some(NodeId(0)) };
        for outcome in [ok, somebody, BarrierOutcome::NotLeader { hint: None }, BarrierOutcome::NotReady] {
            round_trip(ReplicaMessage::ReadBarrierReply { request_id: 3, outcome });
        }
        let place =
            PrefixPlace { up_to: Offset(90), tombstones_below: Offset(7), file: 3, position: 1 << 33 };
        round_trip(ReplicaMessage::PrefixRequest { place });
        round_trip(ReplicaMessage::PrefixPiece { place, bytes: Bytes::from_static(b"bytes of a file") });
        round_trip(ReplicaMessage::PrefixPiece { place, bytes: Bytes::new() });
        round_trip(ReplicaMessage::Sleep { term: Term(4), index: Index(9) });
    }

    #[test]
    fn payloads_are_shared_not_copied() {
        let message = append();
        let payload = message.get_entries()[0].data.as_ptr();
        let pieces = ReplicaMessage::Raft(message).encode();
        assert_eq!(pieces.len(), 4, "head and three payloads");
        assert_eq!(pieces[1].as_ptr(), payload);
    }

    #[test]
    fn proposals_and_forwarded_reads_do_not_decode() {
        for kind in [MessageType::MsgPropose, MessageType::MsgReadIndex, MessageType::MsgHup] {
            assert!(!is_sendable(kind));
        }
        for byte in [0, 11, 15, 255] {
            let bytes = Bytes::from(vec![RAFT, byte, 0]);
            assert_eq!(
                ReplicaMessage::decode(bytes),
                Err(CodecError::Unknown("raft message type", u64::from(byte)))
            );
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplicaMessage::decode(Bytes::from(bytes));
        }

        #[test]
        fn garbled_appends_never_panic(at in 0usize..40, byte in any::<u8>()) {
            let pieces = ReplicaMessage::Raft(append()).encode();
            let mut whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let at = at % whole.len();
            whole[at] = byte;
            let _ = ReplicaMessage::decode(Bytes::from(whole));
        }
    }
}
