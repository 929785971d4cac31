//! Values made from a string of random bytes. When the bytes run out every value is the smallest, so that a failing case
//! shrinks by shortening the string.

use bytes::Bytes;

use crate::codec::{Layout, Records};
use crate::error_code::ErrorCode;
use crate::types::TopicId;

/// The random bytes.
#[derive(Debug, Clone)]
pub struct Source {
    bytes: Vec<u8>,
    used: usize,
}

impl Source {
    /// Draws from the front of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Source { bytes, used: 0 }
    }

    /// The next byte; 0 when none is left.
    pub fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        byte
    }

    fn number<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A small count, so that nested arrays stay small.
    fn count(&mut self) -> usize {
        usize::from(self.byte() % 4)
    }
}

/// A type with random values that survive a round trip in the given layout: fields the version lacks keep their
/// default, and null occurs only where it is allowed.
pub trait Sample {
    /// Draws a value that the layout can carry.
    fn sample(source: &mut Source, layout: Layout) -> Self;
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Sample for $type {
            fn sample(source: &mut Source, _: Layout) -> Self {
                <$type>::from_be_bytes(source.number())
            }
        })*
    };
}

numbers!(i8, i16, u16, i32, u32, i64);

impl Sample for f64 {
    /// Never a NaN, which is not equal to itself.
    fn sample(source: &mut Source, layout: Layout) -> Self {
        f64::from(i32::sample(source, layout)) / 8.0
    }
}

impl Sample for bool {
    fn sample(source: &mut Source, _: Layout) -> Self {
        source.byte() & 1 == 1
    }
}

impl Sample for ErrorCode {
    fn sample(source: &mut Source, layout: Layout) -> Self {
        ErrorCode(i16::sample(source, layout))
    }
}

impl Sample for TopicId {
    fn sample(source: &mut Source, _: Layout) -> Self {
        TopicId(u128::from_be_bytes(source.number()))
    }
}

impl Sample for String {
    fn sample(source: &mut Source, _: Layout) -> Self {
        let alphabet = ['a', 'Z', '7', '.', '_', 'ä', '\u{1f980}'];
        // Now and then longer than one byte of varint can say.
        let length = match source.byte() {
            250.. => 200,
            other => usize::from(other % 6),
        };
        (0..length).map(|_| alphabet[usize::from(source.byte()) % alphabet.len()]).collect()
    }
}

impl Sample for Bytes {
    fn sample(source: &mut Source, _: Layout) -> Self {
        // Now and then long enough to be shared instead of copied.
        let length = match source.byte() {
            240.. => 700,
            other => usize::from(other % 9),
        };
        (0..length).map(|_| source.byte()).collect()
    }
}

impl Sample for Records {
    fn sample(source: &mut Source, layout: Layout) -> Self {
        (0..source.count()).map(|_| Bytes::sample(source, layout)).collect()
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(source: &mut Source, layout: Layout) -> Self {
        (0..source.count()).map(|_| T::sample(source, layout)).collect()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(source: &mut Source, layout: Layout) -> Self {
        let null = layout.nullable && source.byte().is_multiple_of(4);
        (!null).then(|| T::sample(source, layout))
    }
}
