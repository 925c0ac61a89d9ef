//! Sizes and durations as text: `512Mi`, `90d`.

use jiff::SignedDuration;

/// The text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a size such as 512Mi or 2Gi")]
pub struct SizeError;

/// The text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time such as 12h or 90d")]
pub struct DurationError;

/// Parses a size in bytes: a number greater than 0, without a unit or with `Ki`, `Mi`, `Gi` or `Ti`.
///
/// # Errors
/// If the text has another form, or the size exceeds 64 bits.
pub fn size(text: &str) -> Result<u64, SizeError> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        "Ti" => 40,
        _ => return Err(SizeError),
    };
    let number: u64 = digits.parse().map_err(|_| SizeError)?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or(SizeError)
}

/// Parses a duration: a number with the unit `s`, `m`, `h` or `d`.
///
/// # Errors
/// If the text has another form, or the number exceeds 32 bits.
pub fn duration(text: &str) -> Result<SignedDuration, DurationError> {
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(DurationError)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(DurationError),
    };
    let number: u32 = digits.parse().map_err(|_| DurationError)?;
    Ok(SignedDuration::from_secs(i64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::{duration, size};

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(size("512Mi"), Ok(512 << 20));
        assert_eq!(size("100"), Ok(100));
        assert_eq!(duration("90d"), Ok(SignedDuration::from_hours(24 * 90)));
        assert_eq!(duration("0s"), Ok(SignedDuration::ZERO));
        for wrong in ["", "Mi", "1MB", "-1Gi", "0", "99999999999Ti", "1.5Gi"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "d", "1w", "-1d", "1 d", "99999999999d", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
