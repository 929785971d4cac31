//! A blocking connection to any Kafka broker: versions from ApiVersions, raw frames out, raw frames in.
//!
//! One thread, one socket, no runtime: the fewest wake-ups between a measurement and the kernel. Hot loops send frames
//! that were encoded beforehand and look at single bytes of the answers; everything else goes through [`Client::call`].

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chronik_wire::api::Request;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::header::{decode_response, request_frame};
use chronik_wire::messages::ApiVersionsRequest;
use chronik_wire::messages::api_versions::ApiVersion;

use crate::error::BenchError;

/// What the generator calls itself.
pub const CLIENT_ID: &str = "chronik-bench";
/// Largest answer accepted.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Longest wait for an answer. Above every long poll of the scenarios.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// First size of the input buffer.
const INPUT_BYTES: usize = 64 << 10;

/// A connection.
pub struct Client {
    stream: TcpStream,
    input: Input,
    /// Correlation ids of the last request sent, and of the last one answered, not counting raw frames.
    sent: i32,
    answered: i32,
    versions: Vec<ApiVersion>,
}

impl Client {
    /// Connects to something that takes frames and is no Kafka broker.
    pub fn plain(address: &str) -> Result<Client, BenchError> {
        let stream = connect_stream(address)?;
        Ok(Client { stream, input: Input::new(), sent: 0, answered: 0, versions: Vec::new() })
    }

    /// Connects and asks for the peer's versions.
    pub fn connect(address: &str) -> Result<Client, BenchError> {
        let mut client = Client::plain(address)?;
        // Version 0 is the one layout that every broker answers in.
        let answer = client.call(0, &ApiVersionsRequest::default())?;
        if answer.error_code != ErrorCode::NONE {
            return Err(BenchError::Refused { what: "ApiVersions".into(), code: answer.error_code });
        }
        client.versions = answer.api_keys;
        Ok(client)
    }

    /// The highest version both sides have, at most `at_most`.
    pub fn version<R: Request>(&self, at_most: i16) -> Result<i16, BenchError> {
        let (from, to) = (*R::VERSIONS.start(), at_most.min(*R::VERSIONS.end()));
        let none = BenchError::Version { api: R::NAME, from, to };
        let Some(offered) = self.versions.iter().find(|offered| offered.api_key == R::KEY as i16) else {
            return Err(none);
        };
        let version = to.min(offered.max_version);
        if version >= from.max(offered.min_version) { Ok(version) } else { Err(none) }
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, version: i16, body: &R) -> Result<R::Response, BenchError> {
        self.post(version, body)?;
        self.collect::<R>(version)
    }

    /// Sends a request whose answer is collected later, by [`collect`](Self::collect), in the order of sending.
    pub fn post<R: Request>(&mut self, version: i16, body: &R) -> Result<(), BenchError> {
        self.sent = self.sent.wrapping_add(1);
        let frame = encode(version, self.sent, body)?;
        self.send(&frame)
    }

    /// Waits for the answer to the oldest request that was posted and has none yet.
    pub fn collect<R: Request>(&mut self, version: i16) -> Result<R::Response, BenchError> {
        self.answered = self.answered.wrapping_add(1);
        let answer = Bytes::copy_from_slice(self.receive()?);
        let (correlation_id, response) = decode_response::<R>(answer, version)?;
        if correlation_id != self.answered {
            return Err(BenchError::Unexpected(format!(
                "answer {correlation_id} came for request {}",
                self.answered
            )));
        }
        Ok(response)
    }

    /// Sends a whole frame, its length first.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), BenchError> {
        self.stream.write_all(frame).map_err(BenchError::io("sending a request"))
    }

    /// Waits for a frame and returns it without its length.
    pub fn receive(&mut self) -> Result<&[u8], BenchError> {
        self.input.frame(&mut self.stream)
    }
}

/// Opens a socket as the generator wants it: no delay, bounded waits.
pub(crate) fn connect_stream(address: &str) -> Result<TcpStream, BenchError> {
    let what = || BenchError::io(format!("connecting to {address}"));
    let resolved = address.to_socket_addrs().map_err(what())?.next();
    let resolved =
        resolved.ok_or_else(|| BenchError::Unexpected(format!("{address} resolves to no address")))?;
    let stream = TcpStream::connect_timeout(&resolved, ANSWER_TIMEOUT).map_err(what())?;
    stream.set_nodelay(true).map_err(what())?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(what())?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(what())?;
    Ok(stream)
}

/// Encodes a request into one buffer, so that a hot loop writes it with one call.
pub fn encode<R: Request>(version: i16, correlation_id: i32, body: &R) -> Result<Bytes, BenchError> {
    let pieces = request_frame(version, correlation_id, Some(CLIENT_ID), body)?;
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in &pieces {
        joined.extend_from_slice(piece);
    }
    Ok(joined.freeze())
}

/// Cuts frames out of a stream. The buffer is reused: a fresh one per large answer would be the thing measured.
struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    fn new() -> Input {
        Input { buffer: vec![0; INPUT_BYTES], start: 0, end: 0 }
    }

    fn frame(&mut self, stream: &mut TcpStream) -> Result<&[u8], BenchError> {
        let header = self.fill(stream, 4)?;
        let length = header.first_chunk::<4>().map_or(-1, |length| i32::from_be_bytes(*length));
        let length = usize::try_from(length).ok().filter(|length| *length <= ANSWER_BYTES_MAX);
        let Some(length) = length else {
            return Err(BenchError::Unexpected("the peer's answer has an absurd length".into()));
        };
        self.fill(stream, 4 + length)?;
        let frame = self.start + 4..self.start + 4 + length;
        self.start = frame.end;
        self.buffer.get(frame).ok_or_else(|| BenchError::Unexpected("a filled frame is not there".into()))
    }

    /// Reads until `wanted` bytes are there, and returns what is.
    fn fill(&mut self, stream: &mut TcpStream, wanted: usize) -> Result<&[u8], BenchError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if wanted > self.buffer.len() {
                self.buffer.resize(wanted.next_power_of_two(), 0);
            }
        }
        while self.end - self.start < wanted {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match stream.read(room).map_err(BenchError::io("waiting for an answer"))? {
                0 => return Err(BenchError::Unexpected("the peer closed the connection".into())),
                read => self.end += read,
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }
}
