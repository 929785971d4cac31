//! The primitives of the Kafka protocol: how each field type looks on the wire, in the old and in the flexible encoding.
//!
//! Owns [`Reader`] (bounded, zero-copy), [`Writer`] (a rope of pieces) and the two traits through which the `message!`
//! declarations reach them. Must not know any message.

mod error;
mod fields;
mod reader;
mod records;
mod writer;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use reader::Reader;
pub use records::Records;
pub use writer::Writer;

/// For a message whose versions are all inflexible: `flexible NEVER..`.
pub const NEVER: i16 = i16::MAX;

/// Which of a message's layouts is being read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The message's version.
    pub version: i16,
    /// Whether strings and arrays are compact and structures end in tagged fields.
    pub flexible: bool,
    /// Whether the field at hand may be null in this version.
    pub nullable: bool,
}

impl Layout {
    /// The layout of `version`, for a message that is flexible from `flexible_from` on.
    pub const fn new(version: i16, flexible_from: i16) -> Self {
        Layout { version, flexible: version >= flexible_from, nullable: true }
    }

    /// The same layout for a field whose null is allowed or refused.
    pub const fn with_nullable(self, nullable: bool) -> Self {
        Layout { nullable, ..self }
    }
}

/// A type that can stand in a message.
pub trait Field: Sized {
    /// Bytes of the shortest encoding. An array of n elements cannot be shorter than n times this.
    fn smallest(layout: Layout) -> usize;

    /// Reads one value. Allocates nothing before the length was checked against the bytes that are left.
    fn read(reader: &mut Reader, layout: Layout) -> Result<Self, DecodeError>;

    /// Appends one value.
    fn write(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError>;
}

/// A type whose encoding has room for null; gives `Option<Self>` its [`Field`].
pub trait Nullable: Field + Default {
    /// Bytes of the shortest encoding, null included.
    fn smallest_nullable(layout: Layout) -> usize {
        Self::smallest(layout)
    }

    /// Reads one value, `None` for null.
    fn read_nullable(reader: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError>;

    /// Appends a value that is there.
    fn write_present(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        self.write(writer, layout)
    }

    /// Appends null.
    fn write_null(writer: &mut Writer, layout: Layout);
}

/// A whole request or response body.
pub trait Message: Field + Clone + std::fmt::Debug + PartialEq + Default {
    /// The structure's name, as Kafka's schema has it.
    const NAME: &'static str;
    /// The versions whose layout is known.
    const VERSIONS: std::ops::RangeInclusive<i16>;
    /// The first flexible version, or [`NEVER`].
    const FLEXIBLE_FROM: i16;

    /// Reads the body. Leaves surplus bytes in the reader: the caller decides about them with [`Reader::finish`].
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(DecodeError {
                at: Self::NAME,
                kind: DecodeErrorKind::UnsupportedVersion { version },
            });
        }
        Self::read(reader, Layout::new(version, Self::FLEXIBLE_FROM))
    }

    /// Appends the body. A field the version does not have is left out, whatever its value.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        self.write(writer, Layout::new(version, Self::FLEXIBLE_FROM))
    }
}
