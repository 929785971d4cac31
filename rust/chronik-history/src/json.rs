//! Histories as JSON lines: one event a line, read and written one by one.
//!
//! Unknown fields are ignored, so that recorders may add their own; blank lines and lines that begin with `#` are
//! skipped. An unknown operation is an error: a checker that skips what it does not know would call it clean.

use std::borrow::Cow;
use std::io::{BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::event::{Event, History, Role, Status};
use crate::limits::LINE_BYTES_MAX;
use crate::operation::{Call, Operation};
use crate::text::{Interner, Text};

/// Why a history could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The bytes could not be had.
    #[error("line {line}: cannot be read: {source}")]
    Io {
        /// Number of the line, from 1.
        line: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is longer than [`LINE_BYTES_MAX`].
    #[error("line {line}: longer than {bytes_max} bytes; a history has one event a line")]
    LineTooLong {
        /// Number of the line, from 1.
        line: u64,
        /// The bound.
        bytes_max: usize,
    },
    /// A line is not an event.
    #[error("line {line}: not an event: {source}")]
    Malformed {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line names an operation that does not exist.
    #[error("line {line}: unknown operation {op:?}; see the list in chronik-history's operation module")]
    UnknownOperation {
        /// Number of the line, from 1.
        line: u64,
        /// The name.
        op: String,
    },
    /// A line contradicts itself.
    #[error("line {line}: {what}")]
    Contradiction {
        /// Number of the line, from 1.
        line: u64,
        /// How.
        what: &'static str,
    },
}

/// The JSON form, its texts borrowed from the line.
#[derive(Deserialize)]
struct LineIn<'a> {
    #[serde(default)]
    i: Option<u64>,
    t_inv_ns: u64,
    #[serde(default)]
    t_ret_ns: Option<u64>,
    #[serde(default, rename = "proc")]
    process: Text,
    #[serde(default)]
    client: Text,
    #[serde(default)]
    node: Option<i32>,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    key: Option<Text>,
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(default, borrow)]
    args: Option<&'a RawValue>,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    err: Option<i16>,
    status: Status,
}

/// The same, on its way out.
#[derive(Serialize)]
struct LineOut<'a, A, R> {
    i: u64,
    t_inv_ns: u64,
    t_ret_ns: Option<u64>,
    #[serde(rename = "proc")]
    process: &'a Text,
    client: &'a Text,
    node: Option<i32>,
    role: Option<Role>,
    key: &'a Text,
    op: &'static str,
    args: &'a A,
    result: Option<&'a R>,
    err: i16,
    status: Status,
}

/// Writes one event as one line.
///
/// # Errors
/// When the writer fails.
pub fn write_event(out: &mut impl Write, event: &Event) -> std::io::Result<()> {
    fn line<A: Serialize, R: Serialize>(
        out: &mut impl Write,
        event: &Event,
        op: &'static str,
        call: &Call<A, R>,
    ) -> std::io::Result<()> {
        let line = LineOut {
            i: event.number,
            t_inv_ns: event.invoked_ns,
            t_ret_ns: event.returned_ns,
            process: &event.process,
            client: &event.client,
            node: event.node,
            role: event.role,
            key: &event.key,
            op,
            args: &call.args,
            result: call.result.as_ref(),
            err: event.error,
            status: event.status,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }
    let op = event.operation.name();
    match &event.operation {
        Operation::Send(call) => line(out, event, op, call),
        Operation::Fetch(call) => line(out, event, op, call),
        Operation::List(call) => line(out, event, op, call),
        Operation::EpochEnd(call) => line(out, event, op, call),
        Operation::Create(call) => line(out, event, op, call),
        Operation::Delete(call) => line(out, event, op, call),
        Operation::Meta(call) => line(out, event, op, call),
        Operation::Init(call) => line(out, event, op, call),
        Operation::Begin(call) => line(out, event, op, call),
        Operation::End(call) => line(out, event, op, call),
        Operation::TxnOffsetCommit(call) => line(out, event, op, call),
        Operation::Join(call) => line(out, event, op, call),
        Operation::Commit(call) => line(out, event, op, call),
        Operation::OffsetFetch(call) => line(out, event, op, call),
        Operation::Assign(call) => line(out, event, op, call),
        Operation::Fault(call) => line(out, event, op, call),
        Operation::Phase(call) => line(out, event, op, call),
        Operation::Dump(call) => line(out, event, op, call),
        Operation::State(call) => line(out, event, op, call),
    }
}

/// Reads events from JSON lines, one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line_bytes_max: usize,
    line: u64,
    buffer: Vec<u8>,
    texts: Interner,
}

impl<R: BufRead> Reader<R> {
    /// A reader of these bytes.
    pub fn new(input: R) -> Self {
        Self::with_line_bytes_max(input, LINE_BYTES_MAX)
    }

    fn with_line_bytes_max(input: R, line_bytes_max: usize) -> Self {
        Self { input, line_bytes_max, line: 0, buffer: Vec::new(), texts: Interner::default() }
    }

