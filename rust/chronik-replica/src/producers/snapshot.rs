//! Producer state as bytes: part of every snapshot, so that a retry is recognised and an open or aborted transaction
//! known whatever replica leads.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use chronik_log::Index;
use chronik_mutants::{Mutant, planted};
use chronik_wire::types::Offset;

use super::table::{Producer, Producers};
use super::{Aborted, AbortedTransactions, Accepted, Numbers, Stand};
use crate::codec::{CodecError, Reader, put_signed, put_varint};
use crate::limits;

impl Producers {
    /// Appends the whole table.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        put_signed(out, self.clock_ms);
        out.put_u8(u8::from(self.forgot_some));
        put_varint(out, self.by_id.len() as u64);
        for (id, producer) in &self.by_id {
            put_signed(out, *id);
            encode_stand(out, producer.stand);
            put_signed(out, producer.timestamp_ms);
            put_varint(out, producer.used_at.0);
            put_optional(out, producer.used_ms);
            put_varint(out, producer.batches.len() as u64);
            for batch in &producer.batches {
                put_signed(out, i64::from(batch.numbers.first));
                put_signed(out, i64::from(batch.numbers.last));
                put_signed(out, batch.base_offset.0);
            }
        }
    }

    /// Reads what [`Producers::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader) -> Result<Producers, CodecError> {
        const PRODUCER_BYTES_MIN: usize = 8;
        let clock_ms = reader.signed("producer clock")?;
        let forgot_some = reader.byte("forgotten producers")? != 0;
        let count = reader.count("producers", limits::PRODUCERS_MAX, PRODUCER_BYTES_MIN)?;
        let mut producers = Producers { clock_ms, forgot_some, ..Producers::default() };
        for _ in 0..count {
            let id = reader.signed("producer id")?;
            let producer = decode_producer(reader)?;
            match producer.stand.open_since {
                Some(began) => drop(producers.open.insert(began, id)),
                None => drop(producers.by_use.insert(producer.used_at, id)),
            }
            producers.by_id.insert(id, producer);
        }
        Ok(producers)
    }
}

impl AbortedTransactions {
    /// Appends the whole list. Markers ascend, so each is told by its distance from the one before.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        put_varint(out, self.0.len() as u64);
        let mut before = Offset::ZERO;
        for aborted in &self.0 {
            put_signed(out, aborted.producer);
            put_varint(out, (aborted.last.0 - before.0) as u64);
            put_signed(out, aborted.last.0 - aborted.first.0);
            put_signed(out, aborted.last.0 - aborted.stable.0);
            before = aborted.last;
        }
    }

    /// Reads what [`AbortedTransactions::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader) -> Result<AbortedTransactions, CodecError> {
        const ABORTED_BYTES_MIN: usize = 4;
        let count =
            reader.count("aborted transactions", limits::ABORTED_TRANSACTIONS_MAX, ABORTED_BYTES_MIN)?;
        let mut list = VecDeque::with_capacity(count);
        let mut last = 0i64;
        for _ in 0..count {
            let producer = reader.signed("producer of an aborted transaction")?;
            let distance = reader.bounded("distance of a marker", i64::MAX as u64)? as i64;
            let overflow = CodecError::Unknown("distance of a marker", distance as u64);
            last =
                last.checked_add(distance).filter(|next| *next > last || list.is_empty()).ok_or(overflow)?;
            let first = Offset(last.saturating_sub(reader.signed("length of an aborted transaction")?));
            let stable = Offset(last.saturating_sub(reader.signed("stable offset behind a marker")?));
            list.push_back(Aborted { producer, first, last: Offset(last), stable });
        }
        Ok(AbortedTransactions(list))
    }
}

fn encode_stand(out: &mut BytesMut, stand: Stand) {
    put_signed(out, i64::from(stand.epoch));
    put_signed(out, i64::from(stand.coordinator_epoch));
    let open_since = stand.open_since.filter(|_| !planted(Mutant::OpenTransactionsNotSaved));
    put_optional(out, open_since.map(|offset| offset.0));
}

