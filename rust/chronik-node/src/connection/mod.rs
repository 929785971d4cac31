//! One client connection: frames in, requests executed, answers out.
//!
//! One task per connection does all three, whichever can go on: a client that does not read its answers is still read
//! from, within bounds, and the other way round. It ends when the client goes, breaks the protocol, or stalls; what it
//! had parked ends with it.

mod budget;
pub(crate) mod input;
pub(crate) mod output;
mod pipeline;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chronik_broker::{CloseReason, RequestClass};
use chronik_wire::frame::{FrameError, FrameLimits};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

pub(crate) use self::budget::RequestBudget;
use self::budget::Share;
use self::input::Input;
use self::output::Output;
pub(crate) use self::pipeline::Execution;
use self::pipeline::Pipeline;
use crate::limits;
use crate::stats::EdgeCounters;

/// Who executes the requests of a connection.
pub(crate) trait Service {
    /// How a request may be ordered against others.
    fn class(&self, frame: &Bytes) -> RequestClass;
    /// Executes one request.
    fn execute(&self, frame: Bytes) -> Execution;
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The client closed its side, or is gone.
    #[error("the client closed the connection")]
    ByClient,
    /// The bytes are no frames of the protocol.
    #[error("{0}")]
    Frame(FrameError),
    /// The broker wants it closed.
    #[error("{0}")]
    Broker(CloseReason),
    /// A frame took too long to arrive.
    #[error("a frame did not arrive within {} s", limits::FRAME_TIMEOUT.as_secs())]
    FrameTimeout,
    /// The client takes no bytes.
    #[error("the client took no byte of an answer for {} s", limits::WRITE_STALL_TIMEOUT.as_secs())]
    WriteStalled,
    /// The client says nothing.
    #[error("idle for {} s", limits::IDLE_TIMEOUT.as_secs())]
    Idle,
}

/// Serves one connection until it ends.
pub(crate) async fn serve<T, S>(
    stream: T,
    service: S,
    counters: Arc<EdgeCounters>,
    budget: Rc<RequestBudget>,
) -> Ended
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Service,
{
    let now = Instant::now();
    let mut session = Session {
        stream,
        service,
        counters,
        share: Share::new(budget),
        input: Input::new(FrameLimits::DEFAULT),
        output: Output::default(),
        pipeline: Pipeline::default(),
        reading: Reading::Open,
        writable: true,
        closing: None,
        now,
        active_at: now,
        frame_since: now,
        write_since: now,
    };
    let mut timer = pin!(tokio::time::sleep_until(now + limits::IDLE_TIMEOUT));
    poll_fn(|context| session.poll(context, timer.as_mut())).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The client has finished sending; what it sent is still carried out.
    Ended,
}

struct Session<T, S> {
    stream: T,
    service: S,
    counters: Arc<EdgeCounters>,
    share: Share,
    input: Input,
    output: Output,
    pipeline: Pipeline,
    reading: Reading,
    /// False once the socket refused an answer: nobody is left to be answered.
    writable: bool,
    /// Set when the connection ends as soon as earlier answers are out.
    closing: Option<Ended>,
    now: Instant,
    active_at: Instant,
    frame_since: Instant,
    write_since: Instant,
}

