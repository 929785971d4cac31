//! How each primitive type reads and writes itself.

use bytes::Bytes;

use super::{DecodeError, DecodeErrorKind, EncodeError, Field, Layout, Nullable, Reader, Writer};
use crate::error_code::ErrorCode;
use crate::types::TopicId;

macro_rules! fixed_width {
    ($($type:ty: $read:ident, $put:ident;)*) => {
        $(impl Field for $type {
            fn smallest(_: Layout) -> usize {
                size_of::<$type>()
            }

            fn read(reader: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
                reader.$read()
            }

            fn write(&self, writer: &mut Writer, _: Layout) -> Result<(), EncodeError> {
                writer.$put(*self);
                Ok(())
            }
        })*
    };
}

fixed_width! {
    i8: read_i8, put_i8;
    i16: read_i16, put_i16;
    u16: read_u16, put_u16;
    i32: read_i32, put_i32;
    u32: read_u32, put_u32;
    i64: read_i64, put_i64;
    f64: read_f64, put_f64;
}

/// A type that travels as another one.
macro_rules! travels_as {
    ($($type:ty as $inner:ty: $from:expr, $to:expr;)*) => {
        $(impl Field for $type {
            fn smallest(layout: Layout) -> usize {
                <$inner>::smallest(layout)
            }

            fn read(reader: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
                <$inner>::read(reader, layout).map($from)
            }

            fn write(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
                let to: fn(&$type) -> $inner = $to;
                to(self).write(writer, layout)
            }
        })*
    };
}

travels_as! {
    bool as i8: |byte| byte != 0, |flag| i8::from(*flag);
    ErrorCode as i16: ErrorCode, |code| code.0;
}

impl Field for TopicId {
    fn smallest(_: Layout) -> usize {
        size_of::<u128>()
    }

    fn read(reader: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
        reader.read_u128().map(TopicId)
    }

    fn write(&self, writer: &mut Writer, _: Layout) -> Result<(), EncodeError> {
        writer.put_u128(self.0);
        Ok(())
    }
}

/// Turns null into an error, for fields that cannot be null.
fn present<T>(value: Option<T>, reader: &Reader) -> Result<T, DecodeError> {
    value.ok_or_else(|| reader.error(DecodeErrorKind::UnexpectedNull))
}

impl Field for String {
    fn smallest(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 2 }
    }

    fn read(reader: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let value = String::read_nullable(reader, layout)?;
        present(value, reader)
    }

    fn write(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        writer.put_string_length(self.len(), layout.flexible)?;
        writer.put_slice(self.as_bytes());
        Ok(())
    }
}

impl Nullable for String {
    fn read_nullable(reader: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        match reader.read_string_length(layout.flexible)? {
            Some(length) => reader.take_string(length).map(Some),
            None => Ok(None),
        }
    }

    fn write_null(writer: &mut Writer, layout: Layout) {
        if layout.flexible {
            writer.put_u8(0);
        } else {
            writer.put_i16(-1);
        }
    }
}

impl Field for Bytes {
    fn smallest(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 4 }
    }

    fn read(reader: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let value = Bytes::read_nullable(reader, layout)?;
        present(value, reader)
    }

    fn write(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        writer.put_length(self.len(), layout.flexible)?;
        writer.put_bytes(self);
        Ok(())
    }
}

impl Nullable for Bytes {
    fn read_nullable(reader: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        match reader.read_length(layout.flexible)? {
            Some(length) => reader.take(length).map(Some),
            None => Ok(None),
        }
    }

    fn write_null(writer: &mut Writer, layout: Layout) {
        write_null_length(writer, layout);
    }
}

impl<T: Field> Field for Vec<T> {
    fn smallest(layout: Layout) -> usize {
        if layout.flexible { 1 } else { 4 }
    }

    fn read(reader: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let value = Vec::read_nullable(reader, layout)?;
        present(value, reader)
    }

    fn write(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        writer.put_length(self.len(), layout.flexible)?;
        self.iter().try_for_each(|element| element.write(writer, layout))
    }
}

impl<T: Field> Nullable for Vec<T> {
    fn read_nullable(reader: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        let Some(count) = reader.read_length(layout.flexible)? else {
            return Ok(None);
        };
        let mut elements = reader.array(count, T::smallest(layout))?;
        for _ in 0..count {
            elements.push(T::read(reader, layout)?);
        }
        Ok(Some(elements))
    }

    fn write_null(writer: &mut Writer, layout: Layout) {
        write_null_length(writer, layout);
    }
}

impl<T: Nullable> Field for Option<T> {
    fn smallest(layout: Layout) -> usize {
        T::smallest_nullable(layout)
    }

    fn read(reader: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let value = T::read_nullable(reader, layout)?;
        if value.is_none() && !layout.nullable {
            return Err(reader.error(DecodeErrorKind::UnexpectedNull));
        }
        Ok(value)
    }

    /// Where the version knows no null, `None` is written as the type's default, which is the empty value.
    fn write(&self, writer: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.write_present(writer, layout),
            None if layout.nullable => {
                T::write_null(writer, layout);
                Ok(())
            }
            None => T::default().write_present(writer, layout),
        }
    }
}

fn write_null_length(writer: &mut Writer, layout: Layout) {
    if layout.flexible {
        writer.put_u8(0);
    } else {
        writer.put_i32(-1);
    }
}
