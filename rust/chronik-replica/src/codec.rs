//! Bounded little codec for what replicas say to each other and keep in snapshots.
//!
//! Numbers are LEB128 varints, byte strings carry their length. The reader never allocates from a number it has
//! not checked against the bytes that are really there, and takes payloads as slices of the input.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes that do not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end too early.
    #[error("{0} is cut short; the sender or the disk lost bytes")]
    Truncated(&'static str),
    /// Bytes are left over.
    #[error("{0} has {1} bytes too many; sender and receiver run different versions")]
    Trailing(&'static str, usize),
    /// A value no sender of this version writes.
    #[error("{0} has the unknown value {1}; sender and receiver run different versions")]
    Unknown(&'static str, u64),
    /// A number above its bound.
    #[error("{0} is {1}, above its bound of {2}")]
    TooLarge(&'static str, u64, u64),
}

/// Appends an unsigned varint.
pub(crate) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a signed number, small in either direction.
pub(crate) fn put_signed(out: &mut BytesMut, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a byte string with its length.
pub(crate) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Reads what the `put_` functions wrote.
pub(crate) struct Reader {
    bytes: Bytes,
}

impl Reader {
    /// Reads from the start of `bytes`.
    pub(crate) fn new(bytes: Bytes) -> Reader {
        Reader { bytes }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// One byte.
    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, CodecError> {
        if self.bytes.is_empty() {
            return Err(CodecError::Truncated(what));
        }
        Ok(self.bytes.get_u8())
    }

    /// An unsigned varint of at most 64 bits.
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(CodecError::Unknown(what, bits));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CodecError::Unknown(what, value))
    }

    /// A signed number.
    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, CodecError> {
        let value = self.varint(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// An unsigned varint of at most `max`.
    pub(crate) fn bounded(&mut self, what: &'static str, max: u64) -> Result<u64, CodecError> {
        let value = self.varint(what)?;
        if value > max {
            return Err(CodecError::TooLarge(what, value, max));
        }
        Ok(value)
    }

    /// A count of elements that take at least `element_bytes_min` each: bounded by what is there.
    pub(crate) fn count(
        &mut self,
        what: &'static str,
        max: usize,
        element_bytes_min: usize,
    ) -> Result<usize, CodecError> {
        let count = self.bounded(what, max as u64)? as usize;
        if count.saturating_mul(element_bytes_min) > self.remaining() {
            return Err(CodecError::Truncated(what));
        }
        Ok(count)
    }

    /// The next `len` bytes, shared with the input.
    pub(crate) fn take(&mut self, what: &'static str, len: usize) -> Result<Bytes, CodecError> {
        if len > self.bytes.len() {
            return Err(CodecError::Truncated(what));
        }
        Ok(self.bytes.split_to(len))
    }

    /// A byte string with its length.
    pub(crate) fn byte_string(&mut self, what: &'static str, max: usize) -> Result<Bytes, CodecError> {
        let len = self.bounded(what, max as u64)? as usize;
        self.take(what, len)
    }

    /// Checks that everything was read.
    pub(crate) fn finish(self, what: &'static str) -> Result<(), CodecError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(CodecError::Trailing(what, self.bytes.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_stay_in_bounds() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            put_signed(&mut out, value as i64);
            let mut reader = Reader::new(out.freeze());
            assert_eq!(reader.varint("n"), Ok(value));
            assert_eq!(reader.signed("n"), Ok(value as i64));
            reader.finish("n").unwrap();
        }
        let mut overlong = Reader::new(Bytes::from_static(&[0xff; 11]));
        assert!(overlong.varint("n").is_err());
        let mut big = Reader::new(Bytes::from_static(&[10, 1, 2]));
        assert_eq!(big.count("list", 5, 1), Err(CodecError::TooLarge("list", 10, 5)));
        let mut short = Reader::new(Bytes::from_static(&[10, 1, 2]));
        assert_eq!(short.count("list", 50, 1), Err(CodecError::Truncated("list")));
    }
}
