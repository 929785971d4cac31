//! Framing: cuts a byte stream into frames. Pure; whoever owns the socket owns the buffer.
//!
//! A frame is a 32-bit length and that many bytes. A length is checked before anything is reserved for it, and
//! [`bytes_to_reserve`] grows the buffer with the bytes received, never with a number claimed.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::limits::{MAX_FRAME_BYTES, MAX_FRAME_BYTES_BEFORE_AUTHENTICATION};

const LENGTH_BYTES: usize = 4;

/// Smallest step in which a buffer grows.
const SMALLEST_RESERVE_BYTES: usize = 4 * 1024;

/// Largest step in which a buffer grows.
const LARGEST_RESERVE_BYTES: usize = 8 * 1024 * 1024;

/// A frame from this size on that ends its buffer takes the buffer with it. Nobody else then shares the memory, so
/// that a record batch within can become writable again without a copy.
const OWN_BUFFER_BYTES: usize = 64 * 1024;

/// What a connection may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Largest frame, without its length field, in bytes.
    pub max_frame_bytes: usize,
}

impl FrameLimits {
    /// For an authenticated connection, or one that needs no authentication.
    pub const DEFAULT: FrameLimits = FrameLimits { max_frame_bytes: MAX_FRAME_BYTES };

    /// Before authentication.
    pub const BEFORE_AUTHENTICATION: FrameLimits =
        FrameLimits { max_frame_bytes: MAX_FRAME_BYTES_BEFORE_AUTHENTICATION };
}

impl Default for FrameLimits {
    fn default() -> Self {
        FrameLimits::DEFAULT
    }
}

/// A stream that is not the Kafka protocol, or not within its limits. The connection can only be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A negative length.
    #[error("frame length {length} is negative; is the peer a kafka client?")]
    Negative {
        /// The length received.
        length: i32,
    },
    /// A length above the connection's limit.
    #[error("frame of {length} bytes exceeds the limit of {max} bytes")]
    TooLarge {
        /// The length received.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The first bytes are those of an HTTP request or response.
    #[error("peer speaks http on a kafka port; check the address it was given")]
    Http,
    /// The first bytes are those of a TLS handshake.
    #[error("peer starts tls on a plain kafka port; set its security protocol to plaintext")]
    Tls,
}

/// Takes the next frame, without its length field, off the front of the buffer; `None` until all of it is there.
pub fn next_frame(buffer: &mut BytesMut, limits: &FrameLimits) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = frame_length(buffer, limits)? else {
        return Ok(None);
    };
    if buffer.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    if length >= OWN_BUFFER_BYTES && buffer.len() == length {
        return Ok(Some(std::mem::take(buffer).freeze()));
    }
    Ok(Some(buffer.split_to(length).freeze()))
}

/// The length field before a frame made of these pieces.
///
/// # Errors
/// [`FrameError::TooLarge`] if the field cannot hold the length.
pub fn length_prefix(pieces: &[Bytes]) -> Result<[u8; LENGTH_BYTES], FrameError> {
    let length = pieces.iter().map(Bytes::len).sum();
    i32::try_from(length)
        .map(i32::to_be_bytes)
        .map_err(|_| FrameError::TooLarge { length, max: i32::MAX as usize })
}

/// Bytes of room to make in the buffer before the next read: what the frame begun still lacks, at most as much as has
/// come already, within fixed bounds. Errors are left to [`next_frame`].
pub fn bytes_to_reserve(buffer: &[u8], limits: &FrameLimits) -> usize {
    let lacking = match frame_length(buffer, limits) {
        Ok(Some(length)) => (LENGTH_BYTES + length).saturating_sub(buffer.len()),
        Ok(None) | Err(_) => 0,
    };
    lacking.min(buffer.len()).clamp(SMALLEST_RESERVE_BYTES, LARGEST_RESERVE_BYTES)
}

/// The length of the frame at the front of the buffer, once its four bytes are there.
fn frame_length(buffer: &[u8], limits: &FrameLimits) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    if let Some(error) = other_protocol(prefix) {
        return Err(error);
    }
    let length = i32::from_be_bytes(*prefix);
    let Ok(length) = usize::try_from(length) else {
        return Err(FrameError::Negative { length });
    };
    if length > limits.max_frame_bytes {
        return Err(FrameError::TooLarge { length, max: limits.max_frame_bytes });
    }
    Ok(Some(length))
}

/// Recognises what people point at a Kafka port by mistake. Read as lengths, all of these exceed every limit.
fn other_protocol(prefix: &[u8; LENGTH_BYTES]) -> Option<FrameError> {
    match prefix {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"PATC" | b"OPTI" | b"CONN" | b"TRAC" | b"HTTP"
        | b"PRI " => Some(FrameError::Http),
        [0x16, 0x03, _, _] => Some(FrameError::Tls),
        _ => None,
    }
}
