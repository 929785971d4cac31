//! Bytes in, frames out: the reading half of a connection.
//!
//! Small frames are cut out of one shared buffer without a copy. A large frame gets a buffer of its own, which grows
//! with the bytes that have arrived and never by what the length promises, and is handed on as the only reference, so
//! that the log can take the batch over as it is.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use chronik_wire::frame::{self, FrameError, FrameLimits};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits;

const PREFIX_BYTES: usize = 4;

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct Input {
    shared: BytesMut,
    large: Option<Large>,
    /// How much the next read of the shared buffer may take; adapts to what the client sends.
    read_bytes: usize,
    read_bytes_min: usize,
    frame_limits: FrameLimits,
}

/// A frame that has outgrown the shared buffer.
#[derive(Debug)]
struct Large {
    buffer: BytesMut,
    length: usize,
}

impl Input {
    /// Nothing received, nothing allocated.
    pub(crate) fn new(frame_limits: FrameLimits) -> Input {
        Input::reading(limits::READ_BUFFER_BYTES, frame_limits)
    }

    /// For a sender that has much to say from the beginning.
    pub(crate) fn for_peer(frame_limits: FrameLimits) -> Input {
        Input::reading(limits::READ_BUFFER_BYTES_MAX, frame_limits)
    }

    fn reading(read_bytes: usize, frame_limits: FrameLimits) -> Input {
        Input { shared: BytesMut::new(), large: None, read_bytes, read_bytes_min: read_bytes, frame_limits }
    }

    /// True in the middle of a frame.
    pub(crate) fn is_partial(&self) -> bool {
        self.large.is_some() || !self.shared.is_empty()
    }

    /// Size of the buffer that a large frame has while it arrives; 0 without one.
    pub(crate) fn large_frame_bytes(&self) -> usize {
        self.large.as_ref().map_or(0, |large| large.buffer.capacity())
    }

    /// Reads once. Returns the bytes read; 0 is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        if let Some(large) = &mut self.large {
            large.make_room();
            let missing = large.length - large.buffer.len();
            let mut target = (&mut large.buffer).limit(missing);
            return pin!(stream.read_buf(&mut target)).poll(context);
        }
        let room = self.shared.capacity() - self.shared.len();
        if room < self.read_bytes / 2 {
            self.shared.reserve(self.read_bytes);
        }
        let offered = (self.shared.capacity() - self.shared.len()).min(self.read_bytes);
        let mut target = (&mut self.shared).limit(offered);
        let read = pin!(stream.read_buf(&mut target)).poll(context);
        if let Poll::Ready(Ok(count)) = read {
            self.adapt(count, offered);
        }
        read
    }

    /// The next whole frame, without its length prefix.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(large) = self.large.take_if(|large| large.buffer.len() == large.length) {
            return Ok(Some(large.buffer.freeze()));
        }
        if self.large.is_some() {
            return Ok(None);
        }
        if let Some(frame) = frame::next_frame(&mut self.shared, &self.frame_limits)? {
            return Ok(Some(frame));
        }
        // A length that is there has just been checked.
        let Some(prefix) = self.shared.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        let received = self.shared.len() - PREFIX_BYTES;
        if length > limits::SHARED_FRAME_BYTES_MAX {
            self.large = Some(Large::begin(length, &self.shared[PREFIX_BYTES..]));
            self.shared = BytesMut::new();
        } else {
            // The rest of a small frame must fit behind what is there.
            self.shared.reserve(length - received);
        }
        Ok(None)
    }

    /// Gives the buffer back while the client is silent.
    pub(crate) fn rest(&mut self) {
        if self.shared.is_empty() && self.shared.capacity() > limits::READ_BUFFER_BYTES_KEPT {
            self.shared = BytesMut::new();
            self.read_bytes = self.read_bytes_min;
        }
    }

    fn adapt(&mut self, count: usize, offered: usize) {
        if count == offered {
            self.read_bytes = (self.read_bytes * 2).min(limits::READ_BUFFER_BYTES_MAX);
        } else if count < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(self.read_bytes_min);
        }
    }
}

impl Large {
    fn begin(length: usize, received: &[u8]) -> Large {
        let first = limits::LARGE_FRAME_BYTES_FIRST.max(received.len()).min(length);
        let mut buffer = BytesMut::with_capacity(first);
        buffer.put_slice(received);
        Large { buffer, length }
    }

    fn make_room(&mut self) {
        if self.buffer.len() == self.buffer.capacity() {
            let goal = self.buffer.len().saturating_mul(limits::LARGE_FRAME_GROWTH).min(self.length);
            self.buffer.reserve(goal - self.buffer.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Feeds `bytes` in pieces of `piece` and returns the frames that come out.
    fn frames(bytes: &[u8], piece: usize) -> Vec<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut input = Input::new(FrameLimits::DEFAULT);
            let mut out = Vec::new();
            for mut chunk in bytes.chunks(piece) {
                while !chunk.is_empty() {
                    poll_fn(|context| input.poll_read(context, &mut chunk)).await.unwrap();
                    while let Some(frame) = input.next_frame().unwrap() {
                        out.push(frame);
                    }
                }
            }
            assert!(!input.is_partial());
            out
        })
    }

    #[test]
    fn frames_survive_every_way_of_cutting_the_stream() {
        let payloads: Vec<Vec<u8>> =
            [0, 1, 100, 4_096, limits::SHARED_FRAME_BYTES_MAX, limits::SHARED_FRAME_BYTES_MAX + 1, 300_000]
                .iter()
                .map(|&size| (0..size).map(|at| (at * 7 + size) as u8).collect())
                .collect();
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| framed(payload)).collect();
        for piece in [1, 3, 1_000, 5_000, 70_000, stream.len()] {
            let got = frames(&stream, piece);
            assert_eq!(got.len(), payloads.len(), "pieces of {piece}");
            for (frame, payload) in got.iter().zip(&payloads) {
                assert!(frame == payload, "frame of {} in pieces of {piece}", payload.len());
            }
        }
    }

    #[test]
    fn a_promised_length_alone_allocates_little() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut input = Input::new(FrameLimits::DEFAULT);
            let mut chunk: &[u8] = &[&(90_u32 << 20).to_be_bytes()[..], &[1; 10]].concat();
            poll_fn(|context| input.poll_read(context, &mut chunk)).await.unwrap();
            assert!(input.next_frame().unwrap().is_none());
            assert!(input.large.as_ref().unwrap().buffer.capacity() <= 2 * limits::LARGE_FRAME_BYTES_FIRST);
        });
    }

    #[test]
    fn a_large_frame_is_the_only_reference_to_its_buffer() {
        let got = frames(&framed(&vec![7; 1 << 20]), 65_536);
        let frame = got.into_iter().next().unwrap();
        assert!(frame.try_into_mut().is_ok());
    }

    #[test]
    fn absurd_lengths_are_refused() {
        for prefix in [*b"GET ", [0x16, 0x03, 0x01, 0x02], [0xff; 4], [0x7f, 0xff, 0xff, 0xff]] {
            let mut input = Input::new(FrameLimits::DEFAULT);
            input.shared.put_slice(&prefix);
            assert!(input.next_frame().is_err(), "{prefix:?}");
        }
    }
}
