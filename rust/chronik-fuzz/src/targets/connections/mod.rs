//! Scripts of client connections, without a socket: frames split and merged by the way bytes arrive, pipelined, too
//! large, cut off, of other protocols; answers that the client takes in its own time. And the first frame of a peer.
//!
//! What comes out is compared with the same bytes cut into frames at once: the same requests start in the same order,
//! none beside another but produces beside produces, and every answer leaves whole and in order.

mod stream;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use chronik_broker::{CloseReason, RequestClass};
use chronik_node::testing::{Execution, hear_peer, serve_client};
use chronik_wire::frame::{self, FrameError, FrameLimits};

use self::stream::{Pace, Script};
use crate::Verdict;
use crate::input::Input;
use crate::memory::within;

/// What a connection, its buffers and its runtime take by themselves.
const CONNECTION_BYTES: usize = 1 << 20;
/// A large frame's buffer may run ahead of the bytes that came, a service holds copies, and so does this test.
const BYTES_PER_BYTE: usize = 32;
/// Most bytes that a script makes up.
const STREAM_BYTES_MAX: usize = 1 << 18;

/// First bytes of frames with a meaning for the service.
const PRODUCE: u8 = b'p';
const SILENT: u8 = b's';
const CLOSES: u8 = b'x';

/// The first byte chooses the door, the next ones the pace of both directions, and the rest is the script.
pub fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without sockets needs no more than memory");
    if input.byte() & 1 == 1 {
        let bytes = input.rest();
        let heard = within("a hello", CONNECTION_BYTES, || runtime.block_on(hear_peer(bytes)));
        return Verdict::accepted(heard.is_ok());
    }
    let (reading, writing) = (Pace::from_input(&mut input), Pace::from_input(&mut input));
    let bytes = made_up(&mut input);
    let expected = Expected::of(&bytes);
    let allowed = CONNECTION_BYTES + BYTES_PER_BYTE * bytes.len();
    within("a connection", allowed, || {
        let served = Served::default();
        let script = Script::new(&bytes, expected.answer_bytes(), reading, writing);
        let written = script.written();
        let end = runtime.block_on(serve_client(script, class, |frame| served.execute(frame)));
        expected.check(&end, &served.started.borrow(), &written.borrow());
    });
    Verdict::accepted(expected.refused.is_none() && !expected.answers.is_empty())
}

/// The bytes of a client: small and large frames, raw bytes, and lengths that promise more than comes.
fn made_up(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !input.is_empty() && bytes.len() < STREAM_BYTES_MAX {
        match input.byte() % 8 {
            0..=4 => {
                let length = usize::from(input.byte());
                let body = input.take(length);
                bytes.extend((body.len() as u32).to_be_bytes());
                bytes.extend(body);
            }
            5 => {
                let length = 1 + 4 * usize::from(input.u16());
                bytes.extend((length as u32).to_be_bytes());
                bytes.push(input.byte());
                bytes.resize(bytes.len() + length - 1, input.byte());
            }
            6 => {
                let length = usize::from(input.byte());
                bytes.extend(input.take(length));
            }
            _ => bytes.extend((input.u64() as u32).to_be_bytes()),
        }
    }
    bytes
}

/// What the connection must come to.
struct Expected {
    frames: Vec<Bytes>,
    /// The answers, framed, up to the first frame that closes.
    answers: Vec<u8>,
    closes: bool,
    refused: Option<FrameError>,
    /// Half a frame is left at the end.
    partial: bool,
}

impl Expected {
    fn of(bytes: &[u8]) -> Expected {
        let mut rest = BytesMut::from(bytes);
        let mut expected = Expected {
            frames: Vec::new(),
            answers: Vec::new(),
            closes: false,
            refused: None,
            partial: false,
        };
        loop {
            match frame::next_frame(&mut rest, &FrameLimits::DEFAULT) {
                Ok(Some(frame)) => expected.take(frame),
                Ok(None) => break,
                Err(error) => {
                    expected.refused = Some(error);
                    break;
                }
            }
        }
        expected.partial = !rest.is_empty();
        expected
    }

    fn take(&mut self, frame: Bytes) {
        self.closes |= frame.first() == Some(&CLOSES);
        if !self.closes && frame.first() != Some(&SILENT) {
            self.answers.extend((frame.len() as u32).to_be_bytes());
            self.answers.extend(&frame);
        }
        self.frames.push(frame);
    }

