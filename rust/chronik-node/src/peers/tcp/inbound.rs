//! Connections from peers: hello, then frames until one side ends it.

use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};

use chronik_broker::PeerMessage;
use chronik_wire::frame::FrameLimits;
use chronik_wire::types::NodeId;
use tokio::net::{TcpListener, TcpStream};

use super::Peers;
use super::hello::{Hello, HelloError};
use crate::connection::input::Input;
use crate::gate::Life;
use crate::limits;
use crate::shard::Shard;

/// Accepts peers for the whole life of the node.
pub(crate) async fn accept(peers: Rc<Peers>, listener: TcpListener, life: Rc<Life>, shard: Weak<Shard>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                if peers.inbound_open.get() >= limits::PEER_CONNECTIONS_MAX {
                    tracing::warn!(%address, "peer connection refused, too many are open");
                    continue;
                }
                let open = Open::new(&peers);
                let (peers, shard) = (Rc::clone(&peers), Weak::clone(&shard));
                life.spawn(async move {
                    let _open = open;
                    if let Err(error) = serve(&peers, stream, &shard).await {
                        tracing::debug!(%address, %error, "peer connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "peer listener cannot accept; pausing");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Counts an open connection for as long as it lives.
struct Open(Rc<Peers>);

impl Open {
    fn new(peers: &Rc<Peers>) -> Open {
        peers.inbound_open.set(peers.inbound_open.get() + 1);
        Open(Rc::clone(peers))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.inbound_open.set(self.0.inbound_open.get() - 1);
    }
}

async fn serve(peers: &Peers, mut stream: TcpStream, shard: &Weak<Shard>) -> Result<(), HelloError> {
    let greeting = tokio::time::timeout(limits::PEER_HELLO_TIMEOUT, greet(peers, &mut stream));
    let from = match greeting.await {
        Ok(Ok(from)) => from,
        Ok(Err(HelloError::Socket(error))) => return Err(error.into()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "peer connection refused");
            return Ok(());
        }
        Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    };
    let number = peers.next_inbound.replace(peers.next_inbound.get() + 1);
    let newest = peers.newest_inbound.borrow().get(&from).map(|newest| {
        newest.send_replace(number);
        newest.subscribe()
    });
    let Some(mut newest) = newest else { return Ok(()) };
    if let Some(outbound) = peers.outbound.borrow().get(&from) {
        outbound.peer_is_there();
    }
    let mut input = Input::for_peer(FrameLimits { max_frame_bytes: limits::PEER_FRAME_BYTES_MAX });
    loop {
        let count = tokio::select! {
            biased;
            // The sender lives as long as the peers do, so this means: the number is another one.
            _ = newest.wait_for(|newest| *newest != number) => return Ok(()),
            count = poll_fn(|context| input.poll_read(context, &mut stream)) => count?,
        };
        if count == 0 {
            return Ok(());
        }
        peers.counters.peer_bytes_in.add(count as u64);
        let Some(shard) = shard.upgrade() else { return Ok(()) };
        if !take_frames(peers, &mut input, from, &shard) {
            return Ok(());
        }
    }
}

/// Hears who calls, and answers.
async fn greet(peers: &Peers, stream: &mut TcpStream) -> Result<NodeId, HelloError> {
    stream.set_nodelay(true)?;
    let theirs = Hello::receive(stream).await?;
    let plan = &peers.plan;
    let own = Hello {
        cluster_key: plan.cluster_key,
        from: plan.node,
        to: theirs.from,
        incarnation: plan.incarnation,
    };
    // Our own hello goes out in any case: the caller then sees for itself what does not fit.
    own.send(stream).await?;
    own.check(&theirs)?;
    if !peers.newest_inbound.borrow().contains_key(&theirs.from) {
        return Err(HelloError::ForeignCluster { from: theirs.from });
    }
    Ok(theirs.from)
}

/// Hands every whole frame to its replica. False ends the connection.
fn take_frames(peers: &Peers, input: &mut Input, from: NodeId, shard: &Shard) -> bool {
    loop {
        match input.next_frame() {
            Ok(None) => return true,
            Ok(Some(frame)) => match PeerMessage::decode(frame) {
                Ok(message) => shard.deliver(from, peers.plan.node, message),
                Err(error) => {
                    tracing::warn!(peer = from.0, %error, "closing a peer connection over a frame that does not decode");
                    return false;
                }
            },
            Err(error) => {
                tracing::warn!(peer = from.0, %error, "closing a peer connection over a bad frame");
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;

    use crate::logs::NodeLog;
    use crate::peers::tcp::PeerPlan;
    use crate::stats::EdgeCounters;

    const ME: NodeId = NodeId(1);
    const PEER: NodeId = NodeId(2);

    async fn call(address: std::net::SocketAddr, incarnation: u64) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        Hello { cluster_key: 7, from: PEER, to: ME, incarnation }.send(&mut stream).await.unwrap();
        Hello::receive(&mut stream).await.unwrap();
        stream
    }

    #[test]
    fn a_connection_that_was_left_without_a_word_ends_with_the_next_one() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let life = Life::new(NodeLog::new("test", None));
            // Nobody listens there: the peer only calls.
            let addresses = BTreeMap::from([(PEER, "127.0.0.1:1".to_owned())]);
            let plan = PeerPlan { cluster_key: 7, node: ME, incarnation: 1, addresses };
            let counters = Arc::new(EdgeCounters::default());
            let peers = Peers::start(plan, listener, &life, counters, Weak::new());
            let mut left = call(address, 5).await;
            for incarnation in 6..10 {
                let next = call(address, incarnation).await;
                let end = tokio::time::timeout(Duration::from_secs(10), left.read(&mut [0])).await;
                assert_eq!(end.expect("the older connection ends").unwrap(), 0);
                left = next;
            }
            assert_eq!(peers.inbound_open.get(), 1);
            peers.hang_up(PEER);
            let end = tokio::time::timeout(Duration::from_secs(10), left.read(&mut [0])).await;
            assert_eq!(end.expect("a dead peer is not heard").unwrap(), 0);
            life.end().await;
        });
    }
}
