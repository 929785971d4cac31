//! The first frames of a peer connection: both sides say who they are before anything else is believed.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use chronik_wire::types::NodeId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::limits;

const MAGIC: u32 = 0x4348_524b;
/// Version of the peer protocol. Nodes of different versions refuse each other.
const PROTOCOL_VERSION: u16 = 1;
const HELLO_BYTES: usize = 4 + 2 + 16 + 4 + 4 + 8;

/// What one side says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Names the cluster: nodes of another one must not get in.
    pub(crate) cluster_key: u128,
    /// The speaker.
    pub(crate) from: NodeId,
    /// Whom the speaker takes the listener for.
    pub(crate) to: NodeId,
    /// The speaker's start number.
    pub(crate) incarnation: u64,
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
        let mut bytes = BytesMut::with_capacity(4 + HELLO_BYTES);
        bytes.put_u32(HELLO_BYTES as u32);
        bytes.put_u32(MAGIC);
        bytes.put_u16(PROTOCOL_VERSION);
        bytes.put_u128(self.cluster_key);
        bytes.put_i32(self.from.0);
        bytes.put_i32(self.to.0);
        bytes.put_u64(self.incarnation);
        stream.write_all(&bytes).await
    }

    /// Hears the other side out. The frame is bounded before anything is known of it.
    pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, HelloError> {
        let length = stream.read_u32().await? as usize;
        if !(HELLO_BYTES..=limits::PEER_HELLO_BYTES_MAX).contains(&length) {
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
        Ok(Hello {
            cluster_key: frame.get_u128(),
            from: NodeId(frame.get_i32()),
            to: NodeId(frame.get_i32()),
            incarnation: frame.get_u64(),
        })
    }

    /// Whether the other side is whom this one expects.
    pub(crate) fn check(&self, theirs: &Hello) -> Result<(), HelloError> {
        if theirs.cluster_key != self.cluster_key {
            return Err(HelloError::ForeignCluster { from: theirs.from });
        }
        if theirs.to != self.from {
            return Err(HelloError::WrongNode { expected: theirs.to, theirs: self.from });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Hello = Hello { cluster_key: 7, from: NodeId(1), to: NodeId(2), incarnation: 3 };

    fn received(bytes: &[u8]) -> Result<Hello, HelloError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Hello::receive(&mut &bytes[..]))
    }

    fn said(hello: Hello) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = Vec::new();
        runtime.block_on(hello.send(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn a_hello_is_understood() {
        assert_eq!(received(&said(ME)).unwrap(), ME);
    }

    #[test]
    fn strangers_are_told_apart() {
        let back = Hello { cluster_key: 7, from: NodeId(2), to: NodeId(1), incarnation: 9 };
        assert!(ME.check(&back).is_ok());
        let foreign = Hello { cluster_key: 8, ..back };
        assert!(matches!(ME.check(&foreign), Err(HelloError::ForeignCluster { from: NodeId(2) })));
        let lost = Hello { to: NodeId(3), ..back };
        assert!(matches!(ME.check(&lost), Err(HelloError::WrongNode { expected: NodeId(3), .. })));
    }

    #[test]
    fn other_protocols_and_versions_are_refused() {
        assert!(matches!(received(b"GET / HTTP/1.1\r\n\r\n"), Err(HelloError::NotAPeer)));
        assert!(matches!(received(&[0, 0, 0, 40]), Err(HelloError::Socket(_))));
        let mut newer = said(ME);
        newer[9] = 9;
        assert!(matches!(received(&newer), Err(HelloError::Version { theirs: 9 })));
    }
}
