//! Appends cut to size.
//!
//! With `batch_append` raft merges everything it reads for a member into one append: its bound on message sizes holds
//! for each read, not for the sum, and a member far behind would get its whole window as one message. No queue
//! between nodes takes that, so it would be lost and read again for ever. Cut into portions it is what raft would
//! have sent without merging.

use raft::eraftpb::{Entry, Message};
use smallvec::{SmallVec, smallvec};

use crate::limits;

/// What an entry counts beside its data. Portions of empty entries stay below
/// [`MESSAGE_ENTRIES_MAX`](limits::MESSAGE_ENTRIES_MAX), too.
const ENTRY_HEAD_BYTES: u64 = 16;

/// The message itself, or the appends that say the same in portions of
/// [`APPEND_MESSAGE_BYTES_MAX`](limits::APPEND_MESSAGE_BYTES_MAX), each at least one entry.
pub(crate) fn in_portions(mut message: Message) -> SmallVec<[Message; 1]> {
    let bytes: u64 = message.get_entries().iter().map(cost).sum();
    if bytes <= limits::APPEND_MESSAGE_BYTES_MAX || message.get_entries().len() < 2 {
        return smallvec![message];
    }
    let mut portions = SmallVec::new();
    let mut portion = Vec::new();
    let mut portion_bytes = 0;
    for entry in message.take_entries() {
        if !portion.is_empty() && portion_bytes + cost(&entry) > limits::APPEND_MESSAGE_BYTES_MAX {
            portions.push(next_portion(&mut message, std::mem::take(&mut portion)));
            portion_bytes = 0;
        }
        portion_bytes += cost(&entry);
        portion.push(entry);
    }
    portions.push(next_portion(&mut message, portion));
    portions
}

/// An append of `entries`, which follow the position of `head`; the head moves behind them.
fn next_portion(head: &mut Message, entries: Vec<Entry>) -> Message {
    let mut portion = head.clone();
    if let Some(last) = entries.last() {
        (head.index, head.log_term) = (last.index, last.term);
    }
    portion.set_entries(entries.into());
    portion
}

fn cost(entry: &Entry) -> u64 {
    entry.data.len() as u64 + ENTRY_HEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn append(sizes: &[usize]) -> Message {
        let mut message = Message { index: 7, log_term: 2, term: 5, commit: 9, ..Message::default() };
        let entry = |(position, size): (usize, &usize)| Entry {
            index: 8 + position as u64,
            term: 3 + position as u64 / 2,
            data: Bytes::from(vec![0; *size]),
            ..Entry::default()
        };
        message.set_entries(sizes.iter().enumerate().map(entry).collect::<Vec<_>>().into());
        message
    }

    #[test]
    fn a_small_append_and_a_single_large_entry_stay_whole() {
        for message in [append(&[]), append(&[10, 20]), append(&[3 << 20])] {
            assert_eq!(in_portions(message.clone()).as_slice(), [message]);
        }
    }

    #[test]
    fn portions_follow_each_other_and_say_the_same() {
        let whole = append(&[600 << 10, 400 << 10, 300 << 10, 2 << 20, 0, 5]);
        let portions = in_portions(whole.clone());
        let lengths: Vec<usize> = portions.iter().map(|portion| portion.get_entries().len()).collect();
        assert_eq!(lengths, [2, 1, 1, 2]);
        let mut before = (whole.index, whole.log_term);
        for portion in &portions {
            assert_eq!((portion.index, portion.log_term), before);
            assert_eq!((portion.term, portion.commit), (whole.term, whole.commit));
            let last = portion.get_entries().last().unwrap();
            before = (last.index, last.term);
        }
        let entries: Vec<Entry> =
            portions.iter().flat_map(|portion| portion.get_entries().to_vec()).collect();
        assert_eq!(entries, whole.get_entries());
    }

    #[test]
    fn empty_entries_are_bounded_in_number() {
        let portions = in_portions(append(&vec![0; limits::MESSAGE_ENTRIES_MAX + 1]));
        assert!(portions.iter().all(|portion| portion.get_entries().len() <= limits::MESSAGE_ENTRIES_MAX));
        assert_eq!(portions.len(), 2);
    }
}
