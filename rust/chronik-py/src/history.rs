//! The checker of histories for Python: JSON lines in, a verdict in plain types out.

use std::collections::BTreeMap;

use chronik_history::{History, Verdict, check};
use pyo3::prelude::*;

use crate::crossing;
use crate::error::Failure;

/// The number of events, how often each broken rule was broken, and the verdict in words.
type PlainVerdict = (u64, BTreeMap<String, u64>, String);

/// Judges a history of JSON lines. Other Python threads run meanwhile.
#[pyfunction]
pub(crate) fn check_history(py: Python<'_>, lines: &[u8]) -> PyResult<PlainVerdict> {
    crossing::leave(py, || Ok::<_, Failure>(plain(&check(&History::read(lines)?))))
}

fn plain(verdict: &Verdict) -> PlainVerdict {
    let counts = verdict.counts.iter().map(|(rule, count)| (rule.name().to_owned(), *count)).collect();
    (verdict.statistics.events, counts, verdict.to_string())
}
