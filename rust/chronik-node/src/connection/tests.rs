//! The connection against an echo service: order, limits, hostile bytes, clients that leave.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, oneshot};

use super::*;

/// Answers with the frame. A frame that begins with `w` waits for the bell; `p` marks a produce; `x` closes.
#[derive(Clone, Default)]
struct Echo {
    bell: Rc<Notify>,
    executed: Rc<RefCell<Vec<u8>>>,
    parked: Rc<Cell<usize>>,
}

struct Parked(Rc<Cell<usize>>);

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Service for Echo {
    fn class(&self, frame: &Bytes) -> RequestClass {
        if frame.first() == Some(&b'p') { RequestClass::Produce } else { RequestClass::Ordered }
    }

    fn execute(&self, frame: Bytes) -> Execution {
        let echo = self.clone();
        Box::pin(async move {
            echo.executed.borrow_mut().extend(frame.first());
            match frame.first() {
                Some(b'w') => {
                    echo.parked.set(echo.parked.get() + 1);
                    let _parked = Parked(Rc::clone(&echo.parked));
                    echo.bell.notified().await;
                }
                Some(b'x') => return Err(CloseReason::Unanswerable("told to")),
                _ => {}
            }
            Ok(Some(vec![frame]))
        })
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(test);
}

struct Client {
    pipe: DuplexStream,
    ended: oneshot::Receiver<Ended>,
    counters: Arc<EdgeCounters>,
}

fn connect(echo: &Echo, pipe_bytes: usize) -> Client {
    connect_within(echo, pipe_bytes, &RequestBudget::new(limits::NODE_REQUEST_BYTES_MAX))
}

fn connect_within(echo: &Echo, pipe_bytes: usize, budget: &Rc<RequestBudget>) -> Client {
    let budget = Rc::clone(budget);
    let (near, far) = duplex(pipe_bytes);
    let (sender, ended) = oneshot::channel();
    let counters = Arc::new(EdgeCounters::default());
    let (service, edge) = (echo.clone(), Arc::clone(&counters));
    tokio::task::spawn_local(async move {
        let _ = sender.send(serve(far, service, edge, budget).await);
    });
    Client { pipe: near, ended, counters }
}

impl Client {
    async fn send(&mut self, payload: &[u8]) {
        self.pipe.write_all(&(payload.len() as u32).to_be_bytes()).await.unwrap();
        self.pipe.write_all(payload).await.unwrap();
    }

    async fn receive(&mut self) -> Vec<u8> {
        let length = self.pipe.read_u32().await.unwrap();
        let mut payload = vec![0; length as usize];
        self.pipe.read_exact(&mut payload).await.unwrap();
        payload
    }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn answers_leave_in_request_order_though_a_later_one_is_ready_first() {
    run(async {
        let echo = Echo::default();
        let mut client = connect(&echo, 1 << 16);
        for frame in [&b"wait"[..], b"b", b"c"] {
            client.send(frame).await;
        }
        settle().await;
        assert_eq!(*echo.executed.borrow(), b"w", "nothing overtakes a request that is no produce");
        echo.bell.notify_one();
        assert_eq!(client.receive().await, b"wait");
        assert_eq!(client.receive().await, b"b");
        assert_eq!(client.receive().await, b"c");
    });
}

#[test]
fn a_client_that_leaves_cancels_what_it_had_parked() {
    run(async {
        let echo = Echo::default();
        let mut client = connect(&echo, 1 << 16);
        client.send(b"wait").await;
        client.send(b"p1").await;
        settle().await;
        assert_eq!(echo.parked.get(), 1);
        drop(client.pipe);
        assert!(matches!(client.ended.await, Ok(Ended::ByClient)));
        assert_eq!(echo.parked.get(), 0);
        assert_eq!(*echo.executed.borrow(), b"wp", "a produce received before the end is carried out");
    });
}

#[test]
fn foreign_protocols_and_absurd_lengths_close_the_connection() {
    for hostile in [&b"GET / HTTP/1.1\r\n"[..], &[0x16, 3, 1, 2, 0, 1], &[0xff; 8], &[0x7f; 8]] {
        run(async {
            let mut client = connect(&Echo::default(), 1 << 16);
            client.pipe.write_all(hostile).await.unwrap();
            assert!(matches!(client.ended.await, Ok(Ended::Frame(_))), "{hostile:?}");
            assert_eq!(client.counters.frames_refused.get(), 1);
        });
    }
}

#[test]
fn a_close_reason_still_lets_earlier_answers_out() {
    run(async {
        let mut client = connect(&Echo::default(), 1 << 16);
        client.send(b"a").await;
        client.send(b"x").await;
        client.send(b"b").await;
        assert_eq!(client.receive().await, b"a");
        assert!(matches!(client.ended.await, Ok(Ended::Broker(_))));
        assert_eq!(client.pipe.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn a_client_that_does_not_read_is_neither_buffered_for_without_bound_nor_kept() {
    run(async {
        let echo = Echo::default();
        let mut client = connect(&echo, 1 << 10);
        let payload = vec![b'p'; 1 << 20];
        let flood = async {
            loop {
                client.send(&payload).await;
            }
        };
        assert!(
            tokio::time::timeout(Duration::from_secs(10), flood).await.is_err(),
            "the flood must be stopped"
        );
        let executed = echo.executed.borrow().len();
        assert!(executed <= limits::ANSWER_BYTES_MAX / payload.len() + 1, "{executed} executed");
        assert!(matches!(client.ended.await, Ok(Ended::WriteStalled)));
    });
}

#[test]
fn a_client_that_reads_late_gets_every_answer() {
    run(async {
        let mut client = connect(&Echo::default(), 1 << 10);
        let payload = vec![b'p'; 1 << 20];
        let (mut reader, mut writer) = tokio::io::split(client.pipe);
        let sent = async {
            for _ in 0..3 * limits::ANSWER_BYTES_MAX / payload.len() {
                writer.write_all(&(payload.len() as u32).to_be_bytes()).await.unwrap();
                writer.write_all(&payload).await.unwrap();
            }
        };
        let received = async {
            // Longer than it takes to fill every queue, shorter than a stall.
            tokio::time::sleep(Duration::from_secs(10)).await;
            let mut answer = vec![0; 4 + payload.len()];
            for _ in 0..3 * limits::ANSWER_BYTES_MAX / payload.len() {
                reader.read_exact(&mut answer).await.unwrap();
            }
        };
        let both = async { tokio::join!(sent, received) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        client.ended.close();
    });
}

#[test]
fn half_a_frame_and_silence_are_given_up() {
    run(async {
        let begun = Instant::now();
        let mut client = connect(&Echo::default(), 1 << 10);
        client.pipe.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        assert!(matches!(client.ended.await, Ok(Ended::FrameTimeout)));
        assert!(begun.elapsed() < limits::FRAME_TIMEOUT + Duration::from_secs(1));
    });
    run(async {
        let mut client = connect(&Echo::default(), 1 << 10);
        client.send(b"a").await;
        client.receive().await;
        let begun = Instant::now();
        assert!(matches!(client.ended.await, Ok(Ended::Idle)));
        assert!(begun.elapsed() >= limits::IDLE_TIMEOUT - Duration::from_secs(1));
    });
}

#[test]
fn a_parked_request_is_not_idle() {
    run(async {
        let echo = Echo::default();
        let mut client = connect(&echo, 1 << 10);
        client.send(b"wait").await;
        tokio::time::sleep(limits::IDLE_TIMEOUT * 3).await;
        echo.bell.notify_one();
        assert_eq!(client.receive().await, b"wait");
    });
}

#[test]
fn half_received_frames_count_and_are_given_up_in_time() {
    const FRAME: usize = 2 << 20;
    run(async {
        let (echo, budget) = (Echo::default(), RequestBudget::new(1 << 20));
        let begun = Instant::now();
        let taken = Rc::new(Cell::new(0));
        let mut ends = Vec::new();
        for _ in 0..8 {
            let mut client = connect_within(&echo, 1 << 10, &budget);
            ends.push(client.ended);
            let taken = Rc::clone(&taken);
            tokio::task::spawn_local(async move {
                client.pipe.write_all(&(FRAME as u32).to_be_bytes()).await.unwrap();
                // Everything but the last byte.
                for _ in 0..FRAME / 1_024 - 1 {
                    if client.pipe.write_all(&[0; 1_024]).await.is_err() {
                        return;
                    }
                    taken.set(taken.get() + 1_024);
                }
                std::future::pending::<()>().await;
            });
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(taken.get() <= 2 * FRAME, "{} bytes of half frames were taken in", taken.get());
        let mut client = connect_within(&echo, 1 << 10, &budget);
        client.send(b"a").await;
        assert_eq!(client.receive().await, b"a");
        assert!(begun.elapsed() < limits::FRAME_TIMEOUT + Duration::from_secs(1));
        for ended in ends {
            assert!(matches!(ended.await, Ok(Ended::FrameTimeout)));
        }
        assert!(begun.elapsed() < 2 * limits::FRAME_TIMEOUT + Duration::from_secs(1));
    });
}