fn decode_stand(reader: &mut Reader) -> Result<Stand, CodecError> {
    Ok(Stand {
        epoch: narrow(reader.signed("producer epoch")?, "producer epoch")?,
        coordinator_epoch: narrow(reader.signed("coordinator epoch")?, "coordinator epoch")?,
        open_since: optional(reader, "open transaction")?.map(Offset),
    })
}

fn decode_producer(reader: &mut Reader) -> Result<Producer, CodecError> {
    let stand = decode_stand(reader)?;
    let timestamp_ms = reader.signed("producer timestamp")?;
    let used_at = Index(reader.varint("producer index")?);
    let used_ms = optional(reader, "producer time")?;
    let count = reader.count("producer batches", limits::PRODUCER_BATCHES_MAX, 3)?;
    let mut batches = VecDeque::with_capacity(count);
    for _ in 0..count {
        let numbers = Numbers {
            first: narrow(reader.signed("first sequence")?, "first sequence")?,
            last: narrow(reader.signed("last sequence")?, "last sequence")?,
        };
        batches.push_back(Accepted { numbers, base_offset: Offset(reader.signed("base offset")?) });
    }
    Ok(Producer { stand, batches, timestamp_ms, used_at, used_ms })
}

fn put_optional(out: &mut BytesMut, value: Option<i64>) {
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put_signed(out, value);
    }
}

fn optional(reader: &mut Reader, what: &'static str) -> Result<Option<i64>, CodecError> {
    match reader.byte(what)? {
        0 => Ok(None),
        1 => reader.signed(what).map(Some),
        other => Err(CodecError::Unknown(what, u64::from(other))),
    }
}

fn narrow<T: TryFrom<i64>>(value: i64, what: &'static str) -> Result<T, CodecError> {
    T::try_from(value).map_err(|_| CodecError::Unknown(what, value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producers::{Marker, ProducerBatch};

    fn batch(producer: i64, epoch: i16, first: i32) -> ProducerBatch {
        let numbers = Some(Numbers { first, last: first });
        ProducerBatch { producer, epoch, numbers, transactional: producer % 3 == 0 }
    }

    #[test]
    fn a_snapshot_continues_identically() {
        let mut producers = Producers::default();
        for id in 0..20 {
            for first in 0..(id % 7) {
                let place = i64::from(id * 10 + first + 1);
                let batch = batch(i64::from(id), 1, first);
                producers.apply_batch(&batch, Offset(place), 5, Index(place as u64));
            }
        }
        producers.apply_clock(100, 0);
        let marker = Marker { producer: 6, epoch: 2, commit: false, coordinator_epoch: 9 };
        producers.apply_marker(&marker, 7, Index(998));
        producers.apply_batch(&batch(3, 1, 3), Offset(99), 8, Index(999));
        assert!(producers.open_count() > 0);
        let mut out = BytesMut::new();
        producers.encode(&mut out);
        let mut reader = Reader::new(out.freeze());
        let copy = Producers::decode(&mut reader).unwrap();
        reader.finish("producers").unwrap();
        assert_eq!(copy, producers);
    }

    #[test]
    fn the_list_of_aborted_transactions_comes_back_and_must_ascend() {
        let aborted = |first, last| Aborted {
            producer: first,
            first: Offset(first),
            last: Offset(last),
            stable: Offset(last + 1 - first % 2),
        };
        let list = AbortedTransactions(VecDeque::from([aborted(0, 0), aborted(3, 90), aborted(2, 91)]));
        let mut out = BytesMut::new();
        list.encode(&mut out);
        let whole = out.freeze();
        let mut reader = Reader::new(whole.clone());
        assert_eq!(AbortedTransactions::decode(&mut reader), Ok(list));
        reader.finish("aborted").unwrap();
        for cut in 0..whole.len() {
            assert!(AbortedTransactions::decode(&mut Reader::new(whole.slice(..cut))).is_err(), "{cut}");
        }
        let mut out = BytesMut::new();
        AbortedTransactions(VecDeque::from([aborted(0, 5), aborted(1, 5)])).encode(&mut out);
        assert!(AbortedTransactions::decode(&mut Reader::new(out.freeze())).is_err());
    }
}
