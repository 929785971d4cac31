//! The named bounds of this crate: what an entry, a segment, a read and a log of un-synced operations may reach.

/// Largest payload of one entry. Above the largest request frame (100 MiB), so that a length beyond it on
/// disk can only be damage.
pub const ENTRY_DATA_BYTES_MAX: usize = 128 << 20;

/// Largest segment whatever the configuration says: positions inside a segment are 32 bits wide.
pub const SEGMENT_BYTES_MAX: u64 = 2 << 30;

/// Smallest configured segment size that is taken as is. Tests roll with tiny segments.
pub const SEGMENT_BYTES_MIN: u64 = 128;

/// Largest snapshot that is read back or accepted.
pub const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// What a lookup reads at once: a bit more than one stretch of the sparse index.
pub(crate) const LOOKUP_WINDOW_BYTES: usize = 8 << 10;

/// What a sequential read of a closed segment, recovery included, reads at once.
pub(crate) const SCAN_WINDOW_BYTES: usize = 1 << 20;

/// What a disk writes whole or not at all, bytes.
pub(crate) const SECTOR_BYTES: u64 = 512;

/// Directory operations that MemDisk remembers as un-synced; the oldest become durable beyond it, as a file
/// system's journal commits by itself.
pub(crate) const UNSYNCED_DIRECTORY_OPERATIONS_MAX: usize = 1024;

/// In-place changes per file that MemDisk can undo; the oldest become durable beyond it.
pub(crate) const UNSYNCED_OVERWRITES_MAX: usize = 1024;

/// Appends up to this size are packed by MemDisk into a slab, so that 100 bytes do not keep a whole network
/// buffer alive.
pub(crate) const PACKED_APPEND_BYTES_MAX: usize = 1 << 10;

/// Size at which MemDisk closes a slab of packed appends and begins another.
pub(crate) const SLAB_BYTES: usize = 64 << 10;

/// Pieces handed to one vectored write; Linux takes 1,024.
pub(crate) const VECTORED_PIECES_MAX: usize = 1024;

/// Fault plans that a MemDisk holds at a time.
pub(crate) const FAULT_PLANS_MAX: usize = 256;

/// Nodes in the list that a node's identity keeps. As many as a cluster may have.
pub const IDENTITY_MEMBERS_MAX: usize = 128;

/// Keys that one pass of a compaction remembers, about 25 to 50 bytes each; a longer log is compacted in several passes.
pub const COMPACTION_KEYS_MAX: usize = if cfg!(test) { 16 } else { 1_800_000 };

/// What a compaction writes at once.
pub(crate) const COMPACTION_WRITE_BYTES: usize = 1 << 20;

/// Files of one compacted prefix; the last one takes what is beyond.
pub(crate) const COMPACTED_FILES_MAX: usize = 64 << 10;

/// Terms in the manifest of a compacted prefix.
pub(crate) const MANIFEST_TERMS_MAX: usize = 1 << 20;

/// Largest manifest that is read back or accepted.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 32 << 20;

/// Bytes of a compacted prefix handed out at once to a member that fetches it.
pub const PREFIX_PIECE_BYTES_MAX: usize = 1 << 20;
