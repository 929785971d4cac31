//! What the clients of the partition know, and what must follow from it.

use std::collections::BTreeMap;

use super::transactions::Transactions;

/// A batch to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// Names the batch for ever; every record carries it.
    pub(super) number: u32,
    /// Producer and first sequence number, if it is idempotent.
    pub(super) sequence: Option<(usize, i32)>,
    /// The epoch of its producer, if it is part of a transaction: each transaction has one of its own.
    pub(super) transaction: Option<i16>,
    /// Its records.
    pub(super) count: usize,
}

/// What became of one attempt to send a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Acknowledged; its first record has this offset.
    At(i64),
    /// It may have been appended.
    Unknown,
    /// This attempt appended nothing.
    Refused,
}

/// Stands for the batch of a record that ends a transaction.
pub(super) const MARKER: u32 = u32::MAX;

/// Visible records: offset, and number of the batch that a record belongs to.
pub(super) type Content = Vec<(i64, u32)>;

/// What a read that begins now must show at least.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Knowledge {
    /// The largest end that anyone was told of.
    pub(super) end: i64,
    /// The largest log start that anyone was told of.
    pub(super) log_start: i64,
    /// The largest last stable offset that anyone was told of.
    pub(super) stable: i64,
}

/// What a read showed.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) began: Knowledge,
    pub(super) end: i64,
    pub(super) log_start: i64,
    pub(super) stable: i64,
    pub(super) content: Content,
    /// What a reader of committed records makes of it.
    pub(super) committed: Content,
}

#[derive(Debug)]
struct Sent {
    batch: Batch,
    attempts: u32,
    refused: u32,
    offset: Option<i64>,
}

/// Everything the clients know.
#[derive(Debug, Default)]
pub(super) struct Model {
    sent: Vec<Sent>,
    next_sequence: BTreeMap<usize, i32>,
    known: Knowledge,
    /// What stood at an offset when it was first seen.
    seen: BTreeMap<i64, u32>,
    /// The transactions of the clients.
    pub(super) transactions: Transactions,
}

impl Model {
    /// The next batch of a producer, or of nobody in particular.
    pub(super) fn send(&mut self, producer: Option<usize>, count: usize) -> Batch {
        let sequence = producer.map(|producer| {
            let next = self.next_sequence.entry(producer).or_default();
            let first = *next;
            *next += count as i32;
            (producer, first)
        });
        self.remember(Batch { number: self.sent.len() as u32, sequence, transaction: None, count })
    }

    /// The next batch in a producer's transaction; none while its end is not known.
    pub(super) fn send_in_transaction(&mut self, producer: usize, count: usize) -> Option<Batch> {
        let (epoch, first) = self.transactions.write(producer, count)?;
        let number = self.sent.len() as u32;
        Some(self.remember(Batch {
            number,
            sequence: Some((producer, first)),
            transaction: Some(epoch),
            count,
        }))
    }

    fn remember(&mut self, batch: Batch) -> Batch {
        self.sent.push(Sent { batch, attempts: 1, refused: 0, offset: None });
        batch
    }

    /// The `back`th newest batch with a sequence number, once more.
    pub(super) fn repeat(&mut self, back: usize) -> Option<Batch> {
        let is_idempotent = |batch: &Batch| batch.sequence.is_some() && batch.transaction.is_none();
        let mut idempotent = self.sent.iter_mut().rev().filter(|sent| is_idempotent(&sent.batch));
        let sent = idempotent.nth(back)?;
        sent.attempts += 1;
        Some(sent.batch)
    }

    /// An attempt was answered.
    pub(super) fn learn(&mut self, number: u32, outcome: Outcome) {
        let sent = &mut self.sent[number as usize];
        match outcome {
            Outcome::At(offset) => {
                assert!(sent.offset.is_none_or(|known| known == offset), "{sent:?} is now at {offset}, too");
                sent.offset = Some(offset);
                self.known.end = self.known.end.max(offset + sent.batch.count as i64);
            }
            Outcome::Refused => sent.refused += 1,
            Outcome::Unknown => {}
        }
    }

