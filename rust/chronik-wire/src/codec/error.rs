//! What can be wrong with bytes, and with values that have no bytes.

use thiserror::Error;

/// Bytes that are not the message they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{at}: {kind}")]
pub struct DecodeError {
    /// Structure and field that was being read.
    pub at: &'static str,
    /// What is wrong there.
    pub kind: DecodeErrorKind,
}

/// The ways in which bytes can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeErrorKind {
    /// The bytes end inside a value.
    #[error("{needed} bytes needed, {remaining} left")]
    Truncated {
        /// Bytes the value takes.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// An array claims more elements than the remaining bytes can hold.
    #[error("array of {count} elements does not fit the {remaining} bytes left")]
    ArrayTooLong {
        /// Elements claimed.
        count: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A length below -1.
    #[error("negative length {length}")]
    NegativeLength {
        /// The length received.
        length: i32,
    },
    /// Null where the version does not allow it.
    #[error("null is not allowed here")]
    UnexpectedNull,
    /// A string that is no UTF-8.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// A variable-length integer beyond its type.
    #[error("varint is longer than its type allows")]
    VarintOverflow,
    /// More tagged fields than [`crate::limits::MAX_TAGGED_FIELDS`].
    #[error("{count} tagged fields are more than the allowed 1024")]
    TooManyTaggedFields {
        /// Tagged fields claimed.
        count: u32,
    },
    /// The decoded form would take more memory than [`crate::limits`] allows for a frame of this size.
    #[error("decoding would take {needed} bytes of memory, {allowed} are left for this frame")]
    TooMuchMemory {
        /// Bytes asked for.
        needed: usize,
        /// Bytes left of the frame's budget.
        allowed: usize,
    },
    /// Bytes after the end of the message, or of a tagged field.
    #[error("{surplus} surplus bytes at the end")]
    SurplusBytes {
        /// How many.
        surplus: usize,
    },
    /// A version without a known layout.
    #[error("version {version} is not supported")]
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
    },
}

/// A value that has no encoding in the version asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A version without a known layout.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The message's name.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, array or frame longer than its length field can say.
    #[error("length {length} does not fit its length field, whose maximum is {max}")]
    TooLong {
        /// The length.
        length: usize,
        /// The largest length the field can carry.
        max: usize,
    },
}
