//! One event of a history: who asked whom for what, when, and what came back.
//!
//! The types are the JSON schema: `args` and `result` of a line are the fields of the structures in
//! [`crate::operation`]. Times are nanoseconds of one monotonic clock. Only the real-time order counts: an event was
//! before another if it returned at a *smaller* time than the other was invoked; at equal times they are concurrent.

use serde::{Deserialize, Serialize};

use crate::operation::Operation;
use crate::text::Text;

/// What the client knows about the effect of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It happened, and the result is in `result`.
    Ok,
    /// It certainly did not happen and never will.
    Fail,
    /// Nobody knows: no answer, or one that leaves it open. It may take effect at any later time.
    Info,
}

/// What the asked node was to the partition, as far as the recorder knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The node believed that it led the partition.
    Leader,
    /// The node followed.
    Follower,
}

/// One operation of one client, from the moment before its bytes left to the moment its answer was in.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Number of the event in its history, `i` in JSON; explanations cite it. Ties in time are broken by it.
    pub number: u64,
    /// When the client asked, nanoseconds.
    pub invoked_ns: u64,
    /// When the answer was in, or the client gave up; `None` if it never learned.
    pub returned_ns: Option<u64>,
    /// Process of the client, `proc` in JSON; empty if there is one only.
    pub process: Text,
    /// Name of the client; with `process` it identifies one sequence of operations.
    pub client: Text,
    /// Node that was asked.
    pub node: Option<i32>,
    /// What that node was.
    pub role: Option<Role>,
    /// `topic_id/partition`; empty for operations that concern no partition. A recreated topic has another id.
    pub key: Text,
    /// What was asked and answered.
    pub operation: Operation,
    /// Kafka error code of the answer, `err` in JSON; 0 if there was none.
    pub error: i16,
    /// What the client knows about the effect.
    pub status: Status,
}

impl Event {
    /// An event without an answer yet: status [`Status::Info`], no return time. Complete its fields when the answer
    /// comes; left as it is, it says that the answer was lost.
    pub fn invoked(
        invoked_ns: u64,
        client: impl Into<Text>,
        key: impl Into<Text>,
        operation: Operation,
    ) -> Self {
        Self {
            number: 0,
            invoked_ns,
            returned_ns: None,
            process: Text::default(),
            client: client.into(),
            node: None,
            role: None,
            key: key.into(),
            operation,
            error: 0,
            status: Status::Info,
        }
    }

    /// Takes the answer back: what is left says that it was lost.
    pub fn forget_answer(&mut self) {
        self.returned_ns = None;
        self.error = 0;
        self.status = Status::Info;
        self.operation.forget_result();
    }

    /// True if the operation succeeded.
    pub fn is_ok(&self) -> bool {
        self.status == Status::Ok && self.error == 0
    }

    /// When it was over for those who came later: never, if the answer is missing or leaves the effect open.
    pub fn settled_ns(&self) -> u64 {
        match self.status {
            Status::Info => u64::MAX,
            Status::Ok | Status::Fail => self.returned_ns.unwrap_or(u64::MAX),
        }
    }
}

/// What a set of clients saw. Events in any order; the checker sorts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// All events.
    pub events: Vec<Event>,
}

impl History {
    /// Appends an event under the next number and returns its place in [`History::events`], so that a recorder can
    /// complete it when the answer comes.
    pub fn push(&mut self, mut event: Event) -> usize {
        let place = self.events.len();
        event.number = place as u64;
        self.events.push(event);
        place
    }
}
