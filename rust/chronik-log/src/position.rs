//! Raft positions: the newtypes that keep an index from being mistaken for an offset.
//!
//! An index counts *entries* from 1, an offset counts *records* from 0. The only door between the two is
//! `PartitionLog::offset_after_index` and `PartitionLog::index_of_offset`.

use std::fmt;

macro_rules! position {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

position!(
    /// Position of an entry in the Raft log: counts entries from 1. Zero is "before the first entry".
    Index
);
position!(
    /// A Raft term. Zero is "no term".
    Term
);

impl Index {
    /// Before the first entry.
    pub const ZERO: Index = Index(0);

    /// The index that follows.
    #[must_use]
    pub const fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The index before; zero stays zero.
    #[must_use]
    pub const fn prev(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl Term {
    /// No term.
    pub const ZERO: Term = Term(0);
}
