//! What clients saw, and whether it can be true: events as JSON lines, and the checker of the promises.
//!
//! A [`History`] is a list of [`Event`]s: sends, reads and the rest, each with the time of its invocation and of its
//! return, recorded by the simulator, by clients of real processes or by tests. [`check`] judges it by every [`Rule`]
//! and explains what it finds. The crate knows no room of the broker: it judges answers by the protocol's promises
//! alone.
//!
//! A follower that is behind an acknowledgement:
//!
//! ```
//! use chronik_history::{History, Rule, check};
//!
//! let lines = r#"
//! {"t_inv_ns": 1, "t_ret_ns": 2, "key": "t/0", "op": "send", "args": {"values": ["a"]}, "result": {"offset": 0}, "status": "ok"}
//! {"t_inv_ns": 3, "t_ret_ns": 4, "key": "t/0", "op": "list", "args": {"timestamp": -1}, "result": {"offset": 0}, "status": "ok"}
//! "#;
//! let verdict = check(&History::read(lines.as_bytes())?);
//! assert_eq!(verdict.count(Rule::StaleRead), 1);
//! println!("{verdict}");
//! # Ok::<(), chronik_history::ReadError>(())
//! ```
//!
//! The schema, field by field, is in the types of [`Operation`] and [`Event`]. `corpus/` holds a history for each way to
//! break a promise, and the subtle ones that break none.

mod check;
mod event;
mod json;
pub mod limits;
pub mod model;
mod operation;
mod text;
mod verdict;

pub use check::{check, describe};
pub use event::{Event, History, Role, Status};
pub use json::{ReadError, Reader, write_event};
pub use operation::*;
pub use text::Text;
pub use verdict::{Anomaly, Rule, Statistics, Verdict};
