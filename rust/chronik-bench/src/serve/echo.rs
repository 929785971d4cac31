//! The floor and the ceiling of loopback: a server that answers at once, and one that only reads.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Read buffer of the sink.
const SINK_BUFFER_BYTES: usize = 1 << 20;
/// Largest request of the echo: requests there are small.
const ECHO_BUFFER_BYTES: usize = 64 << 10;

/// Answers each length-prefixed frame with one of `answer_bytes`.
pub(super) fn serve(mut stream: TcpStream, answer_bytes: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answer = vec![0; 4 + answer_bytes];
    let length = u32::try_from(answer_bytes).unwrap_or(0);
    if let Some(prefix) = answer.first_chunk_mut::<4>() {
        *prefix = length.to_be_bytes();
    }
    let mut buffer = vec![0; ECHO_BUFFER_BYTES];
    let mut have = 0;
    loop {
        let room = buffer.get_mut(have..).unwrap_or_default();
        match stream.read(room)? {
            0 => return Ok(()),
            read => have += read,
        }
        let mut taken = 0;
        while let Some(frame) = frame_end(buffer.get(taken..have).unwrap_or_default()) {
            taken += frame;
            stream.write_all(&answer)?;
        }
        buffer.copy_within(taken..have, 0);
        have -= taken;
    }
}

/// Length of the frame at the front, its prefix included, if all of it is there.
fn frame_end(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    (bytes.len() >= 4 + length).then_some(4 + length)
}

/// Reads until the other side has finished, then answers one byte: everything has arrived.
pub(super) fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; SINK_BUFFER_BYTES];
    while stream.read(&mut buffer)? > 0 {}
    stream.write_all(&[1])
}
