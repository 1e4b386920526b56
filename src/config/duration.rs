//! Durations as people write them: `15s`, `2m`, `1h30m`, `168h`.

use std::time::Duration;

use jiff::SignedDuration;

/// Longest duration that can be set: one year. A longer one is probably a typing error.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A text that is not a duration, or is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Not the form of a duration.
    #[error("{0:?} is not a duration; write it like 15s, 2m, 1h30m or 168h (units: ms, s, m, h)")]
    Form(String),
    /// Zero, negative or longer than [`MAX_DURATION`].
    #[error("{0:?} is out of bounds; a duration must be greater than 0 and at most one year (8760h)")]
    Bounds(String),
}

/// Parses a duration.
///
/// # Errors
/// The text has another form, or the duration is not within 0 (excluded) to [`MAX_DURATION`].
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let signed: SignedDuration = text.parse().map_err(|_| InvalidDuration::Form(text.to_owned()))?;
    match Duration::try_from(signed) {
        Ok(duration) if !duration.is_zero() && duration <= MAX_DURATION => Ok(duration),
        _ => Err(InvalidDuration::Bounds(text.to_owned())),
    }
}

/// Writes a duration as [`parse`] reads it.
#[must_use]
pub fn text(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |signed| format!("{signed:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (input, seconds) in [
            ("15s", 15),
            ("2m", 120),
            ("168h", 604_800),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("8760h", 31_536_000),
        ] {
            assert_eq!(parse(input), Ok(Duration::from_secs(seconds)), "{input}");
        }
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn invalid_durations_are_refused_with_an_example() {
        for bad in ["", "15", "s", "15 parsecs", "7d", "1mo"] {
            assert!(
                parse(bad).unwrap_err().to_string().contains("write it like 15s"),
                "{bad}"
            );
        }
        for bad in ["0s", "-15s", "8760h1s"] {
            assert!(
                parse(bad).unwrap_err().to_string().contains("out of bounds"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_formatted_duration_can_be_parsed_again() {
        for input in ["15s", "2m", "168h", "250ms"] {
            assert_eq!(text(parse(input).unwrap()), input);
        }
    }
}
