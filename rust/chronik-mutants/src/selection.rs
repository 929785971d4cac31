//! Which mutant is planted in this thread.

use crate::Mutant;

/// Whether mutants are compiled in.
pub const AVAILABLE: bool = cfg!(feature = "planted");

#[cfg(feature = "planted")]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether `mutant` is the bug planted in this thread.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Mutant) -> bool {
    false
}

/// Whether `mutant` is the bug planted in this thread.
#[cfg(feature = "planted")]
pub fn planted(mutant: Mutant) -> bool {
    CHOSEN.get() == Some(mutant)
}

/// The bug is there until this is dropped.
#[cfg(feature = "planted")]
#[must_use = "the bug is gone when this is dropped"]
#[derive(Debug)]
pub struct Planted(Option<Mutant>);

/// Plants a bug in this thread.
#[cfg(feature = "planted")]
pub fn plant(mutant: Mutant) -> Planted {
    Planted(CHOSEN.replace(Some(mutant)))
}

#[cfg(feature = "planted")]
impl Drop for Planted {
    fn drop(&mut self) {
        CHOSEN.set(self.0);
    }
}
