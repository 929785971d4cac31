//! Connections from peers: hello, then frames until one side ends it.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::{Rc, Weak};

use chronik_broker::PeerMessage;
use chronik_wire::frame::FrameLimits;
use chronik_wire::types::NodeId;
use tokio::net::{TcpListener, TcpStream};

use super::{ANYBODY, Hello, HelloError, Peers, answering};
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
                let (peers, shard, served) = (Rc::clone(&peers), Weak::clone(&shard), Rc::clone(&life));
                life.spawn(async move {
                    let _open = open;
                    if let Err(error) = serve(&peers, stream, &shard, &served).await {
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

async fn serve(
    peers: &Rc<Peers>,
    mut stream: TcpStream,
    shard: &Weak<Shard>,
    life: &Rc<Life>,
) -> Result<(), HelloError> {
    let greeting = tokio::time::timeout(limits::PEER_HELLO_TIMEOUT, greet(peers, &mut stream, shard, life));
    let hello = match greeting.await {
        Ok(Ok(hello)) => hello,
        Ok(Err(HelloError::Socket(error))) => return Err(error.into()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "peer connection refused");
            return Ok(());
        }
        Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    };
    if hello.to == ANYBODY {
        return answering::answer(peers, &mut stream, &hello, shard).await;
    }
    let from = hello.from;
    let number = peers.next_number();
    let newest = peers.known.borrow().get(&from).map(|known| {
        known.incarnation.set(Some(hello.incarnation));
        known.newest_inbound.send_replace(number);
        known.outbound.peer_is_there();
        known.newest_inbound.subscribe()
    });
    let Some(mut newest) = newest else { return Ok(()) };
    let ended = hear(peers, &mut stream, from, shard, async {
        // Also ends when the peer is parted from.
        let _ = newest.wait_for(|newest| *newest != number).await;
    });
    let ended = ended.await;
    let still_newest =
        peers.known.borrow().get(&from).is_some_and(|known| *known.newest_inbound.borrow() == number);
    if still_newest && peers.newcomers.borrow().contains(&from) {
        peers.part(from);
    }
    ended
}

/// Hands on what the peer says until the connection ends, or `over` does.
async fn hear(
    peers: &Peers,
    stream: &mut TcpStream,
    from: NodeId,
    shard: &Weak<Shard>,
    over: impl Future<Output = ()>,
) -> Result<(), HelloError> {
    let mut over = pin!(over);
    let mut input = Input::for_peer(FrameLimits { max_frame_bytes: limits::PEER_FRAME_BYTES_MAX });
    loop {
        let count = tokio::select! {
            biased;
            () = &mut over => return Ok(()),
            count = poll_fn(|context| input.poll_read(context, stream)) => count?,
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
async fn greet(
    peers: &Rc<Peers>,
    stream: &mut TcpStream,
    shard: &Weak<Shard>,
    life: &Rc<Life>,
) -> Result<Hello, HelloError> {
    stream.set_nodelay(true)?;
    let theirs = Hello::receive(stream).await?;
    let removed = peers.removed.borrow().get(&theirs.from) == Some(&theirs.incarnation);
    let own = Hello { removed, ..peers.hello(theirs.from) };
    // Our own hello goes out in any case: the caller then sees for itself what does not fit.
    own.send(stream).await?;
    own.check(&theirs)?;
    if removed {
        return Err(HelloError::CallerRemoved { from: theirs.from });
    }
    if theirs.to != ANYBODY {
        answering::admit(peers, &theirs, shard, life)?;
    }
    Ok(theirs)
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

    fn hello(incarnation: u64) -> Hello {
        Hello {
            cluster_key: 7,
            cluster_id: 0,
            from: PEER,
            to: ME,
            incarnation,
            address: "127.0.0.1:1".to_owned(),
            removed: false,
        }
    }

    async fn call(address: std::net::SocketAddr, incarnation: u64) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        hello(incarnation).send(&mut stream).await.unwrap();
        Hello::receive(&mut stream).await.unwrap();
        stream
    }

    /// A node's peer listener, of a node that was told where these others live.
    struct Listening {
        peers: Rc<Peers>,
        life: Rc<Life>,
        address: std::net::SocketAddr,
    }

    impl Listening {
        async fn start(addresses: BTreeMap<NodeId, String>) -> Listening {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let life = Life::new(NodeLog::new("test", None));
            let plan = PeerPlan {
                cluster_key: 7,
                node: ME,
                incarnation: 1,
                own_address: address.to_string(),
                addresses,
                contacts: BTreeMap::new(),
                joins: Vec::new(),
                removed: tokio::sync::watch::Sender::new(false),
            };
            let counters = Arc::new(EdgeCounters::default());
            let peers = Peers::start(plan, listener, &life, counters, Weak::new());
            Listening { peers, life, address }
        }

        /// Calls with this hello; what the listener says of itself, and whether it keeps the connection.
        async fn meet(&self, hello: Hello) -> (Hello, TcpStream) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            hello.send(&mut stream).await.unwrap();
            let theirs = Hello::receive(&mut stream).await.unwrap();
            (theirs, stream)
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(test);
    }

    async fn is_closed(stream: &mut TcpStream) -> bool {
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0])).await;
        end.is_ok_and(|read| read.is_ok_and(|count| count == 0))
    }

    /// Until what the listener does beside the call is done.
    async fn settled(condition: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if condition() {
                return;
            }
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("not in time");
    }

    #[test]
    fn a_connection_that_was_left_without_a_word_ends_with_the_next_one() {
        run(async {
            // Nobody listens there: the peer only calls.
            let node = Listening::start(BTreeMap::from([(PEER, "127.0.0.1:1".to_owned())])).await;
            let mut left = call(node.address, 5).await;
            for incarnation in 6..10 {
                let next = call(node.address, incarnation).await;
                assert!(is_closed(&mut left).await, "the older connection ends");
                left = next;
            }
            assert_eq!(node.peers.inbound_open.get(), 1);
            node.peers.hang_up(PEER);
            assert!(is_closed(&mut left).await, "a dead peer is not heard");
            node.life.end().await;
        });
    }

    #[test]
    fn a_node_that_nobody_knows_is_called_while_it_calls() {
        run(async {
            let node = Listening::start(BTreeMap::new()).await;
            let (_, mut nowhere) = node.meet(Hello { address: String::new(), ..hello(5) }).await;
            assert!(is_closed(&mut nowhere).await, "nobody could answer it");
            let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = there.local_addr().unwrap().to_string();
            let (_, stream) = node.meet(Hello { address: address.clone(), ..hello(5) }).await;
            let (mut called, _) = there.accept().await.unwrap();
            assert_eq!(Hello::receive(&mut called).await.unwrap().to, PEER);
            drop(stream);
            settled(|| !node.peers.known.borrow().contains_key(&PEER)).await;
            assert!(node.peers.newcomers.borrow().is_empty());
            // A foreign cluster's node and one of this node's own id are not let in.
            for stranger in [Hello { cluster_key: 8, ..hello(5) }, Hello { from: ME, ..hello(5) }] {
                let (_, mut refused) = node.meet(stranger).await;
                assert!(is_closed(&mut refused).await);
            }
            assert!(node.peers.known.borrow().is_empty());
            node.life.end().await;
        });
    }

    #[test]
    fn a_node_that_was_removed_is_told_and_may_come_back_in_another_life() {
        run(async {
            let node = Listening::start(BTreeMap::from([(PEER, "127.0.0.1:1".to_owned())])).await;
            let (theirs, mut stream) = node.meet(hello(5)).await;
            assert!(!theirs.removed);
            settled(|| node.peers.known.borrow()[&PEER].incarnation.get() == Some(5)).await;
            node.peers.dismiss(PEER);
            assert!(is_closed(&mut stream).await, "it is not heard any more");
            assert!(node.peers.known.borrow().is_empty(), "nor called");
            let (theirs, mut stream) = node.meet(hello(5)).await;
            assert!(theirs.removed && is_closed(&mut stream).await);
            let (theirs, _stream) = node.meet(hello(6)).await;
            assert!(!theirs.removed);
            settled(|| node.peers.known.borrow().contains_key(&PEER)).await;
            node.life.end().await;
        });
    }

    #[test]
    fn the_id_of_a_node_that_was_removed_unheard_may_be_taken_by_a_new_one() {
        run(async {
            let node = Listening::start(BTreeMap::from([(PEER, "127.0.0.1:1".to_owned())])).await;
            node.peers.dismiss(PEER);
            // Who asks to join has no life yet, and so no start number.
            let (theirs, _stream) = node.meet(Hello { to: ANYBODY, ..hello(0) }).await;
            assert!(!theirs.removed);
            let (theirs, _stream) = node.meet(hello(6)).await;
            assert!(!theirs.removed);
            settled(|| node.peers.known.borrow().contains_key(&PEER)).await;
            node.life.end().await;
        });
    }
}
