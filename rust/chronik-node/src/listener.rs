//! A node's doors for clients: accepts, admits, and deals connections out to the shards.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chronik_broker::{Broker, Connection, RequestClass};
use chronik_wire::types::NodeId;
use tokio::net::{TcpListener, TcpStream};

use crate::admission::{Admission, Place};
use crate::connection::{self, Ended, Execution, Service};
use crate::limits;
use crate::shard::Shard;
use crate::shard::port::Event;
use crate::shard::seat::Seat;
use crate::stats::EdgeCounters;

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Which of a node's two addresses a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The ordinary one.
    Ordinary,
    /// The one behind which every read is served by this node.
    Pinned,
}

/// A client that has been let in.
struct Guest {
    stream: std::net::TcpStream,
    connection: Connection,
    place: Place,
}

/// Accepts clients for the whole life of the node.
pub(crate) async fn accept(
    shard: Rc<Shard>,
    node: NodeId,
    listener: TcpListener,
    door: Door,
    admission: Arc<Admission>,
) {
    let mut complaint = Complaint::default();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                if let Err(reason) = welcome(&shard, node, stream, address, door, &admission) {
                    if let Some(seat) = shard.seat(node) {
                        seat.counters.edge.connections_refused.add(1);
                    }
                    complaint.say(|suppressed| {
                        tracing::warn!(%address, %reason, suppressed, "connection refused");
                    });
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                complaint.say(|suppressed| tracing::warn!(%error, suppressed, "cannot accept; pausing"));
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

fn welcome(
    shard: &Rc<Shard>,
    node: NodeId,
    stream: TcpStream,
    address: SocketAddr,
    door: Door,
    admission: &Arc<Admission>,
) -> Result<(), String> {
    let place = admission.admit(address.ip()).map_err(|refusal| refusal.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let id = NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed);
    let connection = Connection::new(id, address, door == Door::Pinned);
    let port = shard.deal();
    if Arc::ptr_eq(&port, shard.port()) {
        if let Some(seat) = shard.seat(node) {
            host(&seat, stream, connection, place);
        }
        return Ok(());
    }
    let stream = stream.into_std().map_err(|error| error.to_string())?;
    let guest = Guest { stream, connection, place };
    port.send(Event::Run(Box::new(move |shard| {
        let Some(seat) = shard.seat(node) else { return };
        match TcpStream::from_std(guest.stream) {
            Ok(stream) => host(&seat, stream, guest.connection, guest.place),
            Err(error) => tracing::warn!(%error, "connection lost on its way to its shard"),
        }
    })));
    Ok(())
}

/// Serves a client on this shard.
fn host(seat: &Rc<Seat>, stream: TcpStream, connection: Connection, place: Place) {
    let counters = Arc::clone(&seat.counters.edge);
    let budget = Rc::clone(&seat.budget);
    let service = BrokerService { broker: Rc::clone(&seat.broker), connection: Rc::new(connection) };
    counters.connections_accepted.add(1);
    let open = OpenConnection::new(Arc::clone(&counters));
    seat.life.spawn(async move {
        let _held = (open, place);
        let client = service.connection.peer;
        match connection::serve(stream, service, counters, budget).await {
            Ended::ByClient | Ended::Idle => {}
            reason => tracing::info!(%client, %reason, "connection closed"),
        }
    });
}

/// Counts a connection for as long as it is open.
struct OpenConnection(Arc<EdgeCounters>);

impl OpenConnection {
    fn new(counters: Arc<EdgeCounters>) -> OpenConnection {
        counters.connections_open.add(1);
        OpenConnection(counters)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections_open.subtract(1);
    }
}

/// Requests of one connection, executed by the node's broker.
struct BrokerService {
    broker: Rc<Broker>,
    connection: Rc<Connection>,
}

impl Service for BrokerService {
    fn class(&self, frame: &Bytes) -> RequestClass {
        Broker::request_class(frame)
    }

    fn execute(&self, frame: Bytes) -> Execution {
        let (broker, connection) = (Rc::clone(&self.broker), Rc::clone(&self.connection));
        Box::pin(async move { broker.handle(&connection, frame).await })
    }
}

/// An error that concerns the client at the head of the queue only; the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

/// Says the same thing at most once a second.
#[derive(Default)]
struct Complaint {
    last: Option<tokio::time::Instant>,
    suppressed: u64,
}

impl Complaint {
    fn say(&mut self, line: impl FnOnce(u64)) {
        let now = tokio::time::Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < limits::COMPLAINT_INTERVAL) {
            self.suppressed += 1;
            return;
        }
        line(std::mem::take(&mut self.suppressed));
        self.last = Some(now);
    }
}
