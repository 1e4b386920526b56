//! Lengths of time as the world file and the admin API write them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time that is not negative, written like `3s`, `200ms` or `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(SignedDuration);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(SignedDuration::ZERO);

    /// A span of whole seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(SignedDuration::from_secs(seconds as i64))
    }

    /// A span of milliseconds.
    pub const fn from_millis(milliseconds: u32) -> Self {
        Self(SignedDuration::from_millis(milliseconds as i64))
    }

    /// The moment that lies this span after `moment`; the end of time if that is beyond it.
    pub fn after(self, moment: Timestamp) -> Timestamp {
        moment.checked_add(self.0).unwrap_or(Timestamp::MAX)
    }

    /// The moment that lies this span before `moment`; the beginning of time if that is beyond it.
    pub fn before(self, moment: Timestamp) -> Timestamp {
        moment.checked_sub(self.0).unwrap_or(Timestamp::MIN)
    }

    /// This span `count` times over.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        Self(self.0.checked_mul(count).unwrap_or(SignedDuration::MAX))
    }

    /// The same length as a signed duration of jiff.
    pub const fn signed(self) -> SignedDuration {
        self.0
    }

    /// The same length as a duration of the standard library.
    pub fn unsigned(self) -> std::time::Duration {
        self.0.unsigned_abs()
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length: SignedDuration = text.parse().map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is not a length of time; write it like 3s, 200ms or 1m 30s"
            ))
        })?;
        if length.is_negative() {
            return Err(de::Error::custom(format!(
                "the length of time `{text}` must not be negative"
            )));
        }
        Ok(Self(length))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_in_the_friendly_form() {
        for (text, millis) in [("3s", 3000), ("200ms", 200), ("1m 30s", 90_000), ("0s", 0)] {
            let span: Span = serde_json::from_value(text.into()).unwrap();
            assert_eq!(span, Span::from_millis(millis), "{text}");
            let again: Span = serde_json::from_value(serde_json::to_value(span).unwrap()).unwrap();
            assert_eq!(again, span);
        }
    }

    #[test]
    fn negative_and_bare_numbers_are_refused_with_a_sentence() {
        let negative = serde_json::from_value::<Span>("-3s".into())
            .unwrap_err()
            .to_string();
        assert!(negative.contains("must not be negative"), "{negative}");
        let bare = serde_json::from_value::<Span>("3".into())
            .unwrap_err()
            .to_string();
        assert!(bare.contains("write it like 3s"), "{bare}");
    }
}