    /// Whether a batch was acknowledged.
    pub(super) fn is_acknowledged(&self, number: u32) -> bool {
        self.sent.get(number as usize).is_some_and(|sent| sent.offset.is_some())
    }

    /// Batches that were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.sent.iter().filter(|sent| sent.offset.is_some()).count()
    }

    /// What a read that begins now must show at least.
    pub(super) fn knowledge(&self) -> Knowledge {
        self.known
    }

    /// A read through the gate was answered.
    pub(super) fn see(&mut self, read: &Read) {
        assert!(read.end >= read.began.end, "stale read: {read:?}");
        assert!(read.log_start >= read.began.log_start, "the log start went back: {read:?}");
        assert!(read.stable >= read.began.stable, "the last stable offset went back: {read:?}");
        self.known.stable = self.known.stable.max(read.stable);
        for (offset, number) in &read.committed {
            let may = self.outcome(*number).is_none_or(|commit| commit == Some(true));
            assert!(may, "batch {number} at {offset} is shown, and its transaction is not committed");
        }
        let offsets: Vec<i64> = read.content.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (read.log_start..read.end).collect::<Vec<_>>(), "a gap, or more than the end");
        self.known.end = self.known.end.max(read.end);
        self.known.log_start = self.known.log_start.max(read.log_start);
        for (offset, number) in &read.content {
            let first = *self.seen.entry(*offset).or_insert(*number);
            assert_eq!(first, *number, "offset {offset} changed its value");
        }
    }

    /// What was decided of a batch's transaction; `None` if it is part of none.
    fn outcome(&self, number: u32) -> Option<Option<bool>> {
        let batch = self.sent.get(number as usize)?.batch;
        let (producer, _) = batch.sequence?;
        Some(self.transactions.decision(producer, batch.transaction?))
    }

    /// A reader of committed records lacks nothing that counts.
    pub(super) fn check_committed(&self, read: &Read) {
        let counts =
            |number: u32| number != MARKER && self.outcome(number).is_none_or(|commit| commit == Some(true));
        let expected: Content = read.content.iter().copied().filter(|(_, number)| counts(*number)).collect();
        assert_eq!(read.committed, expected, "what was committed is not what is shown");
    }

    /// The content that all replicas agree on in the end.
    pub(super) fn check(&mut self, content: &Content) {
        let log_start = content.first().map_or(self.known.end, |(offset, _)| *offset);
        let mut expected_sequences = BTreeMap::new();
        let mut at = 0;
        while let Some((offset, number)) = content.get(at) {
            if *number == MARKER {
                at += 1;
                continue;
            }
            let Sent { batch, attempts, refused, offset: known } = &self.sent[*number as usize];
            let run = content[at..].iter().take_while(|(_, other)| other == number).count();
            if at == 0 && run < batch.count {
                // The log start lies within the first batch.
                at += run;
                continue;
            }
            assert_eq!(run, batch.count, "batch {number} at {offset} is not whole, or there twice");
            assert!(refused < attempts, "batch {number} was refused and is at {offset}");
            assert!(
                known.is_none_or(|known| known == *offset),
                "batch {number} is at {offset}, not {known:?}"
            );
            if let Some((producer, sequence)) = batch.sequence {
                let next = sequence + batch.count as i32;
                let expected = expected_sequences.insert((producer, batch.transaction), next);
                assert!(
                    expected.is_none_or(|expected| expected == sequence),
                    "batch {number} is out of order"
                );
            }
            let seen = self.seen.get(offset);
            assert!(seen.is_none_or(|seen| seen == number), "offset {offset} changed its value");
            at += run;
        }
        for (number, sent) in self.sent.iter().enumerate() {
            if let Some(offset) = sent.offset.filter(|offset| *offset >= log_start) {
                let found = content.contains(&(offset, number as u32));
                assert!(found, "batch {number} was acknowledged at {offset} and is lost");
            }
        }
    }
}
