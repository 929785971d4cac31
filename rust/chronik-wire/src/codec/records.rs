//! The records of one partition in a Fetch response: pieces that are shared, not joined.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::{DecodeError, EncodeError, Field, Layout, Reader, Writer};

/// Record batches as a rope. Cloning copies no record bytes. Encoded as empty, never as null, when nothing is in it:
/// null records crash clients.
#[derive(Clone, Default)]
pub struct Records {
    pieces: Vec<Bytes>,
    byte_count: usize,
}

impl Records {
    /// No records.
    pub const EMPTY: Records = Records { pieces: Vec::new(), byte_count: 0 };

    /// Appends whole batches. Empty pieces are dropped.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.byte_count += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Bytes in all pieces together.
    pub fn len(&self) -> usize {
        self.byte_count
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.byte_count == 0
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// All bytes in one piece; copies only when there are several.
    pub fn to_bytes(&self) -> Bytes {
        if let [only] = self.pieces.as_slice() {
            return only.clone();
        }
        let mut joined = BytesMut::with_capacity(self.byte_count);
        for piece in &self.pieces {
            joined.extend_from_slice(piece);
        }
        joined.freeze()
    }
}

impl From<Bytes> for Records {
    fn from(piece: Bytes) -> Self {
        let mut records = Records::EMPTY;
        records.push(piece);
        records
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut records = Records::EMPTY;
        for piece in pieces {
            records.push(piece);
        }
        records
    }
}

impl PartialEq for Records {
    /// Equal bytes, however they are cut into pieces.
    fn eq(&self, other: &Self) -> bool {
        fn bytes(records: &Records) -> impl Iterator<Item = &u8> {
            records.pieces.iter().flatten()
        }
        self.byte_count == other.byte_count && bytes(self).eq(bytes(other))
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} bytes in {} pieces)", self.byte_count, self.pieces.len())
    }
}

impl Field for Records {
    fn smallest(layout: Layout) -> usize {
        Bytes::smallest(layout)
    }

    fn read(reader: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let bytes = Option::<Bytes>::read(reader, layout.with_nullable(true))?;
        Ok(bytes.map(Records::from).unwrap_or_default())
    }

    fn write(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        writer.put_length(self.byte_count, layout.flexible)?;
        for piece in &self.pieces {
            writer.put_bytes(piece);
        }
        Ok(())
    }
}