    /// The next event, `None` at the end of the input. An event without `i` gets the number of its line.
    ///
    /// # Errors
    /// [`ReadError`], each with the line's number.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            self.line += 1;
            let line = self.line;
            self.buffer.clear();
            let mut bounded = (&mut self.input).take(self.line_bytes_max as u64 + 1);
            let read = bounded
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| ReadError::Io { line, source })?;
            if read == 0 {
                return Ok(None);
            }
            if self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer).len() > self.line_bytes_max {
                return Err(ReadError::LineTooLong { line, bytes_max: self.line_bytes_max });
            }
            let text = self.buffer.trim_ascii();
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            let mut event = parse(line, text)?;
            self.share_texts(&mut event);
            return Ok(Some(event));
        }
    }

    fn share_texts(&mut self, event: &mut Event) {
        let texts = &mut self.texts;
        texts.share(&mut event.process);
        texts.share(&mut event.client);
        texts.share(&mut event.key);
        match &mut event.operation {
            Operation::Send(call) => call.args.values.iter_mut().for_each(|value| texts.share(value)),
            Operation::Fetch(Call { result: Some(result), .. }) => {
                result.records.iter_mut().for_each(|record| texts.share(&mut record.value));
            }
            Operation::Dump(Call { result: Some(result), .. }) => {
                result.records.iter_mut().for_each(|record| texts.share(&mut record.value));
            }
            _ => {}
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event().transpose()
    }
}

fn parse(line: u64, text: &[u8]) -> Result<Event, ReadError> {
    let raw: LineIn<'_> =
        serde_json::from_slice(text).map_err(|source| ReadError::Malformed { line, source })?;
    let operation = parse_operation(line, &raw)?;
    let error = raw.err.unwrap_or(0);
    if raw.status == Status::Ok && error != 0 {
        return Err(ReadError::Contradiction {
            line,
            what: "status ok with an error code; use fail or info",
        });
    }
    if raw.status == Status::Ok && raw.t_ret_ns.is_none() {
        return Err(ReadError::Contradiction {
            line,
            what: "status ok without t_ret_ns; an answer has a time",
        });
    }
    if raw.t_ret_ns.is_some_and(|returned| returned < raw.t_inv_ns) {
        return Err(ReadError::Contradiction {
            line,
            what: "t_ret_ns is before t_inv_ns; use one monotonic clock",
        });
    }
    Ok(Event {
        number: raw.i.unwrap_or(line),
        invoked_ns: raw.t_inv_ns,
        returned_ns: raw.t_ret_ns,
        process: raw.process,
        client: raw.client,
        node: raw.node,
        role: raw.role,
        key: raw.key.unwrap_or_default(),
        operation,
        error,
        status: raw.status,
    })
}

fn parse_operation(line: u64, raw: &LineIn<'_>) -> Result<Operation, ReadError> {
    fn call<A: DeserializeOwned, R: DeserializeOwned>(
        line: u64,
        raw: &LineIn<'_>,
    ) -> Result<Call<A, R>, ReadError> {
        let malformed = |source| ReadError::Malformed { line, source };
        let args = raw.args.map_or("{}", RawValue::get);
        let args = if args == "null" { "{}" } else { args };
        Ok(Call {
            args: serde_json::from_str(args).map_err(malformed)?,
            result: match raw.result.map(RawValue::get) {
                None | Some("null") => None,
                Some(result) => Some(serde_json::from_str(result).map_err(malformed)?),
            },
        })
    }
    Ok(match raw.op.as_ref() {
        "send" => Operation::Send(call(line, raw)?),
        "fetch" => Operation::Fetch(call(line, raw)?),
        "list" => Operation::List(call(line, raw)?),
        "epoch_end" => Operation::EpochEnd(call(line, raw)?),
        "create" => Operation::Create(call(line, raw)?),
        "delete" => Operation::Delete(call(line, raw)?),
        "meta" => Operation::Meta(call(line, raw)?),
        "init" => Operation::Init(call(line, raw)?),
        "begin" => Operation::Begin(call(line, raw)?),
        "end" => Operation::End(call(line, raw)?),
        "txn_offset_commit" => Operation::TxnOffsetCommit(call(line, raw)?),
        "join" => Operation::Join(call(line, raw)?),
        "commit" => Operation::Commit(call(line, raw)?),
        "offset_fetch" => Operation::OffsetFetch(call(line, raw)?),
        "assign" => Operation::Assign(call(line, raw)?),
        "fault" => Operation::Fault(call(line, raw)?),
        "phase" => Operation::Phase(call(line, raw)?),
        "dump" => Operation::Dump(call(line, raw)?),
        "state" => Operation::State(call(line, raw)?),
        op => return Err(ReadError::UnknownOperation { line, op: op.to_owned() }),
    })
}

impl History {
    /// Reads a whole history.
    ///
    /// # Errors
    /// [`ReadError`] at the first line that is no event.
    pub fn read(input: impl BufRead) -> Result<Self, ReadError> {
        Ok(Self { events: Reader::new(input).collect::<Result<_, _>>()? })
    }

    /// Writes all events as JSON lines.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        self.events.iter().try_for_each(|event| write_event(out, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_line_may_have_its_greatest_length_and_not_one_byte_more() {
        let line = r#"{"t_inv_ns":1,"op":"dump","status":"info"}"#;
        for end in ["", "\n", "\n\n"] {
            let text = format!("{line}{end}");
            let mut reader = Reader::with_line_bytes_max(text.as_bytes(), line.len());
            assert!(reader.next_event().unwrap().is_some());
            assert!(reader.next_event().unwrap().is_none());
            let mut reader = Reader::with_line_bytes_max(text.as_bytes(), line.len() - 1);
            assert!(matches!(reader.next_event(), Err(ReadError::LineTooLong { line: 1, .. })));
        }
    }
}
