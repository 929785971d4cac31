//! The values of `share.auto.offset.reset`: where a share group begins to read.

/// Where a share group begins to read a partition it has never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoOffsetReset {
    /// At the first record there is.
    Earliest,
    /// After the last record there is.
    Latest,
    /// At the first record that is no older than this.
    ByDuration {
        /// The age, in milliseconds.
        duration_ms: i64,
    },
}

impl AutoOffsetReset {
    /// Reads `earliest`, `latest` or `by_duration:` with a duration of ISO 8601 (`PnDTnHnMn.nS`) that is not negative.
    pub fn from_name(text: &str) -> Option<AutoOffsetReset> {
        match text {
            "earliest" => Some(AutoOffsetReset::Earliest),
            "latest" => Some(AutoOffsetReset::Latest),
            other => {
                let duration_ms = duration_ms(other.strip_prefix("by_duration:")?)?;
                (duration_ms >= 0).then_some(AutoOffsetReset::ByDuration { duration_ms })
            }
        }
    }
}

/// A duration of ISO 8601 in milliseconds, as far as days; `None` if the text is none, or too long to count.
fn duration_ms(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let (negated, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text, ""),
    };
    let mut total_ms: i64 = 0;
    let mut any = false;
    let mut rest = days;
    for (unit, unit_ms) in [('D', 86_400_000), ('H', 3_600_000), ('M', 60_000), ('S', 1_000)] {
        if unit == 'H' {
            // Days stand before the T, and nothing else does.
            if !rest.is_empty() {
                return None;
            }
            rest = time;
        }
        let Some((number, after)) = rest.split_once(unit) else { continue };
        let amount_ms =
            if unit == 'S' { seconds_ms(number)? } else { whole(number)?.checked_mul(unit_ms)? };
        total_ms = total_ms.checked_add(amount_ms)?;
        any = true;
        rest = after;
    }
    if !any || !rest.is_empty() {
        return None;
    }
    if negated { total_ms.checked_neg() } else { Some(total_ms) }
}

/// An integer with or without a sign.
fn whole(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Seconds with up to nine decimals, in milliseconds.
fn seconds_ms(text: &str) -> Option<i64> {
    let (seconds, decimals) = match text.split_once(['.', ',']) {
        Some((seconds, decimals)) => (seconds, decimals),
        None => (text, ""),
    };
    if decimals.len() > 9 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let negative = seconds.starts_with('-');
    let whole_ms = whole(seconds)?.checked_mul(1_000)?;
    let thousandths: String = decimals.chars().chain("000".chars()).take(3).collect();
    let part_ms = whole(&thousandths)?;
    whole_ms.checked_add(if negative { -part_ms } else { part_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_takes_is_taken_and_nothing_else() {
        let by = |duration_ms| Some(AutoOffsetReset::ByDuration { duration_ms });
        for (text, expected) in [
            ("earliest", Some(AutoOffsetReset::Earliest)),
            ("latest", Some(AutoOffsetReset::Latest)),
            ("by_duration:PT1H", by(3_600_000)),
            ("by_duration:P1DT2H3M4.5S", by(93_784_500)),
            ("by_duration:PT0S", by(0)),
            ("by_duration:pt0.0015s", by(1)),
            ("by_duration:PT-1M61S", by(1_000)),
            ("by_duration:P2D", by(172_800_000)),
            ("by_duration:-PT1S", None),
            ("by_duration:PT-1S", None),
            ("by_duration:P", None),
            ("by_duration:PT", None),
            ("by_duration:P1H", None),
            ("by_duration:PT1D", None),
            ("by_duration:PT1S1M", None),
            ("by_duration:P1Y", None),
            ("by_duration:PT1", None),
            ("by_duration:PT1.5H", None),
            ("by_duration:P99999999999999999D", None),
            ("by_duration:", None),
            ("by_duration", None),
            ("none", None),
            ("EARLIEST", None),
            ("", None),
        ] {
            assert_eq!(AutoOffsetReset::from_name(text), expected, "{text}");
        }
    }
}
