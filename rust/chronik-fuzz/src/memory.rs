//! How much memory a piece of work takes, and how much it may take.

use chronik_wire::limits::DECODE_BYTES_FLOOR;
use chronik_wire::testing::allocation::{self, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes of memory per byte of input.
const BYTES_PER_INPUT_BYTE: usize = 16;

/// What errors and small tables take, whatever the input.
const SLACK_BYTES: usize = 4 * 1024;

/// The most bytes that were held at one time while `work` ran, beyond those held before, on this thread.
pub fn peak_bytes(work: impl FnOnce()) -> usize {
    allocation::peak_bytes(work)
}

/// Runs `work` on `input_bytes` bytes from a peer.
///
/// # Panics
/// If it takes more memory than 16 times the input and a constant.
pub(crate) fn bounded<T>(what: &str, input_bytes: usize, work: impl FnOnce() -> T) -> T {
    let allowed = BYTES_PER_INPUT_BYTE * input_bytes + DECODE_BYTES_FLOOR + SLACK_BYTES;
    within(what, allowed, work)
}

/// Runs `work`.
///
/// # Panics
/// If it takes more than `allowed` bytes of memory.
pub(crate) fn within<T>(what: &str, allowed: usize, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let peak = peak_bytes(|| result = Some(work()));
    assert!(peak <= allowed, "{what} took {peak} bytes of memory, {allowed} are allowed");
    result.expect("the work has just run")
}
