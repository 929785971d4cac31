//! The known name nearest to a mistyped one.

use super::{broker_keys, topic_keys};

/// A name longer than this is no typing mistake.
const NAME_BYTES_MAX: usize = 100;

/// The configuration name with the fewest single-character edits to `name`, unless even that is too
/// far to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let (distance, near) = broker_keys()
        .iter()
        .chain(topic_keys())
        .map(|key| (distance(name.as_bytes(), key.name.as_bytes()), key.name))
        .min()?;
    (distance <= name.len() / 3).then_some(near)
}

/// Levenshtein distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, left) in a.iter().zip(1..) {
        let mut diagonal = left - 1;
        let mut previous = left;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(b) {
            let replaced = diagonal + usize::from(above != right);
            diagonal = *cell;
            previous = replaced.min(*cell + 1).min(previous + 1);
            *cell = previous;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        for (a, b, edits) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("same", "same", 0)] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), edits, "{a} {b}");
        }
    }

    #[test]
    fn typing_mistakes_find_their_name_and_nonsense_does_not() {
        assert_eq!(nearest("auto.create.topic.enable"), Some("auto.create.topics.enable"));
        assert_eq!(nearest("retention.msec"), Some("retention.ms"));
        assert_eq!(nearest("qqqqqqqqqqqq"), None);
        assert_eq!(nearest(&"x".repeat(10_000)), None);
    }
}
