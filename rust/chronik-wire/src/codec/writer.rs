//! The writer: a list of pieces, so that record bytes leave by vectored write without having been copied.
//!
//! Small fields gather in one buffer; byte strings of [`SHARE_BYTES`] and more are appended as shared handles.

use bytes::{BufMut, Bytes, BytesMut};

use super::EncodeError;
use crate::limits::SHARE_BYTES;

const LENGTH_PREFIX_BYTES: usize = 4;

/// Writes one message, or one frame, from front to back.
#[derive(Debug, Default)]
pub struct Writer {
    /// Finished pieces. While `head` is set, the first is a placeholder for it.
    pieces: Vec<Bytes>,
    /// Bytes in `pieces` and `head`.
    finished_bytes: usize,
    /// Small fields since the last shared piece.
    tail: BytesMut,
    /// Whether the first four bytes are a frame length that is filled in at the end.
    framed: bool,
    /// The first small piece of a frame, kept writable for its length.
    head: Option<BytesMut>,
}

macro_rules! fixed_width {
    ($($(#[$meta:meta])* $name:ident($type:ty);)*) => {
        $($(#[$meta])*
        pub fn $name(&mut self, value: $type) {
            self.tail.$name(value);
        })*
    };
}

impl Writer {
    /// A writer for bytes without a frame around them.
    pub fn new() -> Self {
        Writer::default()
    }

    /// A writer whose pieces begin with a 4-byte frame length.
    pub fn framed() -> Self {
        let mut writer = Writer { framed: true, tail: BytesMut::with_capacity(256), ..Writer::default() };
        writer.tail.put_bytes(0, LENGTH_PREFIX_BYTES);
        writer
    }

    /// Bytes written, a frame's length field included.
    pub fn len(&self) -> usize {
        self.finished_bytes + self.tail.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fixed_width! {
        /// Appends an 8-bit integer.
        put_i8(i8);
        /// Appends an unsigned 8-bit integer.
        put_u8(u8);
        /// Appends a 16-bit integer.
        put_i16(i16);
        /// Appends an unsigned 16-bit integer.
        put_u16(u16);
        /// Appends a 32-bit integer.
        put_i32(i32);
        /// Appends an unsigned 32-bit integer.
        put_u32(u32);
        /// Appends a 64-bit integer.
        put_i64(i64);
        /// Appends a 128-bit integer, the form of a UUID.
        put_u128(u128);
        /// Appends a 64-bit floating point number.
        put_f64(f64);
    }

    /// Appends bytes by copying them.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.tail.put_slice(bytes);
    }

    /// Appends bytes, sharing them from [`SHARE_BYTES`] on.
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_BYTES {
            self.tail.put_slice(bytes);
        } else {
            self.close_tail();
            self.finished_bytes += bytes.len();
            self.pieces.push(bytes.clone());
        }
    }

    /// Appends an unsigned varint.
    pub fn put_unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.tail.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.tail.put_u8(value as u8);
    }

    /// Appends the length of a string that is there: 16 bits, or a varint of length + 1.
    pub fn put_string_length(&mut self, length: usize, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.put_compact_length(length);
        }
        let short =
            i16::try_from(length).map_err(|_| EncodeError::TooLong { length, max: i16::MAX as usize })?;
        self.put_i16(short);
        Ok(())
    }

    /// Appends the length of an array or byte string that is there: 32 bits, or a varint of length + 1.
    pub fn put_length(&mut self, length: usize, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.put_compact_length(length);
        }
        self.put_i32(i32_length(length)?);
        Ok(())
    }

    /// Appends one tagged field: tag, size and what `content` writes.
    pub fn put_tagged(
        &mut self,
        tag: u32,
        content: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut inner = Writer::new();
        content(&mut inner)?;
        self.put_unsigned_varint(tag);
        self.put_unsigned_varint(i32_length(inner.len())? as u32);
        for piece in inner.finish() {
            self.put_bytes(&piece);
        }
        Ok(())
    }

    /// The pieces of a writer made by [`Writer::new`].
    pub fn finish(mut self) -> Vec<Bytes> {
        self.close_tail();
        self.pieces
    }

    /// The pieces of a writer made by [`Writer::framed`], with the frame's length filled in.
    pub fn finish_frame(mut self) -> Result<Vec<Bytes>, EncodeError> {
        let length = i32_length(self.len().saturating_sub(LENGTH_PREFIX_BYTES))?;
        self.close_tail();
        if let (Some(mut head), Some(first)) = (self.head.take(), self.pieces.first_mut()) {
            if let Some(prefix) = head.first_chunk_mut::<LENGTH_PREFIX_BYTES>() {
                *prefix = length.to_be_bytes();
            }
            *first = head.freeze();
        }
        Ok(self.pieces)
    }

    fn put_compact_length(&mut self, length: usize) -> Result<(), EncodeError> {
        self.put_unsigned_varint(i32_length(length)? as u32 + 1);
        Ok(())
    }

    fn close_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let piece = self.tail.split();
        self.finished_bytes += piece.len();
        if self.framed && self.head.is_none() {
            self.head = Some(piece);
            self.pieces.push(Bytes::new());
        } else {
            self.pieces.push(piece.freeze());
        }
    }
}

fn i32_length(length: usize) -> Result<i32, EncodeError> {
    i32::try_from(length).map_err(|_| EncodeError::TooLong { length, max: i32::MAX as usize })
}
