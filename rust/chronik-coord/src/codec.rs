//! The bounded binary form of commands, replies and snapshots.
//!
//! Role: one trait, [`Coded`], with its bases (numbers, strings, lists, maps). Integers are big
//! endian, strings and lists carry a 32-bit length. Owns the rule that no length is believed: it is
//! checked against the bytes that remain *before* anything is allocated.
//!
//! Must not: panic on any input, or accept two encodings of one value (maps must be in order, flags
//! must be 0 or 1), because snapshots are compared byte by byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_wire::codec::DecodeError;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{DirectoryId, LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use thiserror::Error;

use crate::limits;

/// Bytes that are not a command, reply or snapshot of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The input ended inside a value.
    #[error("input ends after {have} bytes where {need} more are needed; it is cut short")]
    Truncated {
        /// Bytes left.
        have: usize,
        /// Bytes the value needs at least.
        need: usize,
    },
    /// Bytes remain after the last value.
    #[error("{0} bytes follow the end of the value; the writer is newer or the input is damaged")]
    Surplus(usize),
    /// A version this build does not read.
    #[error("format version {found} is not readable, this build reads {known}; run a newer build")]
    Version {
        /// The version byte found.
        found: u8,
        /// The version this build writes.
        known: u8,
    },
    /// A tag or flag without meaning.
    #[error("{what} {value} is unknown; the writer is newer or the input is damaged")]
    Unknown {
        /// What was being read.
        what: &'static str,
        /// The value found.
        value: u64,
    },
    /// A length above its named bound.
    #[error("{what} of {length} exceeds the bound of {bound}; send less at a time")]
    TooLarge {
        /// What was being read or written.
        what: &'static str,
        /// Its length.
        length: usize,
        /// The bound.
        bound: usize,
    },
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8; the input is damaged")]
    NotUtf8,
    /// Map keys out of order or repeated.
    #[error("map keys are not strictly ascending; the input is damaged")]
    NotOrdered,
    /// A coordinator's record, in Kafka's layout, that does not decode.
    #[error("coordinator record: {0}; the writer is newer or the input is damaged")]
    Record(DecodeError),
    /// Values that contradict each other.
    #[error("{0}; the input is damaged")]
    Inconsistent(&'static str),
}

/// A cursor over bytes that never reads past their end.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] when fewer remain.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(CodecError::Truncated { have: self.rest.len(), need: count })?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// The length of a list whose elements take at least `element_bytes_min` bytes each.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] when the rest cannot hold that many elements.
    pub fn length(&mut self, element_bytes_min: usize) -> Result<usize, CodecError> {
        let length = u32::get(self)? as usize;
        let need = length.saturating_mul(element_bytes_min.max(1));
        if need > self.rest.len() {
            return Err(CodecError::Truncated { have: self.rest.len(), need });
        }
        Ok(length)
    }

    /// Demands that everything was read.
    ///
    /// # Errors
    /// [`CodecError::Surplus`] otherwise.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            surplus => Err(CodecError::Surplus(surplus)),
        }
    }
}

/// A value with a bounded binary form.
pub trait Coded: Sized {
    /// The fewest bytes a value takes; used to refuse impossible list lengths.
    const BYTES_MIN: usize;

    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads a value.
    ///
    /// # Errors
    /// Any [`CodecError`]; the reader's position is then undefined.
    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError>;
}

macro_rules! coded_number {
    ($($type:ty),*) => {$(
        impl Coded for $type {
            const BYTES_MIN: usize = size_of::<$type>();

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(<$type>::from_be_bytes(from.array()?))
            }
        }
    )*};
}
coded_number!(u8, i16, u16, i32, u32, i64, u64, u128);

macro_rules! coded_newtype {
    ($($type:ident($inner:ty)),*) => {$(
        impl Coded for $type {
            const BYTES_MIN: usize = size_of::<$inner>();

            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok($type(<$inner>::get(from)?))
            }
        }
    )*};
}
coded_newtype!(
    ErrorCode(i16),
    LeaderEpoch(i32),
    DirectoryId(u128),
    NodeId(i32),
    Offset(i64),
    PartitionIndex(i32),
    TopicId(u128)
);

/// Writes and reads a struct's fields in the order given. Naming each field once keeps the two
/// directions from drifting apart.
macro_rules! coded_struct {
    ($type:ident { $($field:ident: $field_type:ty),* $(,)? }) => {
        impl $crate::codec::Coded for $type {
            const BYTES_MIN: usize = 0 $(+ <$field_type as $crate::codec::Coded>::BYTES_MIN)*;

            fn put(&self, out: &mut Vec<u8>) {
                $($crate::codec::Coded::put(&self.$field, out);)*
            }

            fn get(from: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::CodecError> {
                Ok($type { $($field: <$field_type as $crate::codec::Coded>::get(from)?),* })
            }
        }
    };
}
pub(crate) use coded_struct;

impl Coded for bool {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::get(from)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(CodecError::Unknown { what: "flag", value: value.into() }),
        }
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("every list is bounded far below 4 GiB before it is encoded").put(out);
}

