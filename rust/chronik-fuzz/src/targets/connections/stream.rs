//! A stream that follows a script: it gives and takes so many bytes at a time, and is not ready every so often.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::input::Input;

/// Most turns that a direction takes for what a client sends: a large stream goes no slower, or one input takes seconds.
const TURNS_MAX: usize = 1 << 15;

/// How one direction moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Most bytes at a time.
    bytes: usize,
    /// Not ready once after every so many times; 0 is always ready.
    rest_every: u32,
    turn: u32,
}

impl Pace {
    /// A pace from two bytes: 0 is as fast as it goes.
    pub(super) fn from_input(input: &mut Input<'_>) -> Pace {
        let bytes = match input.byte() {
            0 => usize::MAX,
            // From single bytes to a few kilobytes: the buffers' edges are in between.
            few @ 1..=127 => usize::from(few),
            many => usize::from(many - 127) * 41,
        };
        Pace { bytes, rest_every: u32::from(input.byte() % 8), turn: 0 }
    }

    /// This pace, but fast enough for so many bytes.
    fn at_least_for(self, stream_bytes: usize) -> Pace {
        Pace { bytes: self.bytes.max(stream_bytes.div_ceil(TURNS_MAX)), ..self }
    }

    /// Whether it rests now; it is woken at once.
    fn rests(&mut self, context: &Context<'_>) -> bool {
        self.turn += 1;
        let rests = self.rest_every > 0 && self.turn.is_multiple_of(self.rest_every + 1);
        if rests {
            context.waker().wake_by_ref();
        }
        rests
    }
}

/// The client's side: sends its bytes, then waits for answers, then hangs up.
pub(super) struct Script<'a> {
    unsent: &'a [u8],
    /// Bytes of answers after which it hangs up; `None`: it never does.
    hangs_up_after: Option<usize>,
    written: Rc<RefCell<Vec<u8>>>,
    reading: Pace,
    writing: Pace,
    reader: Option<Waker>,
}

impl<'a> Script<'a> {
    /// A client that sends `bytes`.
    pub(super) fn new(
        bytes: &'a [u8],
        hangs_up_after: Option<usize>,
        reading: Pace,
        writing: Pace,
    ) -> Script<'a> {
        let [reading, writing] = [reading, writing].map(|pace| pace.at_least_for(bytes.len()));
        Script { unsent: bytes, hangs_up_after, written: Rc::default(), reading, writing, reader: None }
    }

    /// What the other side has written; stays when the stream is gone.
    pub(super) fn written(&self) -> Rc<RefCell<Vec<u8>>> {
        Rc::clone(&self.written)
    }
}

impl AsyncRead for Script<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reading.rests(context) {
            return Poll::Pending;
        }
        if self.unsent.is_empty() {
            if self.hangs_up_after.is_some_and(|bytes| self.written.borrow().len() >= bytes) {
                return Poll::Ready(Ok(()));
            }
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = self.reading.bytes.min(buffer.remaining()).min(self.unsent.len());
        let (now, later) = self.unsent.split_at(count);
        buffer.put_slice(now);
        self.unsent = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writing.rests(context) {
            return Poll::Pending;
        }
        let count = self.writing.bytes.min(bytes.len());
        self.written.borrow_mut().extend_from_slice(&bytes[..count]);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
