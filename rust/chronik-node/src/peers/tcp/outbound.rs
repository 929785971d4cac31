//! One node's connection to one peer: a bounded queue and the task that empties it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chronik_broker::PeerMessage;
use chronik_wire::types::NodeId;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::Peers;
use super::hello::{Hello, HelloError};
use crate::connection::output::Output;
use crate::limits;

/// The sending side of a pair of nodes.
pub(crate) struct Outbound {
    peer: NodeId,
    address: RefCell<String>,
    queue: RefCell<VecDeque<Vec<Bytes>>>,
    queued_bytes: Cell<usize>,
    /// Rings when the queue was empty and is no longer.
    filled: Notify,
    /// Rings when the peer has shown that it is there, so that the next attempt need not wait.
    peer_seen: Notify,
    /// Rings when there is nothing to call the peer for any more.
    ended: Notify,
}

impl Outbound {
    pub(crate) fn new(peer: NodeId, address: String) -> Rc<Outbound> {
        Rc::new(Outbound {
            peer,
            address: RefCell::new(address),
            queue: RefCell::new(VecDeque::new()),
            queued_bytes: Cell::new(0),
            filled: Notify::new(),
            peer_seen: Notify::new(),
            ended: Notify::new(),
        })
    }

    /// Queues a message; false, and it is lost, when the queue is full.
    pub(crate) fn push(&self, message: &PeerMessage) -> bool {
        let pieces = message.encode();
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        let mut queue = self.queue.borrow_mut();
        let full = queue.len() >= limits::PEER_QUEUE_MESSAGES_MAX
            || (self.queued_bytes.get() + bytes > limits::PEER_QUEUE_BYTES_MAX && !queue.is_empty());
        if full || bytes > limits::PEER_FRAME_BYTES_MAX {
            return false;
        }
        if queue.is_empty() {
            self.filled.notify_one();
        }
        queue.push_back(pieces);
        self.queued_bytes.set(self.queued_bytes.get() + bytes);
        true
    }

    /// Where the peer is called.
    pub(crate) fn address(&self) -> String {
        self.address.borrow().clone()
    }

    /// The next attempt calls the peer there.
    pub(crate) fn move_to(&self, address: &str) {
        if *self.address.borrow() != address {
            address.clone_into(&mut self.address.borrow_mut());
        }
    }

    /// Nobody wants to call the peer any more.
    pub(crate) fn end(&self) {
        self.ended.notify_one();
    }

    /// The peer has called us: it can be called.
    pub(crate) fn peer_is_there(&self) {
        self.peer_seen.notify_one();
    }

    /// Moves what is queued to the writing half; it is accounted for there.
    fn drain_into(&self, output: &mut Output) {
        for pieces in self.queue.borrow_mut().drain(..) {
            output.push(pieces);
        }
        self.queued_bytes.set(0);
    }

    fn clear(&self) -> usize {
        self.queued_bytes.set(0);
        let mut queue = self.queue.borrow_mut();
        let lost = queue.len();
        queue.clear();
        lost
    }
}

/// Keeps the connection to a peer, for as long as it is wanted.
pub(crate) async fn run(outbound: Rc<Outbound>, peers: Rc<Peers>) {
    tokio::select! {
        () = outbound.ended.notified() => {}
        () = keep_connected(&outbound, &peers) => {}
    }
}

async fn keep_connected(outbound: &Outbound, peers: &Peers) {
    let (first_pause, longest_pause) = limits::PEER_RECONNECT_PAUSE;
    let mut pause = first_pause;
    let mut complained = false;
    loop {
        let attempt = tokio::time::timeout(limits::PEER_HELLO_TIMEOUT, connect(outbound, peers));
        match attempt.await.unwrap_or_else(|_| Err(HelloError::Socket(io::ErrorKind::TimedOut.into()))) {
            Ok(mut stream) => {
                tracing::debug!(peer = outbound.peer.0, address = %outbound.address(), "connected to peer");
                peers.counters.peer_connects.add(1);
                (pause, complained) = (first_pause, false);
                let error = pump(outbound, peers, &mut stream).await;
                tracing::debug!(peer = outbound.peer.0, %error, "connection to peer lost");
            }
            Err(HelloError::Removed) => {
                if !peers.plan.removed.send_replace(true) {
                    tracing::warn!(peer = outbound.peer.0, "the cluster has removed this node");
                }
            }
            Err(HelloError::Socket(error)) => {
                tracing::debug!(peer = outbound.peer.0, address = %outbound.address(), %error, "peer is not reachable");
            }
            Err(error) if !complained => {
                complained = true;
                tracing::warn!(peer = outbound.peer.0, address = %outbound.address(), %error, "peer refused");
            }
            Err(_) => {}
        }
        // What was meant for the lost connection must not arrive behind newer messages.
        peers.counters.peer_messages_dropped.add(outbound.clear() as u64);
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest_pause),
            () = outbound.peer_seen.notified() => {}
        }
    }
}

async fn connect(outbound: &Outbound, peers: &Peers) -> Result<TcpStream, HelloError> {
    let mut stream = TcpStream::connect(outbound.address()).await?;
    stream.set_nodelay(true)?;
    let own = peers.hello(outbound.peer);
    own.send(&mut stream).await?;
    let theirs = Hello::receive(&mut stream).await?;
    own.check(&theirs)?;
    if theirs.from != outbound.peer {
        return Err(HelloError::WrongNode { expected: outbound.peer, theirs: theirs.from });
    }
    Ok(stream)
}

/// Writes what is queued until the connection ends.
async fn pump(outbound: &Outbound, peers: &Peers, stream: &mut TcpStream) -> io::Error {
    let mut output = Output::default();
    loop {
        outbound.drain_into(&mut output);
        while output.pending_bytes() > 0 {
            match poll_fn(|context| poll_connection(context, &mut output, stream)).await {
                Ok(written) => peers.counters.peer_bytes_out.add(written as u64),
                Err(error) => return error,
            }
        }
        let mut filled = pin!(outbound.filled.notified());
        let idle = poll_fn(|context| {
            if filled.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            poll_end(context, stream).map(Some)
        });
        if let Some(error) = idle.await {
            return error;
        }
    }
}

fn poll_connection(
    context: &mut Context<'_>,
    output: &mut Output,
    stream: &mut TcpStream,
) -> Poll<io::Result<usize>> {
    match output.poll_write(context, stream) {
        Poll::Pending => poll_end(context, stream).map(Err),
        ready => ready,
    }
}

/// The peer says nothing on this connection; anything but silence is its end.
fn poll_end(context: &mut Context<'_>, stream: &mut TcpStream) -> Poll<io::Error> {
    let mut byte = [0; 1];
    let mut buffer = ReadBuf::new(&mut byte);
    match pin!(stream).poll_read(context, &mut buffer) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) => Poll::Ready(io::ErrorKind::ConnectionReset.into()),
        Poll::Ready(Err(error)) => Poll::Ready(error),
    }
}