fn put_str(value: &str, out: &mut Vec<u8>) {
    put_length(value.len(), out);
    out.extend_from_slice(value.as_bytes());
}

fn get_str<'a>(from: &mut Reader<'a>) -> Result<&'a str, CodecError> {
    let length = from.length(1)?;
    if length > limits::STRING_BYTES_MAX {
        return Err(CodecError::TooLarge { what: "string", length, bound: limits::STRING_BYTES_MAX });
    }
    std::str::from_utf8(from.take(length)?).map_err(|_| CodecError::NotUtf8)
}

impl Coded for String {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_str(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(get_str(from)?.to_owned())
    }
}

impl Coded for Arc<str> {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_str(self, out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Arc::from(get_str(from)?))
    }
}

impl<T: Coded> Coded for Option<T> {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        if bool::get(from)? { T::get(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Coded, E: Coded> Coded for Result<T, E> {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        if bool::get(from)? { T::get(from).map(Ok) } else { E::get(from).map(Err) }
    }
}

impl<A: Coded, B: Coded> Coded for (A, B) {
    const BYTES_MIN: usize = A::BYTES_MIN + B::BYTES_MIN;

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok((A::get(from)?, B::get(from)?))
    }
}

impl<T: Coded> Coded for Vec<T> {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for value in self {
            value.put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = from.length(T::BYTES_MIN)?;
        // A value in memory may be larger than its encoding, so the capacity grows with what was
        // really read instead of trusting the length.
        let mut values = Vec::with_capacity(length.min(1_024));
        for _ in 0..length {
            values.push(T::get(from)?);
        }
        Ok(values)
    }
}

impl<K: Coded + Ord, V: Coded> Coded for BTreeMap<K, V> {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = from.length(K::BYTES_MIN + V::BYTES_MIN)?;
        let mut map = BTreeMap::new();
        for _ in 0..length {
            let (key, value) = (K::get(from)?, V::get(from)?);
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(CodecError::NotOrdered);
            }
            map.insert(key, value);
        }
        Ok(map)
    }
}

/// Reads a whole value with its version byte in front and nothing behind it.
pub(crate) fn decode_versioned<T: Coded>(
    bytes: &[u8],
    version: u8,
    what: &'static str,
    bytes_max: usize,
) -> Result<T, CodecError> {
    if bytes.len() > bytes_max {
        return Err(CodecError::TooLarge { what, length: bytes.len(), bound: bytes_max });
    }
    let mut reader = Reader::new(bytes);
    let found = u8::get(&mut reader)?;
    if found != version {
        return Err(CodecError::Version { found, known: version });
    }
    let value = T::get(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// Writes a value behind its version byte.
pub(crate) fn encode_versioned<T: Coded>(
    value: &T,
    version: u8,
    what: &'static str,
    bytes_max: usize,
) -> Result<bytes::Bytes, CodecError> {
    let mut out = vec![version];
    value.put(&mut out);
    if out.len() > bytes_max {
        return Err(CodecError::TooLarge { what, length: out.len(), bound: bytes_max });
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Coded + PartialEq + std::fmt::Debug>(value: T) {
        let mut out = Vec::new();
        value.put(&mut out);
        assert!(out.len() >= T::BYTES_MIN);
        let mut reader = Reader::new(&out);
        assert_eq!(T::get(&mut reader), Ok(value));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn values_round_trip() {
        round_trip(0x1234_5678_u32);
        round_trip(String::from("größe"));
        round_trip(vec![(NodeId(1), Some(true)), (NodeId(-1), None)]);
        round_trip(BTreeMap::from([(String::from("a"), 1_u8), (String::from("b"), 2)]));
        round_trip::<Result<u8, String>>(Err(String::from("no")));
    }

    #[test]
    fn a_list_longer_than_the_input_is_refused_before_it_is_allocated() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        let error = Vec::<u64>::get(&mut Reader::new(&bytes)).expect_err("impossible length");
        assert!(matches!(error, CodecError::Truncated { have: 3, .. }));
    }

    #[test]
    fn maps_out_of_order_are_refused() {
        let mut out = Vec::new();
        vec![(2_u8, 0_u8), (1, 0)].put(&mut out);
        assert_eq!(<BTreeMap<u8, u8> as Coded>::get(&mut Reader::new(&out)), Err(CodecError::NotOrdered));
    }

    #[test]
    fn strings_above_the_bound_are_refused() {
        let mut out = Vec::new();
        "x".repeat(limits::STRING_BYTES_MAX).put(&mut out);
        assert!(String::get(&mut Reader::new(&out)).is_ok());
        out.clear();
        "x".repeat(limits::STRING_BYTES_MAX + 1).put(&mut out);
        assert!(matches!(String::get(&mut Reader::new(&out)), Err(CodecError::TooLarge { .. })));
    }
}
