//! What can go wrong while measuring. A run that fails says which step failed; it never prints a number instead.

use std::io;

use chronik_wire::codec::{DecodeError, EncodeError};
use chronik_wire::error_code::ErrorCode;
use thiserror::Error;

/// Why a step gave no number.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A socket, a file or a child process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The peer's answer has another layout than its version says.
    #[error("the peer's answer cannot be read")]
    Decode(#[from] DecodeError),
    /// A request cannot be written in the version chosen.
    #[error("the request cannot be written")]
    Encode(#[from] EncodeError),
    /// A batch cannot be written.
    #[error("the batch cannot be written")]
    Batch(#[from] chronik_wire::batch::BuildError),
    /// The peer refused.
    #[error("{what} was answered with {code:?}")]
    Refused {
        /// What was asked.
        what: String,
        /// The peer's code.
        code: ErrorCode,
    },
    /// The peer lacks an API or a version that the generator needs.
    #[error("the peer offers no {api} in versions {from} to {to}")]
    Version {
        /// The API.
        api: &'static str,
        /// Lowest usable version.
        from: i16,
        /// Highest usable version.
        to: i16,
    },
    /// Something did not happen in time, or not as it must.
    #[error("{0}")]
    Unexpected(String),
}

impl BenchError {
    /// Turns an I/O error into one that says what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
        let what = what.into();
        move |source| BenchError::Io { what, source }
    }
}
