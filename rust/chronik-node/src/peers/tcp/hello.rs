//! The first frames of a peer connection: both sides say who they are before anything else is believed.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use chronik_wire::types::NodeId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::limits;

const MAGIC: u32 = 0x4348_524b;
/// Version of the peer protocol. Nodes of different versions refuse each other.
const PROTOCOL_VERSION: u16 = 2;
/// Magic and version, which every version begins with.
const MAGIC_BYTES: usize = 4 + 2;
/// Everything but the address.
const HELLO_BYTES_MIN: usize = 4 + 2 + 1 + 16 + 16 + 4 + 4 + 8 + 2;

/// Whom a caller names who does not know yet who lives at the address: it has a question instead of messages.
pub(crate) const ANYBODY: NodeId = NodeId(-1);

/// What one side says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Names the cluster as its configuration does: nodes of another one must not get in.
    pub(crate) cluster_key: u128,
    /// Stands for the id that the cluster gave itself, as [`key_of`] makes it; 0 while the speaker has not heard it.
    pub(crate) cluster_id: u128,
    /// The speaker.
    pub(crate) from: NodeId,
    /// Whom the speaker takes the listener for.
    pub(crate) to: NodeId,
    /// The speaker's start number.
    pub(crate) incarnation: u64,
    /// `host:port` where the speaker is called; empty if there is no such place.
    pub(crate) address: String,
    /// The listener was removed from the cluster and should end.
    pub(crate) removed: bool,
}

/// A number for a text: the same on every node for the same text, which is all it has to be (FNV-1a).
pub(crate) fn key_of(text: &str) -> u128 {
    let hash = |key: u128, byte: u8| {
        (key ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    };
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, hash)
}

/// A peer connection was not established.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    /// The socket failed.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// Not a node at all.
    #[error("the other side does not speak the peer protocol; is the address a raft address?")]
    NotAPeer,
    /// Another version.
    #[error(
        "the peer speaks version {theirs} of the peer protocol, this node {PROTOCOL_VERSION}; run the same release on both"
    )]
    Version {
        /// The peer's.
        theirs: u16,
    },
    /// Another cluster.
    #[error("node {from} belongs to another cluster; check the peer addresses of both")]
    ForeignCluster {
        /// Who called.
        from: NodeId,
    },
    /// This node does not belong to the cluster any more.
    #[error("the cluster has removed this node")]
    Removed,
    /// The caller does not belong to the cluster any more.
    #[error(
        "node {from} calls, which the cluster has removed; stop it, or start it on an empty disk to join"
    )]
    CallerRemoved {
        /// Who called.
        from: NodeId,
    },
    /// Another process has the caller's id.
    #[error("node {from} runs already, at {address}; give each node an id of its own")]
    IdInUse {
        /// Who called.
        from: NodeId,
        /// Where the other one is called.
        address: String,
    },
    /// A node that the cluster does not know, and that cannot be called.
    #[error("node {from} is not known and names no address to call it at")]
    Unknown {
        /// Who called.
        from: NodeId,
    },
    /// More nodes want to join at a time than a node attends to.
    #[error("{0} nodes are joining already")]
    TooManyNewcomers(usize),
    /// Somebody else lives at the address.
    #[error("node {theirs} answers where node {expected} was expected; check the peer addresses")]
    WrongNode {
        /// Who was meant.
        expected: NodeId,
        /// Who is there.
        theirs: NodeId,
    },
}

impl Hello {
    /// Says it.
    pub(crate) async fn send(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = HELLO_BYTES_MIN + self.address.len();
        let mut bytes = BytesMut::with_capacity(4 + length);
        bytes.put_u32(length as u32);
        bytes.put_u32(MAGIC);
        bytes.put_u16(PROTOCOL_VERSION);
        bytes.put_u8(u8::from(self.removed));
        bytes.put_u128(self.cluster_key);
        bytes.put_u128(self.cluster_id);
        bytes.put_i32(self.from.0);
        bytes.put_i32(self.to.0);
        bytes.put_u64(self.incarnation);
        bytes.put_u16(self.address.len() as u16);
        bytes.put_slice(self.address.as_bytes());
        stream.write_all(&bytes).await
    }

