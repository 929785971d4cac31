//! Bodies of the fuzz targets: each takes any bytes, feeds them to one door of chronik, and panics if a promise breaks.
//!
//! The walk: a target of [`TARGETS`] is run by `tests/` with random bytes, with damaged [seeds](Target::seeds) and with
//! the inputs kept in `corpus/` (stable Rust, part of every test run), and by the programs in `fuzz/` under cargo-fuzz
//! (nightly Rust, guided by coverage). Both run the very same functions. A crash that either finds is kept as a file in
//! `corpus/`, and as a test beside the code that was wrong.
//!
//! Owns the inputs' meaning and the properties; no door is opened here for its own sake. What must hold at every door:
//! no panic, no endless loop, and memory in proportion to the bytes given.

mod input;
mod memory;
mod messages;
pub mod targets;

pub use memory::peak_bytes;
pub use targets::TARGETS;

/// What a target made of its input. Tests use it to prove that a target gets past the front door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The input was what the door is for, and everything promised about it was checked.
    Accepted,
    /// The input was refused, without harm.
    Refused,
}

impl Verdict {
    /// [`Verdict::Accepted`] if so.
    fn accepted(accepted: bool) -> Verdict {
        if accepted { Verdict::Accepted } else { Verdict::Refused }
    }
}

/// One door and what must hold there.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the program in `fuzz/fuzz_targets` and of the folder in `corpus/`.
    pub name: &'static str,
    /// Feeds the input to the door.
    ///
    /// # Panics
    /// If a promise is broken.
    pub run: fn(&[u8]) -> Verdict,
    /// Inputs that mean something, as places to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
