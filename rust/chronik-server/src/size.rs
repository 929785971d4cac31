//! Byte sizes as configurations write them: `250MB`, `64 KB`, `1GB`, `1048576`.

use thiserror::Error;

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is not a size; write a whole number, with KB, MB or GB behind it if you like")]
pub struct SizeError(String);

/// Parses a size into bytes. A KB is 1,024 bytes.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let trimmed = text.trim();
    let digits_end = trimmed.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(digits_end);
    let factor = match unit.trim_start().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err(SizeError(text.to_owned())),
    };
    let number: u64 = digits.parse().map_err(|_| SizeError(text.to_owned()))?;
    number.checked_mul(factor).ok_or_else(|| SizeError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        assert_eq!(parse_size("1048576"), Ok(1 << 20));
        assert_eq!(parse_size("64KB"), Ok(64 << 10));
        assert_eq!(parse_size("250 mb"), Ok(250 << 20));
        assert_eq!(parse_size("1GB"), Ok(1 << 30));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "MB", "1.5GB", "-1", "10TB", "99999999999GB"] {
            assert_eq!(parse_size(text), Err(SizeError(text.to_owned())), "{text}");
        }
    }
}