    /// Hears the other side out. The frame is bounded before anything is known of it.
    pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, HelloError> {
        let length = stream.read_u32().await? as usize;
        if !(MAGIC_BYTES..=limits::PEER_HELLO_BYTES_MAX).contains(&length) {
            return Err(HelloError::NotAPeer);
        }
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await?;
        let mut frame = frame.as_slice();
        if frame.get_u32() != MAGIC {
            return Err(HelloError::NotAPeer);
        }
        let theirs = frame.get_u16();
        if theirs != PROTOCOL_VERSION {
            return Err(HelloError::Version { theirs });
        }
        if length < HELLO_BYTES_MIN {
            return Err(HelloError::NotAPeer);
        }
        Ok(Hello {
            removed: frame.get_u8() != 0,
            cluster_key: frame.get_u128(),
            cluster_id: frame.get_u128(),
            from: NodeId(frame.get_i32()),
            to: NodeId(frame.get_i32()),
            incarnation: frame.get_u64(),
            address: {
                let length = usize::from(frame.get_u16());
                let bytes = frame.get(..length).ok_or(HelloError::NotAPeer)?;
                String::from_utf8(bytes.to_vec()).map_err(|_| HelloError::NotAPeer)?
            },
        })
    }

    /// Whether the other side is whom this one expects.
    pub(crate) fn check(&self, theirs: &Hello) -> Result<(), HelloError> {
        let known = self.cluster_id != 0 && theirs.cluster_id != 0;
        if theirs.cluster_key != self.cluster_key || (known && theirs.cluster_id != self.cluster_id) {
            return Err(HelloError::ForeignCluster { from: theirs.from });
        }
        if theirs.removed {
            return Err(HelloError::Removed);
        }
        if theirs.to != self.from && theirs.to != ANYBODY {
            return Err(HelloError::WrongNode { expected: theirs.to, theirs: self.from });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(from: i32, to: i32) -> Hello {
        Hello {
            cluster_key: 7,
            cluster_id: 0,
            from: NodeId(from),
            to: NodeId(to),
            incarnation: 3,
            address: "host:5001".to_owned(),
            removed: false,
        }
    }

    fn received(bytes: &[u8]) -> Result<Hello, HelloError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Hello::receive(&mut &bytes[..]))
    }

    fn said(hello: &Hello) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = Vec::new();
        runtime.block_on(hello.send(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn a_hello_is_understood() {
        for address in ["", "host:5001", "[::1]:5001"] {
            let hello = Hello { address: address.to_owned(), cluster_id: key_of("id"), ..hello(1, 2) };
            assert_eq!(received(&said(&hello)).unwrap(), hello);
        }
    }

    #[test]
    fn strangers_are_told_apart() {
        let (me, back) = (hello(1, 2), hello(2, 1));
        assert!(me.check(&back).is_ok());
        let foreign = Hello { cluster_key: 8, ..back.clone() };
        assert!(matches!(me.check(&foreign), Err(HelloError::ForeignCluster { from: NodeId(2) })));
        let lost = Hello { to: NodeId(3), ..back.clone() };
        assert!(matches!(me.check(&lost), Err(HelloError::WrongNode { expected: NodeId(3), .. })));
        let removed = Hello { removed: true, ..back };
        assert!(matches!(me.check(&removed), Err(HelloError::Removed)));
    }

    #[test]
    fn clusters_of_one_name_are_told_apart_by_their_ids_once_they_have_one() {
        let with = |from, to, id: &str| Hello { cluster_id: key_of(id), ..hello(from, to) };
        assert!(with(1, 2, "a").check(&with(2, 1, "a")).is_ok());
        assert!(with(1, 2, "a").check(&hello(2, 1)).is_ok(), "it has not heard the id yet");
        assert!(hello(1, 2).check(&with(2, 1, "a")).is_ok());
        assert!(with(1, 2, "a").check(&with(2, 1, "b")).is_err());
    }

    #[test]
    fn other_protocols_and_versions_are_refused() {
        assert!(matches!(received(b"GET / HTTP/1.1\r\n\r\n"), Err(HelloError::NotAPeer)));
        assert!(matches!(received(&[0, 0, 0, 40]), Err(HelloError::Socket(_))));
        let mut newer = said(&hello(1, 2));
        newer[9] = 9;
        assert!(matches!(received(&newer), Err(HelloError::Version { theirs: 9 })));
        let mut longer = said(&hello(1, 2));
        let at = longer.len() - "host:5001".len() - 1;
        longer[at] = 200;
        assert!(matches!(received(&longer), Err(HelloError::NotAPeer)));
    }
}
