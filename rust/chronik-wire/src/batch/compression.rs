//! The codecs, each with its output bounded: 64 MiB, and 1000 times the input beyond the first mebibyte.

use std::fmt;
use std::io::{Cursor, Read, Write};

use bytes::Bytes;

use super::BatchError;
use crate::limits::{
    MAX_DECOMPRESSED_BYTES, MAX_DECOMPRESSION_RATIO, MAX_ZSTD_WINDOW_LOG, RATIO_FLOOR_BYTES,
};

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Gzip.
    Gzip,
    /// Snappy, raw or in the framing of the xerial Java library.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// What the xerial framing begins with; two 32-bit version numbers follow.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
/// Plain bytes per block when writing that framing.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// What an LZ4 frame begins with. The library also reads the legacy format, whose blocks have no smaller size than 8 MiB:
/// four bytes would take twice that. Java refuses it, too, and no client writes it.
const LZ4_MAGIC: &[u8] = &0x184D_2204_u32.to_le_bytes();

impl Compression {
    /// Every codec.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// The codec of a number in the attributes.
    pub const fn from_id(id: i16) -> Result<Compression, BatchError> {
        match id {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            _ => Err(BatchError::UnknownCompression { id }),
        }
    }

    /// The codec's number in the attributes.
    pub const fn id(self) -> i16 {
        self as i16
    }

    /// The codec's name, as `compression.type` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// Decompresses, streaming, up to the bound for an input of this size.
    pub fn decompress(self, input: &Bytes) -> Result<Bytes, BatchError> {
        let limit = output_limit(input.len());
        let output = match self {
            Compression::None => return Ok(input.clone()),
            Compression::Gzip => self.read_all(flate2::read::MultiGzDecoder::new(&input[..]), limit)?,
            Compression::Snappy if input.starts_with(XERIAL_MAGIC) => self.read_xerial(input, limit)?,
            Compression::Snappy => self.read_snappy_block(input, limit)?,
            Compression::Lz4 if !input.starts_with(LZ4_MAGIC) => {
                return Err(self.corrupt("not a frame of the present format"));
            }
            Compression::Lz4 => self.read_all(lz4_flex::frame::FrameDecoder::new(&input[..]), limit)?,
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(Cursor::new(input))
                    .map_err(|error| self.corrupt(error))?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(|error| self.corrupt(error))?;
                self.read_all(decoder, limit)?
            }
        };
        Ok(Bytes::from(output))
    }

    /// Compresses, as the Java client does by default.
    pub(super) fn compress(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Compression::None => Ok(plain.to_vec()),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Compression::Snappy => write_xerial(plain),
            Compression::Lz4 => {
                // Java's reader insists on independent blocks.
                let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(plain)?;
                encoder.finish().map_err(std::io::Error::other)
            }
            Compression::Zstd => zstd::stream::encode_all(plain, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }

    fn read_all(self, decoder: impl Read, limit: usize) -> Result<Vec<u8>, BatchError> {
        let mut output = Vec::new();
        let one_past = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        decoder.take(one_past).read_to_end(&mut output).map_err(|error| self.corrupt(error))?;
        if output.len() > limit {
            return Err(BatchError::Bomb { codec: self, limit });
        }
        Ok(output)
    }

    /// A snappy block states its plain size in front, which is checked before it is reserved.
    fn read_snappy_block(self, block: &[u8], limit: usize) -> Result<Vec<u8>, BatchError> {
        let claimed = snap::raw::decompress_len(block).map_err(|error| self.corrupt(error))?;
        if claimed > limit {
            return Err(BatchError::Bomb { codec: self, limit });
        }
        snap::raw::Decoder::new().decompress_vec(block).map_err(|error| self.corrupt(error))
    }

    fn read_xerial(self, input: &[u8], limit: usize) -> Result<Vec<u8>, BatchError> {
        let mut output = Vec::new();
        let mut rest = input.get(XERIAL_HEADER_BYTES..).ok_or_else(|| self.corrupt("header is cut off"))?;
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let block = behind.get(..length).ok_or_else(|| self.corrupt("block is cut off"))?;
            output.extend_from_slice(&self.read_snappy_block(block, limit - output.len())?);
            rest = behind.get(length..).unwrap_or_default();
        }
        match rest {
            [] => Ok(output),
            _ => Err(self.corrupt("block length is cut off")),
        }
    }

    fn corrupt(self, reason: impl fmt::Display) -> BatchError {
        BatchError::Decompress { codec: self, reason: reason.to_string() }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn output_limit(input_bytes: usize) -> usize {
    input_bytes.saturating_mul(MAX_DECOMPRESSION_RATIO).clamp(RATIO_FLOOR_BYTES, MAX_DECOMPRESSED_BYTES)
}

fn write_xerial(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut output = XERIAL_MAGIC.to_vec();
    output.extend_from_slice(&1u32.to_be_bytes());
    output.extend_from_slice(&1u32.to_be_bytes());
    for block in plain.chunks(XERIAL_BLOCK_BYTES) {
        let packed = snap::raw::Encoder::new().compress_vec(block).map_err(std::io::Error::other)?;
        output.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        output.extend_from_slice(&packed);
    }
    Ok(output)
}
