//! What futures of nodes and clients can reach: the time, the agenda, and the telephone between clients and nodes.
//!
//! The simulation owns the other side: it takes events from the agenda and plugs requests into nodes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chronik_broker::LocalFuture;
use chronik_replica::{SyncJob, SyncReport};
use chronik_wire::types::NodeId;

use crate::engine::{Agenda, Owner, Tasks, Trace};
use crate::network::Link;
use crate::random::Random;
use crate::schedule::Story;

/// Which start of a node: the first is 1.
pub(crate) type Life = u64;

/// What happens.
pub(crate) enum Event {
    /// A future's time has come.
    Wake(Waker),
    /// A node's tick, beat or look at retention.
    Strike(NodeId, Life, Clockwork),
    /// A node handles what came in.
    Turn(NodeId, Life),
    /// A message between nodes should arrive. `receiver` is the life of the receiver when it was sent.
    Deliver { link: Link, sent_us: u64, receiver: Life, frame: Bytes },
    /// A node's sync ends: the work itself, or its result if the disk was quick.
    Synced(NodeId, Life, SyncEnd),
    /// A node's compaction goes on.
    Compact(NodeId, Life),
    /// A client's request arrives.
    Request(u64),
    /// The answer to a client's request arrives.
    Answer(u64, Result<Option<Bytes>, CallError>),
    /// Fault number so-and-so begins.
    FaultBegins(usize),
    /// It ends.
    FaultEnds(usize),
    /// A node that was down starts.
    Start(NodeId),
    /// Changes of members are looked at.
    Membership,
    /// A node that could not start tries again.
    Restart(NodeId),
}

/// What strikes in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clockwork {
    Tick,
    Beat,
    Retention,
}

/// A sync that is under way.
pub(crate) enum SyncEnd {
    /// The bytes become durable when it ends.
    Job(SyncJob),
    /// The bytes were durable early, and nobody knew.
    Report(SyncReport),
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// Nobody listens there: the request was never taken.
    Refused,
    /// The connection broke, or the node closed it: the request may have been carried out.
    Closed,
    /// No answer in time: the same.
    TimedOut,
}

/// A request on its way, or being served.
pub(crate) struct Call {
    pub(crate) connection: u64,
    pub(crate) node: NodeId,
    pub(crate) pinned: bool,
    pub(crate) frame: Bytes,
    /// The life of the node that serves it, once it arrived.
    pub(crate) served_by: Option<Life>,
    answer: Option<Result<Option<Bytes>, CallError>>,
    waker: Option<Waker>,
    /// The client has given up; the node does not know.
    abandoned: bool,
    answer_came: bool,
}

impl Call {
    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}

/// The shared side of a simulation.
pub(crate) struct Switchboard {
    now_us: Cell<u64>,
    pub(crate) agenda: RefCell<Agenda<Event>>,
    pub(crate) tasks: RefCell<Tasks>,
    pub(crate) calls: RefCell<BTreeMap<u64, Call>>,
    pub(crate) trace: RefCell<Trace>,
    random: RefCell<Random>,
    next_call: Cell<u64>,
    last_stamp_ns: Cell<u64>,
    /// When the last request of a connection arrives: a connection keeps its order.
    connections: RefCell<BTreeMap<u64, u64>>,
    /// When each node last stood still, was slowed or was down, in microseconds; `u64::MAX` while it is.
    disturbed_us: RefCell<BTreeMap<NodeId, u64>>,
}

/// Mean time between a client and a node, in microseconds.
const CLIENT_LATENCY_US: u64 = 80;

impl Switchboard {
    pub(crate) fn new(random: Random, story: Story) -> Rc<Switchboard> {
        Rc::new(Switchboard {
            now_us: Cell::new(0),
            agenda: RefCell::default(),
            tasks: RefCell::default(),
            calls: RefCell::default(),
            trace: RefCell::new(Trace::new(story)),
            random: RefCell::new(random),
            next_call: Cell::new(1),
            last_stamp_ns: Cell::new(0),
            connections: RefCell::default(),
            disturbed_us: RefCell::default(),
        })
    }

