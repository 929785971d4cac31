//! Transactions as records of `__transaction_state`, in Kafka's layout.
//!
//! Key and value begin with a 16-bit version. Values are written in version 1 and read in 0 and 1. Owns the rule that a
//! value says everything a [`Transaction`] holds, so that a state built from the log equals the one that wrote it.

use std::sync::Arc;

use bytes::Bytes;
use chronik_wire::codec::{Message, Reader, Writer};
use chronik_wire::messages::transaction_records::{PartitionsSchema, TransactionLogKey, TransactionLogValue};
use chronik_wire::types::PartitionIndex;

use super::transaction::{Partitions, Transaction, TransactionStatus};
use crate::codec::CodecError;
use crate::coordinator::CoordinatorRecord;

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;
const VALUE_VERSIONS_READ: std::ops::RangeInclusive<i16> = 0..=1;

/// The record that says what is so of a transactional id.
pub(crate) fn encode(transactional_id: &str, transaction: &Transaction) -> CoordinatorRecord {
    let value = TransactionLogValue {
        producer_id: transaction.producer_id,
        previous_producer_id: transaction.previous_producer_id,
        next_producer_id: transaction.next_producer_id,
        producer_epoch: transaction.producer_epoch,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.status.number(),
        // Kafka's tools expect null here, and only here, while nothing was ever added.
        transaction_partitions: (transaction.status != TransactionStatus::Empty)
            .then(|| by_topic(&transaction.partitions)),
        transaction_last_update_timestamp_ms: transaction.updated_ms,
        transaction_start_timestamp_ms: transaction.started_ms,
        client_transaction_version: transaction.version,
        last_producer_epoch: transaction.last_producer_epoch,
    };
    CoordinatorRecord { key: key(transactional_id), value: Some(versioned(&value, VALUE_VERSION)) }
}

/// The record that makes a transactional id forgotten.
pub(crate) fn encode_tombstone(transactional_id: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: key(transactional_id), value: None }
}

/// Which transactional id a record is about, and what it says of it; `None` after a tombstone.
///
/// # Errors
/// The key is of another kind, or the bytes do not decode.
pub(crate) fn decode(record: &CoordinatorRecord) -> Result<(Arc<str>, Option<Transaction>), CodecError> {
    let key: TransactionLogKey = read(&record.key, "transaction log key", KEY_VERSION..=KEY_VERSION)?;
    let transactional_id = Arc::from(key.transactional_id);
    let Some(value) = &record.value else { return Ok((transactional_id, None)) };
    let value: TransactionLogValue = read(value, "transaction log value", VALUE_VERSIONS_READ)?;
    let status = TransactionStatus::from_number(value.transaction_status).ok_or(CodecError::Unknown {
        what: "transaction status",
        value: u64::from(value.transaction_status as u8),
    })?;
    let transaction = Transaction {
        producer_id: value.producer_id,
        previous_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        producer_epoch: value.producer_epoch,
        last_producer_epoch: value.last_producer_epoch,
        timeout_ms: value.transaction_timeout_ms,
        status,
        partitions: flat(value.transaction_partitions.unwrap_or_default()),
        started_ms: value.transaction_start_timestamp_ms,
        updated_ms: value.transaction_last_update_timestamp_ms,
        version: value.client_transaction_version,
    };
    Ok((transactional_id, Some(transaction)))
}

fn key(transactional_id: &str) -> Bytes {
    versioned(&TransactionLogKey { transactional_id: transactional_id.to_owned() }, KEY_VERSION)
}

fn versioned<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    writer.put_i16(version);
    message.encode(&mut writer, version).expect("ids and partitions are bounded when they are accepted");
    writer.finish().concat().into()
}

fn read<M: Message>(
    bytes: &Bytes,
    what: &'static str,
    versions: std::ops::RangeInclusive<i16>,
) -> Result<M, CodecError> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.read_i16().map_err(CodecError::Record)?;
    if !versions.contains(&version) {
        return Err(CodecError::Unknown { what, value: u64::from(version as u16) });
    }
    let message = M::decode(&mut reader, version).map_err(CodecError::Record)?;
    reader.finish().map_err(CodecError::Record)?;
    Ok(message)
}

