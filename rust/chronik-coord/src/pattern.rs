//! Regular expressions that clients send: bounded in length and in memory, matched in linear time.
//!
//! Kafka uses RE2/J, whose syntax this engine shares but for rarities.

use regex::{Regex, RegexBuilder};

use crate::limits;

/// A client's regular expression, which must match a name from end to end.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it; `None` if it is longer or larger than the bounds allow, or no regular expression.
    pub fn new(text: &str) -> Option<Pattern> {
        if text.len() > limits::PATTERN_BYTES_MAX {
            return None;
        }
        // Alone first: in its brackets `a)|(b` would be one.
        compiled(text)?;
        compiled(&format!(r"\A(?:{text})\z")).map(Pattern)
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

fn compiled(text: &str) -> Option<Regex> {
    RegexBuilder::new(text)
        .size_limit(limits::PATTERN_COMPILED_BYTES_MAX)
        .dfa_size_limit(limits::PATTERN_COMPILED_BYTES_MAX)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match() {
        let pattern = Pattern::new("pay-.*|old").expect("a pattern");
        for (name, expected) in
            [("pay-1", true), ("old", true), ("older", false), ("re-pay-1", false), ("pay-1\n", false)]
        {
            assert_eq!(pattern.matches(name), expected, "{name:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_too_much_of_one_is_refused() {
        for text in ["(", "a)|(b", "*", "[z-a]", r"(a)\1"] {
            assert!(Pattern::new(text).is_none(), "{text}");
        }
        assert!(Pattern::new(&"x".repeat(limits::PATTERN_BYTES_MAX)).is_some());
        assert!(Pattern::new(&"x".repeat(limits::PATTERN_BYTES_MAX + 1)).is_none());
        assert!(Pattern::new("((a{100}){100}){100}").is_none());
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let pattern = Pattern::new("(a*)*(a*)*b").expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(100_000)));
    }
}