    /// Bytes of answers after which the client hangs up; `None` if it waits for the other side to do so.
    fn answer_bytes(&self) -> Option<usize> {
        let hangs_up = !self.closes && !self.partial && self.refused.is_none();
        hangs_up.then_some(self.answers.len())
    }

    fn check(&self, end: &str, started: &[Bytes], written: &[u8]) {
        assert!(self.frames.starts_with(started), "requests started that nobody sent, or in another order");
        assert!(self.answers.starts_with(written), "answers that nobody asked for, or in another order");
        if let Some(error) = self.refused {
            // Whether a request that closes was answered before the bad length was seen depends on the pace.
            assert!(end == error.to_string() || self.closes, "{end}, not {error}");
            return;
        }
        assert_eq!(written.len(), self.answers.len(), "answers are missing; ended: {end}");
        let expected = if self.closes {
            "told to"
        } else if self.partial {
            "a frame did not arrive within"
        } else {
            "the client closed the connection"
        };
        assert!(end.starts_with(expected), "ended: {end}; expected: {expected}");
    }
}

fn class(frame: &Bytes) -> RequestClass {
    if frame.first() == Some(&PRODUCE) { RequestClass::Produce } else { RequestClass::Ordered }
}

/// A service that answers with the frame, after as many polls as its second byte says.
#[derive(Default)]
struct Served {
    started: RefCell<Vec<Bytes>>,
    running: Rc<RefCell<Vec<RequestClass>>>,
}

impl Served {
    fn execute(&self, frame: Bytes) -> Execution {
        let class = class(&frame);
        let others_are_produces = self.running.borrow().iter().all(|other| *other == RequestClass::Produce);
        let alone = self.running.borrow().is_empty();
        assert!(alone || (class == RequestClass::Produce && others_are_produces), "a request was overtaken");
        self.started.borrow_mut().push(frame.clone());
        self.running.borrow_mut().push(class);
        let running = Rc::clone(&self.running);
        let mut polls = frame.get(1).map_or(0, |polls| polls % 4);
        Box::pin(async move {
            poll_fn(|context| {
                if polls == 0 {
                    return Poll::Ready(());
                }
                polls -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            let position = running.borrow().iter().position(|other| *other == class);
            running.borrow_mut().remove(position.expect("it runs"));
            match frame.first() {
                Some(&CLOSES) => Err(CloseReason::Unanswerable("told to")),
                Some(&SILENT) => Ok(None),
                _ => Ok(Some(vec![frame])),
            }
        })
    }
}

/// Pipelined requests at several paces, a large frame, foreign protocols, half a frame, a hello, and one with a question.
pub fn seeds() -> Vec<Vec<u8>> {
    let frame = |body: &[u8]| [&[0, body.len() as u8][..], body].concat();
    let pipelined = [&b"a"[..], b"p\x02", b"p\x01", b"p", b"b\x03", b"s", b"", b"p\x03", b"c"];
    let pipelined: Vec<u8> = pipelined.iter().flat_map(|body| frame(body)).collect();
    let large = [5, 0x50, 0, b'p', 7];
    let script = |paces: [u8; 4], script: &[u8]| [&[0][..], &paces, script].concat();
    let hello = |to: [u8; 4]| {
        let head = [&[1, 0, 0, 0, 60][..], b"CHRK\0\x02\0", &[7; 16], &[0; 16], &[0, 0, 0, 1]].concat();
        [&head[..], &to, &[3; 8], &[0, 3], b"h:1"].concat()
    };
    let question = [&hello([0xff; 4])[..], &[0, 0, 0, 5, 1, 0, 0, 0, 4]].concat();
    vec![
        script([0, 0, 0, 0], &pipelined),
        script([1, 3, 2, 5], &pipelined),
        script([200, 0, 9, 1], &[&large[..], &pipelined, &large].concat()),
        script([0, 0, 0, 0], &[&pipelined[..], &frame(b"x"), &pipelined].concat()),
        script([0, 0, 0, 0], &[&pipelined[..], &[6, 5], b"GET /"].concat()),
        script([0, 0, 0, 0], &[&pipelined[..], &[7, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat()),
        script([0, 0, 0, 0], &[&pipelined[..], &[7, 0, 0, 0, 0, 0, 0, 0, 99]].concat()),
        hello([0, 0, 0, 2]),
        question,
    ]
}