    /// Simulated time since the start, in microseconds.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    pub(crate) fn set_now_us(&self, now_us: u64) {
        self.now_us.set(now_us);
    }

    /// The time for a history, in nanoseconds: two stamps of one instant differ, in the order of asking.
    pub(crate) fn stamp_ns(&self) -> u64 {
        let now_ns = self.now_us() * 1_000;
        let stamp_ns = now_ns.max(self.last_stamp_ns.get() + 1);
        self.last_stamp_ns.set(stamp_ns);
        stamp_ns
    }

    /// Enters an event that happens `after_us` from now.
    pub(crate) fn after(&self, after_us: u64, event: Event) {
        self.agenda.borrow_mut().enter(self.now_us() + after_us, event);
    }

    /// Runs a client's future.
    pub(crate) fn spawn_client(&self, future: LocalFuture<()>) {
        self.tasks.borrow().spawn(Owner::Client, future);
    }

    /// All clients stop where they are.
    pub(crate) fn dismiss_clients(&self) {
        let gone = self.tasks.borrow_mut().remove_all(Owner::Client);
        drop(gone);
    }

    /// Waits, on the clock of the outside.
    pub(crate) fn sleep(self: &Rc<Self>, for_us: u64) -> Sleep {
        Sleep { board: Rc::clone(self), at_us: self.now_us() + for_us, entered: false }
    }

    /// Something slows a node down, for as long as it is `under_way`.
    pub(crate) fn disturb(&self, node: NodeId, under_way: bool) {
        let until_us = if under_way { u64::MAX } else { self.now_us() };
        self.disturbed_us.borrow_mut().insert(node, until_us);
    }

    /// Whether anything slowed a node down since `since_us`.
    pub(crate) fn disturbed_since(&self, node: NodeId, since_us: u64) -> bool {
        self.disturbed_us.borrow().get(&node).is_some_and(|last_us| *last_us >= since_us)
    }

    /// A line of the story.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        self.trace.borrow().tell(self.now_us(), line);
    }

    /// A line of the story that only the long version has: an operation of a client.
    pub(crate) fn tell_operation(&self, line: impl FnOnce() -> String) {
        self.trace.borrow().tell_operation(self.now_us(), line);
    }

    /// A new connection's number.
    pub(crate) fn connect(&self) -> u64 {
        self.next_call.set(self.next_call.get() + 1);
        self.next_call.get()
    }

    /// Sends a request. The answer, or why there is none, comes no later than `timeout_us` from now.
    pub(crate) fn call(
        self: &Rc<Self>,
        connection: u64,
        node: NodeId,
        pinned: bool,
        frame: Bytes,
        timeout_us: u64,
    ) -> CallFuture {
        let number = self.connect();
        let call = Call {
            connection,
            node,
            pinned,
            frame,
            served_by: None,
            answer: None,
            waker: None,
            abandoned: false,
            answer_came: false,
        };
        self.calls.borrow_mut().insert(number, call);
        let mut connections = self.connections.borrow_mut();
        let last_us = connections.entry(connection).or_default();
        let at_us = (self.now_us() + self.client_latency_us()).max(*last_us);
        *last_us = at_us;
        self.agenda.borrow_mut().enter(at_us, Event::Request(number));
        CallFuture { board: Rc::clone(self), number, timeout: self.sleep(timeout_us) }
    }

    /// A connection is not used any more.
    pub(crate) fn disconnect(&self, connection: u64) {
        self.connections.borrow_mut().remove(&connection);
    }

    /// The node's answer leaves.
    pub(crate) fn answer(&self, number: u64, answer: Result<Option<Bytes>, CallError>) {
        let latency_us = self.client_latency_us();
        self.after(latency_us, Event::Answer(number, answer));
    }

    /// The node's answer is here.
    pub(crate) fn deliver_answer(&self, number: u64, answer: Result<Option<Bytes>, CallError>) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(&number) else { return };
        if call.abandoned {
            calls.remove(&number);
            return;
        }
        call.answer = Some(answer);
        call.answer_came = true;
        let waker = call.waker.take();
        drop(calls);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn client_latency_us(&self) -> u64 {
        CLIENT_LATENCY_US / 2 + self.random.borrow_mut().around(CLIENT_LATENCY_US)
    }
}

/// Ready when its time has come.
pub(crate) struct Sleep {
    board: Rc<Switchboard>,
    at_us: u64,
    entered: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.board.now_us() >= self.at_us {
            return Poll::Ready(());
        }
        if !self.entered {
            // A future here stays with its task, so the first waker is the only one.
            self.entered = true;
            self.board.agenda.borrow_mut().enter(self.at_us, Event::Wake(context.waker().clone()));
        }
        Poll::Pending
    }
}

/// A request that waits for its answer. Dropping it gives the answer up, not the request.
pub(crate) struct CallFuture {
    board: Rc<Switchboard>,
    number: u64,
    timeout: Sleep,
}

impl Future for CallFuture {
    type Output = Result<Option<Bytes>, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.number;
        if let Some(call) = self.board.calls.borrow_mut().get_mut(&number) {
            if let Some(answer) = call.answer.take() {
                return Poll::Ready(answer);
            }
            call.waker = Some(context.waker().clone());
        }
        Pin::new(&mut self.timeout).poll(context).map(|()| Err(CallError::TimedOut))
    }
}

impl Drop for CallFuture {
    fn drop(&mut self) {
        let mut calls = self.board.calls.borrow_mut();
        if let Some(call) = calls.get_mut(&self.number) {
            call.abandoned = true;
            if call.answer_came {
                calls.remove(&self.number);
            }
        }
    }
}
