//! The requests of one connection: in order in, in order out.
//!
//! A produce may start behind an unfinished produce, since produces of a connection append in the order in which they
//! started; everything else starts when all before it are done. Answers leave in the order of the requests.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use chronik_broker::{CloseReason, RequestClass};

use crate::limits;

/// What a request came to: the pieces of its answer, no answer at all, or a reason to close.
pub(crate) type Outcome = Result<Option<Vec<Bytes>>, CloseReason>;

/// A request being executed.
pub(crate) type Execution = Pin<Box<dyn Future<Output = Outcome>>>;

/// The requests of one connection that have been received and not yet answered.
#[derive(Default)]
pub(crate) struct Pipeline {
    waiting: VecDeque<(RequestClass, Bytes)>,
    started: VecDeque<Started>,
    bytes: usize,
}

struct Started {
    class: RequestClass,
    bytes: usize,
    state: State,
}

enum State {
    Running(Execution),
    Done(Outcome),
}

impl Pipeline {
    /// A request has arrived.
    pub(crate) fn push(&mut self, class: RequestClass, frame: Bytes) {
        self.bytes += frame.len();
        self.waiting.push_back((class, frame));
    }

    /// Whether more requests may be received.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < limits::REQUESTS_WAITING_MAX && self.bytes < limits::REQUEST_BYTES_MAX
    }

    /// Bytes of requests received and not yet answered.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when every request has been answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.started.is_empty()
    }

    /// The next request that may start now.
    pub(crate) fn take_startable(&mut self) -> Option<(RequestClass, Bytes)> {
        let (class, _) = self.waiting.front()?;
        let behind_produces = *class == RequestClass::Produce
            && self.started.len() < limits::REQUESTS_EXECUTING_MAX
            && self.started.iter().all(|started| started.class == RequestClass::Produce);
        if !self.started.is_empty() && !behind_produces {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Executes the request taken last, up to its first suspension: this is what keeps overlapping produces in order.
    pub(crate) fn start(
        &mut self,
        context: &mut Context<'_>,
        class: RequestClass,
        bytes: usize,
        execution: Execution,
    ) {
        let mut started = Started { class, bytes, state: State::Running(execution) };
        started.drive(context);
        self.started.push_back(started);
    }

    /// Drives everything that has been started, once.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        for started in &mut self.started {
            started.drive(context);
        }
    }

    /// The outcome of the oldest request, once it is known.
    pub(crate) fn take_done(&mut self) -> Option<Outcome> {
        if !matches!(self.started.front(), Some(Started { state: State::Done(_), .. })) {
            return None;
        }
        let done = self.started.pop_front()?;
        self.bytes -= done.bytes;
        match done.state {
            State::Done(outcome) => Some(outcome),
            State::Running(_) => None,
        }
    }

    /// The client has gone: what only it was waiting for is dropped, produces it had sent are still carried out.
    pub(crate) fn abandon_reads(&mut self) {
        self.waiting.retain(|(class, _)| *class == RequestClass::Produce);
        self.started.retain(|started| started.class == RequestClass::Produce);
        self.bytes = self.waiting.iter().map(|(_, frame)| frame.len()).sum::<usize>()
            + self.started.iter().map(|started| started.bytes).sum::<usize>();
    }
}

impl Started {
    fn drive(&mut self, context: &mut Context<'_>) {
        if let State::Running(execution) = &mut self.state
            && let Poll::Ready(outcome) = execution.as_mut().poll(context)
        {
            self.state = State::Done(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::sync::oneshot;

    fn frame(byte: u8) -> Bytes {
        Bytes::from(vec![byte])
    }

    fn answer(byte: u8) -> Outcome {
        Ok(Some(vec![frame(byte)]))
    }

    /// Starts everything that may start; executions end when their sender is used.
    fn start(pipeline: &mut Pipeline) -> Vec<(u8, oneshot::Sender<Outcome>)> {
        let mut senders = Vec::new();
        while let Some((class, frame)) = pipeline.take_startable() {
            let (sender, receiver) = oneshot::channel::<Outcome>();
            senders.push((frame[0], sender));
            let mut context = Context::from_waker(Waker::noop());
            let execution = Box::pin(async move { receiver.await.unwrap() });
            pipeline.start(&mut context, class, frame.len(), execution);
        }
        senders
    }

    fn drain(pipeline: &mut Pipeline) -> Vec<u8> {
        let mut context = Context::from_waker(Waker::noop());
        let mut answers = Vec::new();
        pipeline.drive(&mut context);
        while let Some(outcome) = pipeline.take_done() {
            answers.push(outcome.unwrap().unwrap()[0][0]);
        }
        answers
    }

    #[test]
    fn produces_overlap_and_their_answers_keep_the_order() {
        let mut pipeline = Pipeline::default();
        for byte in 1..=3 {
            pipeline.push(RequestClass::Produce, frame(byte));
        }
        let mut senders = start(&mut pipeline);
        assert_eq!(senders.len(), 3);
        let (_, last) = senders.pop().unwrap();
        last.send(answer(3)).unwrap();
        assert!(drain(&mut pipeline).is_empty(), "the third answer waits for the first");
        for (byte, sender) in senders {
            sender.send(answer(byte)).unwrap();
        }
        assert_eq!(drain(&mut pipeline), [1, 2, 3]);
        assert!(pipeline.is_empty());
        assert_eq!(pipeline.bytes(), 0);
    }

    #[test]
    fn anything_else_waits_for_all_before_it_and_holds_back_all_behind_it() {
        let mut pipeline = Pipeline::default();
        pipeline.push(RequestClass::Produce, frame(1));
        pipeline.push(RequestClass::Ordered, frame(2));
        pipeline.push(RequestClass::Produce, frame(3));
        for byte in 1..=3 {
            let mut senders = start(&mut pipeline);
            assert_eq!(senders.len(), 1);
            let (started, sender) = senders.pop().unwrap();
            assert_eq!(started, byte);
            sender.send(answer(byte)).unwrap();
            assert_eq!(drain(&mut pipeline), [byte]);
        }
    }

    #[test]
    fn a_client_that_left_keeps_its_produces_only() {
        let mut pipeline = Pipeline::default();
        pipeline.push(RequestClass::Ordered, frame(1));
        pipeline.push(RequestClass::Produce, frame(2));
        let senders = start(&mut pipeline);
        pipeline.abandon_reads();
        assert!(senders[0].1.is_closed(), "the parked request was dropped");
        let senders = start(&mut pipeline);
        assert_eq!(senders[0].0, 2);
        assert_eq!(pipeline.bytes(), 1);
    }

    #[test]
    fn room_ends_at_the_limit() {
        let mut pipeline = Pipeline::default();
        for _ in 0..limits::REQUESTS_WAITING_MAX {
            assert!(pipeline.has_room());
            pipeline.push(RequestClass::Produce, frame(0));
        }
        assert!(!pipeline.has_room());
    }
}
