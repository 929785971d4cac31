//! Leaving the interpreter for a call: every call that takes its time goes through here.
//!
//! Checks that the process is the one that started the cluster, releases the interpreter while the call waits, and
//! turns a panic into an error. Holding the interpreter instead would deadlock with the thread that hands log lines to
//! Python.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;

use crate::error::{self, Failure};

/// The process that started something whose threads a fork does not copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    process_id: u32,
}

impl Owner {
    /// The process that runs now.
    pub(crate) fn current() -> Owner {
        Owner { process_id: std::process::id() }
    }

    /// True in the process that made it, false in a child made by `fork`.
    pub(crate) fn is_current(self) -> bool {
        self.process_id == std::process::id()
    }

    /// An error in a child made by `fork`.
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self.is_current() {
            return Ok(());
        }
        Err(Failure::Forked { owner: self.process_id, child: std::process::id() })
    }
}

/// Runs `work` without the interpreter. A panic inside becomes `Failure::Panicked`.
pub(crate) fn leave<T: Send, E: Into<Failure>>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> PyResult<T> {
    let outcome = py.detach(|| match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Into::into),
        Err(payload) => Err(Failure::Panicked(panic_text(payload.as_ref()))),
    });
    outcome.map_err(|failure| error::raise(py, failure))
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "panic without a text".to_owned())
}
