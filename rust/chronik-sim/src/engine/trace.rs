//! A fingerprint of everything that happened, and, on demand, the story of it for a person.

use crate::random::mix;
use crate::schedule::Story;

/// Folds every event into one number: two runs that did the same have the same one.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    story: Story,
}

impl Trace {
    /// An empty trace; the story goes to standard output.
    pub(crate) fn new(story: Story) -> Trace {
        Trace { hash: 0, events: 0, story }
    }

    /// Something happened: a time and words that say what.
    pub(crate) fn note(&mut self, now_us: u64, words: &[u64]) {
        self.events += 1;
        self.hash = words.iter().fold(mix(self.hash ^ now_us), |hash, word| mix(hash.rotate_left(5) ^ word));
    }

    /// Bytes as one word of [`note`](Trace::note).
    pub(crate) fn digest(bytes: &[u8]) -> u64 {
        let mut chunks = bytes.chunks_exact(8);
        let mut hash = bytes.len() as u64;
        for chunk in &mut chunks {
            let word = chunk.try_into().map_or(0, u64::from_le_bytes);
            hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        chunks.remainder().iter().fold(hash, |hash, byte| {
            (hash.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95)
        })
    }

    /// A line of the story.
    #[allow(clippy::print_stdout, reason = "the story is the output of `replay`")]
    pub(crate) fn tell(&self, now_us: u64, line: impl FnOnce() -> String) {
        if self.story != Story::Untold {
            println!("{:>10.3} ms  {}", now_us as f64 / 1_000.0, line());
        }
    }

    /// A line about an operation of a client.
    pub(crate) fn tell_operation(&self, now_us: u64, line: impl FnOnce() -> String) {
        if self.story == Story::WithOperations {
            self.tell(now_us, line);
        }
    }

    /// The fingerprint.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events it covers.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_time_and_content_matter() {
        let run = |notes: &[(u64, &[u8])]| {
            let mut trace = Trace::new(Story::Untold);
            notes.iter().for_each(|(at, bytes)| trace.note(*at, &[Trace::digest(bytes)]));
            trace.hash()
        };
        let base = run(&[(1, b"abcdefghi"), (2, b"x")]);
        assert_eq!(base, run(&[(1, b"abcdefghi"), (2, b"x")]));
        assert_ne!(base, run(&[(2, b"x"), (1, b"abcdefghi")]));
        assert_ne!(base, run(&[(1, b"abcdefghj"), (2, b"x")]));
        assert_ne!(base, run(&[(1, b"abcdefghi"), (3, b"x")]));
    }
}