fn by_topic(partitions: &Partitions) -> Vec<PartitionsSchema> {
    let mut topics: Vec<PartitionsSchema> = Vec::new();
    for (topic, partition) in partitions {
        match topics.last_mut() {
            Some(last) if *last.topic == **topic => last.partition_ids.push(partition.0),
            _ => topics.push(PartitionsSchema { topic: topic.to_string(), partition_ids: vec![partition.0] }),
        }
    }
    topics
}

fn flat(topics: Vec<PartitionsSchema>) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in topics {
        let name: Arc<str> = Arc::from(topic.topic);
        partitions.extend(topic.partition_ids.into_iter().map(|id| (name.clone(), PartitionIndex(id))));
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction() -> Transaction {
        let added = [("b", 2), ("a", 1), ("a", 0)].map(|(topic, id)| (Arc::from(topic), PartitionIndex(id)));
        Transaction::new(7, 60_000, 1_000).with_partitions(Partitions::from(added), 2, 1_500)
    }

    #[test]
    fn a_record_says_everything() {
        for transaction in [
            Transaction::new(7, 60_000, 1_000),
            transaction(),
            transaction().fenced(1_600),
            transaction().decided(true, 2, 9, 1_600),
            transaction().decided(true, 2, 9, 1_600).completed(1_700),
        ] {
            let record = encode("pay", &transaction);
            assert_eq!(decode(&record), Ok((Arc::from("pay"), Some(transaction))));
        }
        assert_eq!(decode(&encode_tombstone("pay")), Ok((Arc::from("pay"), None)));
    }

    #[test]
    fn the_layout_is_kafkas() {
        let record = encode("pay", &transaction());
        assert_eq!(record.key[..], *b"\0\0\0\x03pay");
        let mut expected = Vec::new();
        expected.extend(1_i16.to_be_bytes());
        expected.extend(7_i64.to_be_bytes());
        expected.extend(0_i16.to_be_bytes());
        expected.extend(60_000_i32.to_be_bytes());
        expected.push(1);
        // Two topics of compact length, each with its compact list of partitions and no tagged fields.
        expected.extend(*b"\x03\x02a\x03\0\0\0\0\0\0\0\x01\0\x02b\x02\0\0\0\x02\0");
        expected.extend(1_500_i64.to_be_bytes());
        expected.extend(1_500_i64.to_be_bytes());
        // Tagged fields: the previous producer id and the transaction version; the others have their defaults.
        expected.extend(*b"\x02\0\x08\0\0\0\0\0\0\0\x07\x02\x02\0\x02");
        assert_eq!(record.value.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn kafkas_first_layout_is_read() {
        let mut value = Vec::new();
        value.extend(0_i16.to_be_bytes());
        value.extend(7_i64.to_be_bytes());
        value.extend(3_i16.to_be_bytes());
        value.extend(60_000_i32.to_be_bytes());
        value.push(0);
        value.extend((-1_i32).to_be_bytes());
        value.extend(1_000_i64.to_be_bytes());
        value.extend((-1_i64).to_be_bytes());
        let record = CoordinatorRecord { key: key("pay"), value: Some(value.into()) };
        let (_, transaction) = decode(&record).expect("version 0 is readable");
        let expected = Transaction { producer_epoch: 3, ..Transaction::new(7, 60_000, 1_000) };
        assert_eq!(transaction, Some(expected));
    }

    #[test]
    fn other_keys_statuses_and_cut_bytes_are_refused() {
        let good = encode("pay", &transaction());
        let other_key = CoordinatorRecord { key: Bytes::from_static(b"\0\x09\0\x01x"), ..good.clone() };
        assert!(matches!(decode(&other_key), Err(CodecError::Unknown { .. })));
        let mut status = good.value.clone().expect("a value").to_vec();
        status[16] = 6;
        let unknown = CoordinatorRecord { value: Some(status.into()), ..good.clone() };
        assert_eq!(decode(&unknown), Err(CodecError::Unknown { what: "transaction status", value: 6 }));
        let value = good.value.clone().expect("a value");
        for length in 0..value.len() {
            let cut = CoordinatorRecord { value: Some(value.slice(..length)), ..good.clone() };
            assert!(decode(&cut).is_err(), "{length} bytes");
        }
    }
}
