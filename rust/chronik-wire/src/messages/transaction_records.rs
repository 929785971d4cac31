//! The records of `__transaction_state`, as Kafka lays them out: a 16-bit version, then the structure. No API: nobody
//! sends these as a request.
//!
//! Key version 0 is the only one. Value versions: 1 flexible, with tagged fields.

use crate::codec::NEVER;

message! {
    /// Which transactional id a record is about.
    pub struct TransactionLogKey [0..=0, flexible NEVER..] {
        /// The transactional id.
        transactional_id: String [0..],
    }

    /// What is so of a transactional id.
    pub struct TransactionLogValue [0..=1, flexible 1..] {
        /// The producer id in use.
        producer_id: i64 [0..],
        /// The producer id before the last change, or -1.
        previous_producer_id: i64 [1.., tag 0] = -1,
        /// The producer id that follows once the transaction has ended, or -1.
        next_producer_id: i64 [1.., tag 1] = -1,
        /// The epoch of the producer id.
        producer_epoch: i16 [0..],
        /// When an open transaction is to be aborted, in milliseconds after its start.
        transaction_timeout_ms: i32 [0..],
        /// The number of the transaction's state.
        transaction_status: i8 [0..],
        /// The partitions of the transaction; null while there is none.
        transaction_partitions: Option<Vec<PartitionsSchema>> [0..],
        /// When the transactional id was last touched, in milliseconds since 1970.
        transaction_last_update_timestamp_ms: i64 [0..],
        /// When the transaction began, in milliseconds since 1970, or -1.
        transaction_start_timestamp_ms: i64 [0..],
        /// The transaction version of the producer: from 2 on every end raises the epoch.
        client_transaction_version: i16 [1.., tag 2],
        /// The epoch before the last change, or -1. Ours: Kafka forgets it when a coordinator moves, and then refuses the
        /// repetition of an InitProducerId whose answer was lost. Kafka's tools skip the field.
        last_producer_epoch: i16 [1.., tag 1000] = -1,
    }

    /// The partitions of one topic.
    pub struct PartitionsSchema {
        /// The topic's name.
        topic: String [0..],
        /// The partitions' numbers.
        partition_ids: Vec<i32> [0..],
    }
}
