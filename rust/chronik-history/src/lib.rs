//! What clients saw, and whether it can be true: events as JSON lines, and the checker of the promises.
//!
//! A [`History`] is a list of [`Event`]s: sends, reads and the rest, each with the time of its invocation and of its
//! return, recorded by the simulator, by clients of real processes or by tests. The crate knows no room of the broker:
//! it judges answers by the protocol's promises alone.

mod check;
mod event;
mod json;
pub mod limits;
pub mod model;
mod operation;
mod text;
mod verdict;

pub use check::check;
pub use event::{Event, History, Role, Status};
pub use json::{ReadError, Reader, write_event};
pub use operation::*;
pub use text::Text;
pub use verdict::{Anomaly, Rule, Statistics, Verdict};
