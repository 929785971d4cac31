//! The `message!` declaration: a structure's fields as Kafka's schema states them, from which the Rust structure, its
//! default and both directions of its codec follow.
//!
//! ```text
//! message! {
//!     /// Asks for offsets.
//!     pub struct ListOffsetsRequest [1..=11, flexible 6..] {     // a body: its versions
//!         /// The broker that asks, or -1 for a client.
//!         replica_id: i32 [1..] = -1,                            // present in these versions; default
//!         /// What to look up.
//!         topics: Vec<ListOffsetsTopic> [1..],
//!     }
//!     /// One topic.
//!     pub struct ListOffsetsTopic { ... }                        // a part: versions of the body around it
//! }
//! ```
//!
//! In the brackets of a field stand its versions, then `nullable RANGE` if an `Option` is not nullable in all of them,
//! then `tag N` for a tagged field. A field absent from a version keeps its default when read and is left out when
//! written; so is a tagged field that has its default.

macro_rules! message {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident $([$versions:expr, flexible $flexible:expr])? {
            $(
                $(#[$field_meta:meta])*
                $field:ident: $type:ty [$($spec:tt)*] $(= $default:expr)?,
            )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: message!(@default $($default)?),)* }
            }
        }

        impl $crate::codec::Field for $name {
            #[allow(unused_mut)]
            fn smallest(layout: $crate::codec::Layout) -> usize {
                let mut bytes = usize::from(layout.flexible);
                $(message!(@smallest bytes, layout, $type, $($spec)*);)*
                bytes
            }

            fn read(
                reader: &mut $crate::codec::Reader,
                layout: $crate::codec::Layout,
            ) -> Result<Self, $crate::codec::DecodeError> {
                let mut value = $name::default();
                $(message!(@read value, reader, layout, $name, $field, $($spec)*);)*
                if layout.flexible {
                    reader.tagged_fields(|_tag, _reader| {
                        $(message!(@read_tagged value, _tag, _reader, layout, $name, $field, $($spec)*);)*
                        Ok(false)
                    })?;
                }
                Ok(value)
            }

            fn write(
                &self,
                writer: &mut $crate::codec::Writer,
                layout: $crate::codec::Layout,
            ) -> Result<(), $crate::codec::EncodeError> {
                $(message!(@write self, writer, layout, $field, $($spec)*);)*
                if layout.flexible {
                    let _defaults = $name::default();
                    #[allow(unused_mut)]
                    let mut tagged = 0;
                    $(message!(@count self, _defaults, tagged, layout, $field, $($spec)*);)*
                    writer.put_unsigned_varint(tagged);
                    $(message!(@write_tagged self, _defaults, writer, layout, $field, $($spec)*);)*
                }
                Ok(())
            }
        }

        #[cfg(any(test, feature = "testing"))]
        impl $crate::testing::sample::Sample for $name {
            fn sample(source: &mut $crate::testing::sample::Source, layout: $crate::codec::Layout) -> Self {
                let mut value = $name::default();
                $(message!(@sample value, source, layout, $field, $($spec)*);)*
                value
            }
        }

        $(impl $crate::codec::Message for $name {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: std::ops::RangeInclusive<i16> = $versions;
            const FLEXIBLE_FROM: i16 = ($flexible).start;
        })?
    )*};

    (@default) => { Default::default() };
    (@default $default:expr) => { $default };

    (@smallest $bytes:ident, $layout:ident, $type:ty, $versions:expr, tag $tag:literal) => {};
    (@smallest $bytes:ident, $layout:ident, $type:ty, $versions:expr $(, nullable $nullable:expr)?) => {
        if ($versions).contains(&$layout.version) {
            $bytes += <$type as $crate::codec::Field>::smallest($layout);
        }
    };

    (@read $value:ident, $reader:ident, $layout:ident, $name:ident, $field:ident,
        $versions:expr, tag $tag:literal) => {};
    (@read $value:ident, $reader:ident, $layout:ident, $name:ident, $field:ident,
        $versions:expr $(, nullable $nullable:expr)?) => {
        if ($versions).contains(&$layout.version) {
            $reader.at(concat!(stringify!($name), ".", stringify!($field)));
            $value.$field = $crate::codec::Field::read($reader, message!(@layout $layout $(, $nullable)?))?;
        }
    };

    (@read_tagged $value:ident, $seen:ident, $reader:ident, $layout:ident, $name:ident, $field:ident,
        $versions:expr, tag $tag:literal) => {
        if $seen == $tag && ($versions).contains(&$layout.version) {
            $reader.at(concat!(stringify!($name), ".", stringify!($field)));
            $value.$field = $crate::codec::Field::read($reader, message!(@layout $layout))?;
            return Ok(true);
        }
    };
    (@read_tagged $value:ident, $seen:ident, $reader:ident, $layout:ident, $name:ident, $field:ident,
        $versions:expr $(, nullable $nullable:expr)?) => {};

    (@write $value:ident, $writer:ident, $layout:ident, $field:ident, $versions:expr, tag $tag:literal) => {};
    (@write $value:ident, $writer:ident, $layout:ident, $field:ident,
        $versions:expr $(, nullable $nullable:expr)?) => {
        if ($versions).contains(&$layout.version) {
            $crate::codec::Field::write(&$value.$field, $writer, message!(@layout $layout $(, $nullable)?))?;
        }
    };

    (@count $value:ident, $defaults:ident, $count:ident, $layout:ident, $field:ident,
        $versions:expr, tag $tag:literal) => {
        if ($versions).contains(&$layout.version) && $value.$field != $defaults.$field {
            $count += 1;
        }
    };
    (@count $value:ident, $defaults:ident, $count:ident, $layout:ident, $field:ident,
        $versions:expr $(, nullable $nullable:expr)?) => {};

    (@write_tagged $value:ident, $defaults:ident, $writer:ident, $layout:ident, $field:ident,
        $versions:expr, tag $tag:literal) => {
        if ($versions).contains(&$layout.version) && $value.$field != $defaults.$field {
            $writer.put_tagged($tag, |writer| {
                $crate::codec::Field::write(&$value.$field, writer, message!(@layout $layout))
            })?;
        }
    };
    (@write_tagged $value:ident, $defaults:ident, $writer:ident, $layout:ident, $field:ident,
        $versions:expr $(, nullable $nullable:expr)?) => {};

    (@sample $value:ident, $source:ident, $layout:ident, $field:ident, $versions:expr, tag $tag:literal) => {
        message!(@sample $value, $source, $layout, $field, $versions);
    };
    (@sample $value:ident, $source:ident, $layout:ident, $field:ident,
        $versions:expr $(, nullable $nullable:expr)?) => {
        if ($versions).contains(&$layout.version) {
            let layout = message!(@layout $layout $(, $nullable)?);
            $value.$field = $crate::testing::sample::Sample::sample($source, layout);
        }
    };

    (@layout $layout:ident) => { $layout.with_nullable(true) };
    (@layout $layout:ident, $nullable:expr) => { $layout.with_nullable(($nullable).contains(&$layout.version)) };
}

/// Gives a structure the form that may be null: one byte, -1 for null and 1 before the structure.
macro_rules! nullable_struct {
    ($name:ident) => {
        impl $crate::codec::Nullable for $name {
            fn smallest_nullable(_: $crate::codec::Layout) -> usize {
                1
            }

            fn read_nullable(
                reader: &mut $crate::codec::Reader,
                layout: $crate::codec::Layout,
            ) -> Result<Option<Self>, $crate::codec::DecodeError> {
                if reader.read_i8()? < 0 {
                    return Ok(None);
                }
                <$name as $crate::codec::Field>::read(reader, layout).map(Some)
            }

            fn write_present(
                &self,
                writer: &mut $crate::codec::Writer,
                layout: $crate::codec::Layout,
            ) -> Result<(), $crate::codec::EncodeError> {
                writer.put_i8(1);
                $crate::codec::Field::write(self, writer, layout)
            }

            fn write_null(writer: &mut $crate::codec::Writer, _: $crate::codec::Layout) {
                writer.put_i8(-1);
            }
        }
    };
}
