//! What is asked of a running cluster by somebody who does not belong to it: who are you, and remove that node.
//!
//! A caller who names nobody in particular in its hello has one question, gets one answer, and is left. Owns the form of
//! both, which is bounded, and the asking; what is answered is decided where the question arrives.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_log::Members;
use chronik_log::limits::IDENTITY_MEMBERS_MAX;
use chronik_wire::types::{DirectoryId, NodeId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Hello, HelloError};
use crate::limits;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// "Which disks was the cluster founded with, and where are its nodes?"
    Join,
    /// "Take this node out of the cluster."
    Remove(NodeId),
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To `Join`.
    Welcome {
        /// The disks that the cluster was founded with.
        founders: Members,
        /// `host:port` of the peer listener of every node, that of who answers left out.
        nodes: BTreeMap<NodeId, String>,
    },
    /// To `Remove`: nobody counts on the node any more.
    Removed,
    /// The answer is no, now at least, for this reason.
    No(String),
}

const KIND_JOIN: u8 = 0;
const KIND_REMOVE: u8 = 1;
const KIND_WELCOME: u8 = 0;
const KIND_REMOVED: u8 = 1;
const KIND_NO: u8 = 2;

impl Question {
    /// How long the answer may take.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Question::Join => limits::PEER_QUESTION_TIMEOUT,
            Question::Remove(_) => limits::DRAIN_TIMEOUT + limits::PEER_QUESTION_TIMEOUT,
        }
    }

    /// Asks it.
    pub(crate) async fn send(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        match self {
            Question::Join => bytes.put_u8(KIND_JOIN),
            Question::Remove(node) => {
                bytes.put_u8(KIND_REMOVE);
                bytes.put_i32(node.0);
            }
        }
        send_frame(stream, &bytes).await
    }

    /// Hears it.
    pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Question, HelloError> {
        let mut bytes = receive_frame(stream).await?;
        let question = match bytes.try_get_u8().ok() {
            Some(KIND_JOIN) => Some(Question::Join),
            Some(KIND_REMOVE) => bytes.try_get_i32().ok().map(|node| Question::Remove(NodeId(node))),
            _ => None,
        };
        question.ok_or(HelloError::NotAPeer)
    }
}

impl Answer {
    /// Gives it.
    pub(crate) async fn send(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        match self {
            Answer::Welcome { founders, nodes } => {
                bytes.put_u8(KIND_WELCOME);
                bytes.put_u32(founders.len() as u32);
                for (node, directory) in founders {
                    bytes.put_i32(node.0);
                    bytes.put_u128(directory.0);
                }
                bytes.put_u32(nodes.len() as u32);
                for (node, address) in nodes {
                    bytes.put_i32(node.0);
                    put_text(&mut bytes, address);
                }
            }
            Answer::Removed => bytes.put_u8(KIND_REMOVED),
            Answer::No(reason) => {
                bytes.put_u8(KIND_NO);
                put_text(&mut bytes, reason);
            }
        }
        send_frame(stream, &bytes).await
    }

    /// Hears it.
    pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Answer, HelloError> {
        decode(receive_frame(stream).await?).ok_or(HelloError::NotAPeer)
    }
}

/// Asks whoever lives at `address`; who answered, and what. `own` says who asks, and names nobody.
pub(crate) async fn ask(
    address: &str,
    own: Hello,
    question: &Question,
) -> Result<(NodeId, Answer), HelloError> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        own.send(&mut stream).await?;
        question.send(&mut stream).await?;
        let theirs = Hello::receive(&mut stream).await?;
        own.check(&theirs)?;
        Ok((theirs.from, Answer::receive(&mut stream).await?))
    };
    let late = |_| Err(HelloError::Socket(io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(question.patience(), exchange).await.unwrap_or_else(late)
}

async fn send_frame(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let mut frame = BytesMut::with_capacity(4 + bytes.len());
    frame.put_u32(bytes.len() as u32);
    frame.put_slice(bytes);
    stream.write_all(&frame).await
}

async fn receive_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, HelloError> {
    let length = stream.read_u32().await? as usize;
    if length > limits::PEER_ANSWER_BYTES_MAX {
        return Err(HelloError::NotAPeer);
    }
    // Grows as bytes arrive, never ahead of them.
    let mut frame = Vec::new();
    stream.take(length as u64).read_to_end(&mut frame).await?;
    if frame.len() < length {
        return Err(HelloError::Socket(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(frame.into())
}

fn put_text(bytes: &mut BytesMut, text: &str) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    bytes.put_u16(end as u16);
    bytes.put_slice(&text.as_bytes()[..end]);
}

fn get_text(bytes: &mut Bytes) -> Option<String> {
    let length = usize::from(bytes.try_get_u16().ok()?);
    let text = (length <= bytes.remaining()).then(|| bytes.split_to(length))?;
    String::from_utf8(text.to_vec()).ok()
}

fn decode(mut bytes: Bytes) -> Option<Answer> {
    Some(match bytes.try_get_u8().ok()? {
        KIND_WELCOME => {
            let mut founders = Members::new();
            for _ in 0..bytes.try_get_u32().ok()? {
                let node = NodeId(bytes.try_get_i32().ok()?);
                founders.insert(node, DirectoryId(bytes.try_get_u128().ok()?));
            }
            let mut nodes = BTreeMap::new();
            for _ in 0..bytes.try_get_u32().ok()? {
                let node = NodeId(bytes.try_get_i32().ok()?);
                nodes.insert(node, get_text(&mut bytes)?);
            }
            (founders.len() <= IDENTITY_MEMBERS_MAX).then_some(Answer::Welcome { founders, nodes })?
        }
        KIND_REMOVED => Answer::Removed,
        KIND_NO => Answer::No(get_text(&mut bytes)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        let founders = prop::collection::btree_map(
            any::<i32>().prop_map(NodeId),
            any::<u128>().prop_map(DirectoryId),
            0..5,
        );
        let nodes = prop::collection::btree_map(any::<i32>().prop_map(NodeId), "[a-z.:0-9]{0,40}", 0..5);
        prop_oneof![
            (founders, nodes).prop_map(|(founders, nodes)| Answer::Welcome { founders, nodes }),
            Just(Answer::Removed),
            ".{0,60}".prop_map(Answer::No),
        ]
    }

    proptest! {
        #[test]
        fn every_question_and_answer_is_understood(answer in any_answer(), node in any::<i32>()) {
            let mut bytes = Vec::new();
            run(answer.send(&mut bytes)).unwrap();
            prop_assert_eq!(run(Answer::receive(&mut &bytes[..])).unwrap(), answer);
            for question in [Question::Join, Question::Remove(NodeId(node))] {
                let mut bytes = Vec::new();
                run(question.send(&mut bytes)).unwrap();
                prop_assert_eq!(run(Question::receive(&mut &bytes[..])).unwrap(), question);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = run(Answer::receive(&mut &bytes[..]));
            let _ = run(Question::receive(&mut &bytes[..]));
            let _ = decode(bytes.into());
        }
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let refused = run(Answer::receive(&mut &u32::MAX.to_be_bytes()[..]));
        assert!(matches!(refused, Err(HelloError::NotAPeer)), "{refused:?}");
    }
}
