//! Zigzag varints, as records use them, over a borrowed slice.

/// Reads from front to back; every step fails with the reason instead of passing the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8], position: usize) -> Self {
        Cursor { bytes, position }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    pub(super) fn byte(&mut self) -> Result<u8, &'static str> {
        let byte = *self.bytes.get(self.position).ok_or("bytes end inside it")?;
        self.position += 1;
        Ok(byte)
    }

    /// Passes over `length` bytes and returns where they are.
    pub(super) fn range(&mut self, length: usize) -> Result<std::ops::Range<usize>, &'static str> {
        if length > self.bytes.len().saturating_sub(self.position) {
            return Err("a field reaches beyond its end");
        }
        let range = self.position..self.position + length;
        self.position = range.end;
        Ok(range)
    }

    /// Passes over a field behind its own length; -1 is null.
    pub(super) fn nullable_range(&mut self) -> Result<Option<std::ops::Range<usize>>, &'static str> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| "a length is negative")?;
                self.range(length).map(Some)
            }
        }
    }

    pub(super) fn varint(&mut self) -> Result<i32, &'static str> {
        let value = self.unsigned(5)?;
        let value = u32::try_from(value).map_err(|_| "a varint is too long")?;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    pub(super) fn varlong(&mut self) -> Result<i64, &'static str> {
        let value = self.unsigned(10)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn unsigned(&mut self, most_bytes: u32) -> Result<u64, &'static str> {
        let mut value = 0u64;
        for group in 0..most_bytes {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if group == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * group);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a varint is too long")
    }
}

/// Appends a signed varint.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes of a signed varint.
pub(super) const fn varlong_bytes(value: i64) -> usize {
    let bits = 64 - (((value << 1) ^ (value >> 63)) as u64 | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}
