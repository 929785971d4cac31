//! The feed of log lines to Python: one queue per process, taken from by one Python thread.
//!
//! The nodes fill the queue without waiting; its bound is `chronik_node`'s. Python owns the thread
//! (`chronik/_logs.py`), so that nothing of ours calls into the interpreter while it ends.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chronik_node::LogLine;
use pyo3::prelude::*;

/// Lines handed to Python at once at most.
const LINES_PER_CALL_MAX: usize = 256;

/// Milliseconds since the Unix epoch, cluster, node, level, target, text.
type PlainLine = (i64, String, Option<i32>, String, String, String);

static FEED: Mutex<Option<Receiver<LogLine>>> = Mutex::new(None);

/// From here on log lines of all nodes of the process queue for `next_log_lines`, within a bound.
#[pyfunction]
pub(crate) fn subscribe_logs(py: Python<'_>) {
    py.detach(|| {
        let receiver = chronik_node::subscribe_logs();
        *slot() = Some(receiver);
    });
}

/// Ends the queue; `next_log_lines` returns None once it is empty.
#[pyfunction]
pub(crate) fn unsubscribe_logs(py: Python<'_>) {
    py.detach(chronik_node::unsubscribe_logs);
}

/// Lines that found the queue full.
#[pyfunction]
pub(crate) fn log_lines_dropped() -> u64 {
    chronik_node::log_lines_dropped()
}

/// Queued lines, oldest first; empty at the timeout, None at the end of the queue.
///
/// The receiver leaves its slot while one waits: a lock held for that long would stay locked in the child of a fork.
#[pyfunction]
pub(crate) fn next_log_lines(py: Python<'_>, timeout_ms: u64) -> Option<Vec<PlainLine>> {
    py.detach(|| {
        let receiver = slot().take()?;
        let lines = match receiver.recv_timeout(Duration::from_millis(timeout_ms)) {
            Ok(first) => {
                let rest = receiver.try_iter().take(LINES_PER_CALL_MAX - 1);
                std::iter::once(first).chain(rest).map(plain).collect()
            }
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        slot().get_or_insert(receiver);
        Some(lines)
    })
}

fn slot() -> MutexGuard<'static, Option<Receiver<LogLine>>> {
    FEED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn plain(line: LogLine) -> PlainLine {
    (
        line.at_ms,
        line.cluster.to_string(),
        line.node.map(|node| node.0),
        line.level.to_string(),
        line.target.to_owned(),
        line.message,
    )
}
