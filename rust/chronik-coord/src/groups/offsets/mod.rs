//! Committed offsets: committing them, alone or in a transaction; reading, deleting and expiring them.

mod commit;
mod delete;
mod expire;
mod fetch;

pub(crate) use expire::{forget_deleted_topics, forget_expired, group_tombstones, tombstone};
