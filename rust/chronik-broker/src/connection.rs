//! What the broker knows of the connection a request came over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use crate::share::SessionTies;
use crate::world::World;

/// One client connection, as the edge accepted it. Its clones are the same connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Names the connection in logs; unique per node.
    pub id: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// Accepted on the node's pinned address: Metadata names this node for everything it hosts.
    pub pinned: bool,
    /// No client's connection: another node passes a client's request on.
    pub(crate) between_nodes: bool,
    /// Held by the produce that is about to append; fair, so that produces append in the order in which they came.
    produce_turn: Arc<Mutex<()>>,
    mute: Arc<Mute>,
    /// The share sessions opened over it.
    pub(crate) share_sessions: Arc<SessionTies>,
}

/// When the connection's next request may be looked at.
#[derive(Debug, Default)]
struct Mute {
    until_ms: AtomicU64,
    /// Held by the first request that waits; fair, so that requests go on in the order in which they came.
    turn: Mutex<()>,
}

impl Connection {
    /// A connection that has sent nothing yet.
    pub fn new(id: u64, peer: SocketAddr, pinned: bool) -> Connection {
        Connection {
            id,
            peer,
            pinned,
            between_nodes: false,
            produce_turn: Arc::default(),
            mute: Arc::default(),
            share_sessions: Arc::default(),
        }
    }

    /// What a request comes over that another node passes on.
    pub(crate) fn between_nodes() -> Connection {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Connection { between_nodes: true, ..Connection::new(0, nowhere, false) }
    }

    /// Leaves further requests of this connection alone until `until_ms`: its client is over a quota.
    pub(crate) fn mute_until(&self, until_ms: u64) {
        self.mute.until_ms.fetch_max(until_ms, Ordering::Relaxed);
    }

    /// Waits until the connection is not muted. Does not suspend if it is not and nobody waits.
    pub(crate) async fn unmuted(&self, world: &dyn World) {
        if self.mute.until_ms.load(Ordering::Relaxed) == 0 {
            // Never muted, so that nobody waits whom this request could overtake.
            return;
        }
        let _turn = self.mute.turn.lock().await;
        let until_ms = self.mute.until_ms.load(Ordering::Relaxed);
        if world.now_ms() < until_ms {
            world.sleep_until(until_ms).await;
        }
    }

    /// Waits until every produce that came before on this connection has appended. Does not suspend if they have.
    pub(crate) async fn produce_turn(&self) -> MutexGuard<'_, ()> {
        self.produce_turn.lock().await
    }
}

/// Why a connection must be closed instead of answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The bytes are no request of the protocol.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// A key or version this broker does not speak, outside what ApiVersions can express.
    #[error("unsupported request: api key {api_key}, version {version}; ask ApiVersions first")]
    Unsupported {
        /// The key as received.
        api_key: i16,
        /// The version as received.
        version: i16,
    },
    /// A produce with `acks=0` failed; closing makes the client refresh its metadata, as with Kafka.
    #[error("a produce with acks=0 failed with error code {0}")]
    UnacknowledgedProduceFailed(i16),
    /// The request can be answered with no error code of its own.
    #[error("{0}")]
    Unanswerable(&'static str),
}

/// How a request may be ordered against others of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestClass {
    /// May start while earlier produces of the connection are unfinished: produces append in the order in which they
    /// started.
    Produce,
    /// Starts when every earlier request of the connection has been answered.
    Ordered,
}