impl<T: AsyncRead + AsyncWrite + Unpin, S: Service> Session<T, S> {
    fn poll(&mut self, context: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Ended> {
        self.now = Instant::now();
        self.pipeline.drive(context);
        loop {
            let mut progress = self.collect_answers();
            progress |= self.start_requests(context);
            if progress {
                continue;
            }
            // Room made by writing may let requests start that had to wait for it.
            let mut progress = self.write(context);
            if self.closing.is_some() && (self.output.pending_bytes() == 0 || !self.writable) {
                return self.end();
            }
            progress |= self.read(context);
            if !progress {
                break;
            }
        }
        self.hold();
        if self.reading == Reading::Ended && self.pipeline.is_empty() {
            if self.output.pending_bytes() == 0 || !self.writable {
                return Poll::Ready(Ended::ByClient);
            }
        } else if self.pipeline.is_empty() {
            self.input.rest();
        }
        self.poll_timer(context, timer.as_mut())
    }

    /// Moves finished answers to the writing half.
    fn collect_answers(&mut self) -> bool {
        let mut progress = false;
        while self.closing.is_none()
            && let Some(outcome) = self.pipeline.take_done()
        {
            progress = true;
            self.active_at = self.now;
            match outcome {
                Ok(Some(answer)) if self.writable => {
                    if self.output.pending_bytes() == 0 {
                        self.write_since = self.now;
                    }
                    self.output.push(answer);
                }
                Ok(_) => {}
                Err(reason) => self.closing = Some(Ended::Broker(reason)),
            }
        }
        progress
    }

    fn start_requests(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.closing.is_none()
            && self.output.pending_bytes() < limits::ANSWER_BYTES_MAX
            && let Some((class, frame)) = self.pipeline.take_startable()
        {
            progress = true;
            let bytes = frame.len();
            let execution = self.service.execute(frame);
            self.pipeline.start(context, class, bytes, execution);
        }
        progress
    }

    /// Writes as much as the socket takes. True if it took anything.
    fn write(&mut self, context: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.writable && self.output.pending_bytes() > 0 {
            match self.output.poll_write(context, &mut self.stream) {
                Poll::Ready(Ok(count)) => {
                    self.counters.bytes_out.add(count as u64);
                    self.write_since = self.now;
                    progress = true;
                }
                Poll::Ready(Err(_)) => self.lose_client(),
                Poll::Pending => break,
            }
        }
        progress
    }

    /// Reads once and queues the frames that came. True if there may be more.
    fn read(&mut self, context: &mut Context<'_>) -> bool {
        if self.reading == Reading::Ended || self.closing.is_some() {
            return false;
        }
        let in_frame = self.input.large_frame_bytes() > 0;
        if !self.pipeline.has_room() {
            // Time in which we do not read is not the client's.
            self.frame_since = self.now;
            return false;
        }
        if !self.share.has_room(in_frame, context) {
            // Nor is this, unless half a frame of this client is what others wait for.
            if !in_frame {
                self.frame_since = self.now;
            }
            return false;
        }
        match self.input.poll_read(context, &mut self.stream) {
            Poll::Pending => false,
            Poll::Ready(Ok(0)) => {
                self.reading = Reading::Ended;
                self.pipeline.abandon_reads();
                true
            }
            Poll::Ready(Ok(count)) => {
                self.counters.bytes_in.add(count as u64);
                self.active_at = self.now;
                self.take_frames();
                true
            }
            Poll::Ready(Err(_)) => {
                self.lose_client();
                true
            }
        }
    }

    fn take_frames(&mut self) {
        loop {
            match self.input.next_frame() {
                Ok(Some(frame)) => {
                    self.frame_since = self.now;
                    let class = self.service.class(&frame);
                    self.pipeline.push(class, frame);
                }
                Ok(None) => break,
                Err(error) => {
                    self.counters.frames_refused.add(1);
                    self.closing = Some(Ended::Frame(error));
                    break;
                }
            }
        }
        self.hold();
    }

    /// Accounts for the memory that this connection takes up.
    fn hold(&mut self) {
        self.share.set(self.pipeline.bytes(), self.input.large_frame_bytes());
    }

    fn lose_client(&mut self) {
        self.writable = false;
        self.reading = Reading::Ended;
        self.pipeline.abandon_reads();
    }

    fn end(&mut self) -> Poll<Ended> {
        Poll::Ready(self.closing.take().unwrap_or(Ended::ByClient))
    }

    /// Ends the connection when something has taken too long. The timer is moved only when it fires or would fire too
    /// late, so a busy connection hardly touches it.
    fn poll_timer(&mut self, context: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Ended> {
        if !self.input.is_partial() {
            self.frame_since = self.now;
        }
        loop {
            let (due, reason) = self.next_deadline();
            if due <= self.now {
                return Poll::Ready(reason);
            }
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            timer.as_mut().reset(due);
        }
    }

    fn next_deadline(&self) -> (Instant, Ended) {
        if self.output.pending_bytes() > 0 {
            return (self.write_since + limits::WRITE_STALL_TIMEOUT, Ended::WriteStalled);
        }
        if self.input.is_partial() && self.reading == Reading::Open {
            return (self.frame_since + limits::FRAME_TIMEOUT, Ended::FrameTimeout);
        }
        let quiet_since = if self.pipeline.is_empty() { self.active_at } else { self.now };
        (quiet_since + limits::IDLE_TIMEOUT, Ended::Idle)
    }
}

#[cfg(test)]
mod tests;
