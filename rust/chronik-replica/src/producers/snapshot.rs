//! Producer state as bytes: part of every snapshot, so that a retry is recognised whatever replica leads.

use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, BytesMut};
use chronik_log::Index;
use chronik_wire::types::Offset;

use super::Accepted;
use super::table::{Producer, Producers};
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
            put_signed(out, i64::from(producer.epoch));
            put_varint(out, producer.used_at.0);
            out.put_u8(u8::from(producer.used_ms.is_some()));
            put_signed(out, producer.used_ms.unwrap_or(0));
            put_varint(out, producer.batches.len() as u64);
            for batch in &producer.batches {
                put_signed(out, i64::from(batch.first));
                put_signed(out, i64::from(batch.last));
                put_signed(out, batch.base_offset.0);
            }
        }
    }

    /// Reads what [`Producers::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader) -> Result<Producers, CodecError> {
        const PRODUCER_BYTES_MIN: usize = 6;
        let clock_ms = reader.signed("producer clock")?;
        let forgot_some = reader.byte("forgotten producers")? != 0;
        let count = reader.count("producers", limits::PRODUCERS_MAX, PRODUCER_BYTES_MIN)?;
        let mut by_id = BTreeMap::new();
        let mut by_use = BTreeMap::new();
        for _ in 0..count {
            let id = reader.signed("producer id")?;
            let producer = decode_producer(reader)?;
            by_use.insert(producer.used_at, id);
            by_id.insert(id, producer);
        }
        Ok(Producers { by_id, by_use, clock_ms, forgot_some })
    }
}

fn decode_producer(reader: &mut Reader) -> Result<Producer, CodecError> {
    let epoch = narrow(reader.signed("producer epoch")?, "producer epoch")?;
    let used_at = Index(reader.varint("producer index")?);
    let stamped = reader.byte("producer stamp")? != 0;
    let used_ms = reader.signed("producer time")?;
    let count = reader.count("producer batches", limits::PRODUCER_BATCHES_MAX, 3)?;
    let mut batches = VecDeque::with_capacity(count);
    for _ in 0..count {
        batches.push_back(Accepted {
            first: narrow(reader.signed("first sequence")?, "first sequence")?,
            last: narrow(reader.signed("last sequence")?, "last sequence")?,
            base_offset: Offset(reader.signed("base offset")?),
        });
    }
    Ok(Producer { epoch, batches, used_at, used_ms: stamped.then_some(used_ms) })
}

fn narrow<T: TryFrom<i64>>(value: i64, what: &'static str) -> Result<T, CodecError> {
    T::try_from(value).map_err(|_| CodecError::Unknown(what, value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producers::ProducerBatch;

    #[test]
    fn a_snapshot_continues_identically() {
        let mut producers = Producers::default();
        for id in 0..20 {
            for first in 0..(id % 7) {
                let batch = ProducerBatch { producer: i64::from(id), epoch: 1, first, last: first };
                let index = Index((id * 10 + first + 1) as u64);
                producers.apply(&batch, Offset(i64::from(first)), index);
            }
        }
        producers.apply_clock(100, 0);
        let late = ProducerBatch { producer: 3, epoch: 2, first: 0, last: 0 };
        producers.apply(&late, Offset(99), Index(999));
        let mut out = BytesMut::new();
        producers.encode(&mut out);
        let mut reader = Reader::new(out.freeze());
        let copy = Producers::decode(&mut reader).unwrap();
        reader.finish("producers").unwrap();
        assert_eq!(copy, producers);
    }
}
