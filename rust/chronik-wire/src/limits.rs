//! Every bound of this crate in one place. Each one has a test at the limit and one past it.

/// Largest request frame an authenticated connection may send, in bytes.
pub const MAX_FRAME_BYTES: usize = 100 * 1024 * 1024;

/// Largest request frame before authentication, in bytes.
pub const MAX_FRAME_BYTES_BEFORE_AUTHENTICATION: usize = 64 * 1024;

/// Largest SaslAuthenticate frame before authentication, in bytes.
pub const MAX_SASL_FRAME_BYTES: usize = 512 * 1024;

/// Most tagged fields one structure may carry.
pub const MAX_TAGGED_FIELDS: u32 = 1_024;

/// Memory a decoded message may take, per byte of its frame. Empty strings take one byte on the wire and 24 in memory,
/// so that the length check alone would let a frame grow by that factor.
pub const DECODE_BYTES_PER_FRAME_BYTE: usize = 12;

/// Memory every decoded message may take, whatever the size of its frame, in bytes.
pub const DECODE_BYTES_FLOOR: usize = 64 * 1024;

/// Byte strings from this length on are shared with the writer instead of copied into it.
pub const SHARE_BYTES: usize = 512;

/// Default of `max.message.bytes`: largest batch a producer may send, in bytes.
pub const MAX_BATCH_BYTES: usize = 1_048_588;

/// Most bytes one batch may decompress to.
pub const MAX_DECOMPRESSED_BYTES: usize = 64 * 1024 * 1024;

/// Largest ratio of decompressed to compressed bytes; not applied below [`RATIO_FLOOR_BYTES`].
pub const MAX_DECOMPRESSION_RATIO: usize = 1_000;

/// A batch may always decompress to this many bytes: zstd packs a mebibyte of zeros into a few dozen bytes.
pub const RATIO_FLOOR_BYTES: usize = 1024 * 1024;

/// Largest zstd window, as a power of two: 8 MiB.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 23;
