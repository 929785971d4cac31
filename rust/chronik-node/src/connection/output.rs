//! Answers out: the writing half of a connection.
//!
//! An answer is a few small pieces and slices of the log. All that are ready leave together in vectored writes; nothing
//! is copied together first.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::limits;

/// The writing half of a connection.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Output {
    /// Queues an answer; its length prefix is put in front.
    pub(crate) fn push(&mut self, answer: Vec<Bytes>) {
        let length: usize = answer.iter().map(Bytes::len).sum();
        // Answers are far below 2 GiB: a fetch is bounded by the broker, everything else by its request.
        let prefix = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.pieces.push_back(Bytes::copy_from_slice(&prefix));
        self.pieces.extend(answer.into_iter().filter(|piece| !piece.is_empty()));
        self.bytes += length + prefix.len();
    }

    /// Bytes not yet taken by the socket.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.bytes
    }

    /// Writes once. `Ready(0)` only when nothing is pending.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut slices = [IoSlice::new(&[]); limits::WRITE_PIECES_MAX];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        let written = match Pin::new(stream).poll_write_vectored(context, &slices[..count]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        self.consume(written);
        Poll::Ready(Ok(written))
    }

    fn consume(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(piece) = self.pieces.front_mut() {
            if piece.len() > written {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, duplex};

    #[test]
    fn answers_arrive_whole_and_in_order_through_a_narrow_pipe() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = duplex(97);
            let mut output = Output::default();
            let mut expected = Vec::new();
            for size in [0_usize, 5, 1_000, 3] {
                let body = vec![size as u8; size];
                expected.extend_from_slice(&(size as u32 + 2).to_be_bytes());
                expected.extend_from_slice(b"ab");
                expected.extend_from_slice(&body);
                output.push(vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from(body)]);
            }
            let total = output.pending_bytes();
            assert_eq!(total, expected.len());
            let write = async {
                while output.pending_bytes() > 0 {
                    poll_fn(|context| output.poll_write(context, &mut near)).await.unwrap();
                }
            };
            let mut received = vec![0; total];
            let (_, read) = tokio::join!(write, far.read_exact(&mut received));
            read.unwrap();
            assert_eq!(received, expected);
        });
    }
}
