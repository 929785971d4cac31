//! What the clients of the partition know, and what must follow from it.

use std::collections::BTreeMap;

/// A batch to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// Names the batch for ever; every record carries it.
    pub(super) number: u32,
    /// Producer and first sequence number, if it is idempotent.
    pub(super) sequence: Option<(usize, i32)>,
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

/// Visible records: offset, and number of the batch that a record belongs to.
pub(super) type Content = Vec<(i64, u32)>;

/// What a read that begins now must show at least.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Knowledge {
    /// The largest end that anyone was told of.
    pub(super) end: i64,
    /// The largest log start that anyone was told of.
    pub(super) log_start: i64,
}

/// What a read showed.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) began: Knowledge,
    pub(super) end: i64,
    pub(super) log_start: i64,
    pub(super) content: Content,
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
        let batch = Batch { number: self.sent.len() as u32, sequence, count };
        self.sent.push(Sent { batch, attempts: 1, refused: 0, offset: None });
        batch
    }

    /// The `back`th newest batch with a sequence number, once more.
    pub(super) fn repeat(&mut self, back: usize) -> Option<Batch> {
        let mut idempotent = self.sent.iter_mut().rev().filter(|sent| sent.batch.sequence.is_some());
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
        let offsets: Vec<i64> = read.content.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (read.log_start..read.end).collect::<Vec<_>>(), "a gap, or more than the end");
        self.known.end = self.known.end.max(read.end);
        self.known.log_start = self.known.log_start.max(read.log_start);
        for (offset, number) in &read.content {
            let first = *self.seen.entry(*offset).or_insert(*number);
            assert_eq!(first, *number, "offset {offset} changed its value");
        }
    }

    /// The content that all replicas agree on in the end.
    pub(super) fn check(&mut self, content: &Content) {
        let log_start = content.first().map_or(self.known.end, |(offset, _)| *offset);
        let mut expected_sequences = BTreeMap::new();
        let mut at = 0;
        while let Some((offset, number)) = content.get(at) {
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
                let expected = expected_sequences.insert(producer, sequence + batch.count as i32);
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
