//! What resolving the configuration found: mistakes that forbid a start, warnings, and notes.
//!
//! All of them are collected, never printed here: a user with three mistakes wants three lines, not three attempts.

use std::fmt;

/// One thing to tell the user: where it stands and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The flag, the variable, or the file with its line; empty if no single place is at fault.
    pub place: String,
    /// One line: the value, what is allowed, the next step.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.place, self.text)
        }
    }
}

/// Everything found so far, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Each of them forbids a start.
    pub mistakes: Vec<Finding>,
    /// The start goes on, but the user probably meant something else.
    pub warnings: Vec<Finding>,
    /// Accepted settings of the original design that do nothing here.
    pub notes: Vec<Finding>,
}

impl Findings {
    /// Records a mistake.
    pub(crate) fn mistake(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.mistakes.push(Finding { place: place.into(), text: text.into() });
    }

    /// Records a warning.
    pub(crate) fn warn(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Finding { place: place.into(), text: text.into() });
    }

    /// Records a note.
    pub(crate) fn note(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.notes.push(Finding { place: place.into(), text: text.into() });
    }
}
