//! The bounded reader: every length is checked against the bytes that are left before anything is allocated.
//!
//! Owns the unread rest of one frame and the frame's memory budget. Byte fields come out as slices that share the
//! frame's buffer. Must not trust any number it reads.

use bytes::{Buf, Bytes};

use super::{DecodeError, DecodeErrorKind};
use crate::limits::{DECODE_BYTES_FLOOR, DECODE_BYTES_PER_FRAME_BYTE, MAX_TAGGED_FIELDS};

/// Reads one frame from front to back.
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
    /// Bytes of memory that decoded arrays and strings may still take.
    budget: usize,
    /// Structure and field being read, for error texts.
    at: &'static str,
}

macro_rules! fixed_width {
    ($($(#[$meta:meta])* $name:ident -> $type:ty, $get:ident;)*) => {
        $($(#[$meta])*
        pub fn $name(&mut self) -> Result<$type, DecodeError> {
            let remaining = self.rest.len();
            self.rest.$get().map_err(|_| {
                self.error(DecodeErrorKind::Truncated { needed: size_of::<$type>(), remaining })
            })
        })*
    };
}

impl Reader {
    /// A reader over a frame, with the memory budget of a frame of this size.
    pub fn new(frame: Bytes) -> Self {
        let budget =
            frame.len().saturating_mul(DECODE_BYTES_PER_FRAME_BYTE).saturating_add(DECODE_BYTES_FLOOR);
        Reader { rest: frame, budget, at: "frame" }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes not read yet, sharing the frame's buffer.
    pub fn into_rest(self) -> Bytes {
        self.rest
    }

    /// Names the structure and field read next, for error texts.
    pub fn at(&mut self, at: &'static str) {
        self.at = at;
    }

    /// An error at the present field.
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { at: self.at, kind }
    }

    /// Fails if bytes are left: a message must fill its frame.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            surplus => Err(self.error(DecodeErrorKind::SurplusBytes { surplus })),
        }
    }

    fixed_width! {
        /// Reads an 8-bit integer.
        read_i8 -> i8, try_get_i8;
        /// Reads an unsigned 8-bit integer.
        read_u8 -> u8, try_get_u8;
        /// Reads a 16-bit integer.
        read_i16 -> i16, try_get_i16;
        /// Reads an unsigned 16-bit integer.
        read_u16 -> u16, try_get_u16;
        /// Reads a 32-bit integer.
        read_i32 -> i32, try_get_i32;
        /// Reads an unsigned 32-bit integer.
        read_u32 -> u32, try_get_u32;
        /// Reads a 64-bit integer.
        read_i64 -> i64, try_get_i64;
        /// Reads a 128-bit integer, the form of a UUID.
        read_u128 -> u128, try_get_u128;
        /// Reads a 64-bit floating point number.
        read_f64 -> f64, try_get_f64;
    }

    /// Reads an unsigned varint of up to 32 bits.
    pub fn read_unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.read_u8()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::VarintOverflow))
    }

    /// Takes the next `length` bytes without copying them.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.need(length)?;
        Ok(self.rest.split_to(length))
    }

    /// Takes the next `length` bytes as a string.
    pub fn take_string(&mut self, length: usize) -> Result<String, DecodeError> {
        self.need(length)?;
        let Some(bytes) = self.rest.get(..length) else {
            return Err(self.error(DecodeErrorKind::Truncated { needed: length, remaining: self.rest.len() }));
        };
        let text = std::str::from_utf8(bytes).map_err(|_| self.error(DecodeErrorKind::NotUtf8))?;
        let text = text.to_owned();
        self.rest.advance(length);
        Ok(text)
    }

    /// Reads the length of a string: 16 bits, or a varint of length + 1. `None` is null.
    pub fn read_string_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return self.read_compact_length();
        }
        let length = self.read_i16()?;
        self.check_length(i32::from(length))
    }

    /// Reads the length of an array or byte string: 32 bits, or a varint of length + 1. `None` is null.
    pub fn read_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return self.read_compact_length();
        }
        let length = self.read_i32()?;
        self.check_length(length)
    }

    /// Makes room for `count` elements, after checking that the bytes left can hold them (`smallest` bytes each) and
    /// that the frame's memory budget pays for them. The capacity given out therefore depends on bytes received, not
    /// on a number claimed.
    pub fn array<T>(&mut self, count: usize, smallest: usize) -> Result<Vec<T>, DecodeError> {
        let remaining = self.rest.len();
        if count > remaining / smallest.max(1) {
            return Err(self.error(DecodeErrorKind::ArrayTooLong { count, remaining }));
        }
        let needed = count.saturating_mul(size_of::<T>());
        if needed > self.budget {
            return Err(self.error(DecodeErrorKind::TooMuchMemory { needed, allowed: self.budget }));
        }
        self.budget -= needed;
        Ok(Vec::with_capacity(count))
    }

    /// Reads the tagged fields at the end of a flexible structure. `field` gets each tag with a reader over its bytes
    /// and says whether it knows the tag; unknown ones are skipped, known ones must be read to their end.
    pub fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.read_unsigned_varint()?;
        if count > MAX_TAGGED_FIELDS {
            return Err(self.error(DecodeErrorKind::TooManyTaggedFields { count }));
        }
        for _ in 0..count {
            let tag = self.read_unsigned_varint()?;
            let size = self.read_unsigned_varint()? as usize;
            let mut inner = Reader { rest: self.take(size)?, budget: self.budget, at: self.at };
            if field(tag, &mut inner)? {
                inner.finish()?;
            }
            self.budget = inner.budget;
        }
        Ok(())
    }

    fn need(&self, length: usize) -> Result<(), DecodeError> {
        let remaining = self.rest.len();
        if length > remaining {
            return Err(self.error(DecodeErrorKind::Truncated { needed: length, remaining }));
        }
        Ok(())
    }

    fn read_compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.read_unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    fn check_length(&self, length: i32) -> Result<Option<usize>, DecodeError> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(self.error(DecodeErrorKind::NegativeLength { length })),
        }
    }
}
