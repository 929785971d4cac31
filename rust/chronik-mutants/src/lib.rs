//! The broken brokers: bugs that can be planted at run time, to prove that the simulator and the checker find them.
//!
//! Without the feature `planted`, which no release has, [`planted`] is the constant `false` and costs nothing. With it,
//! one mutant can be chosen per thread. The room knows no other: it holds names, and whoever has the bug asks.

mod mutant;
mod selection;

pub use mutant::Mutant;
pub use selection::{AVAILABLE, planted};
#[cfg(feature = "planted")]
pub use selection::{Planted, plant};
