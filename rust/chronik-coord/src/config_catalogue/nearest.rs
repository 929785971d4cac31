//! The known name nearest to a mistyped one.

use super::{broker_keys, group_keys, topic_keys};

/// Most edits between a typing mistake and what was meant. Keeps the search cheap: a request may name thousands of
/// configurations that do not exist, and every replica of the metadata group answers each.
const EDITS_MAX: usize = 4;

/// The configuration name with the fewest single-character edits to `name`, unless even that is too
/// far to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let keys = broker_keys().iter().chain(topic_keys()).chain(group_keys());
    nearest_among(name, keys.map(|key| key.name))
}

/// The same among any other names.
pub fn nearest_among<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = EDITS_MAX.min(name.len() / 3);
    names
        .filter_map(|known| Some((distance(name.as_bytes(), known.as_bytes(), allowed)?, known)))
        .min()
        .map(|(_, near)| near)
}

/// Levenshtein distance; `None` above `allowed`, as soon as that is certain.
fn distance(a: &[u8], b: &[u8], allowed: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > allowed {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, left) in a.iter().zip(1..) {
        let mut diagonal = left - 1;
        let mut previous = left;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        let mut fewest = left;
        for (cell, right) in row.iter_mut().skip(1).zip(b) {
            let replaced = diagonal + usize::from(above != right);
            diagonal = *cell;
            previous = replaced.min(*cell + 1).min(previous + 1);
            *cell = previous;
            fewest = fewest.min(previous);
        }
        if fewest > allowed {
            return None;
        }
    }
    row.last().copied().filter(|edits| *edits <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        for (a, b, edits) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("same", "same", 0)] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes(), edits), Some(edits), "{a} {b}");
        }
        assert_eq!(distance(b"kitten", b"sitting", 2), None);
    }

    #[test]
    fn typing_mistakes_find_their_name_and_nonsense_does_not() {
        assert_eq!(nearest("auto.create.topic.enable"), Some("auto.create.topics.enable"));
        assert_eq!(nearest("retention.msec"), Some("retention.ms"));
        assert_eq!(nearest("qqqqqqqqqqqq"), None);
        assert_eq!(nearest(&"x".repeat(10_000)), None);
    }
}
