//! Points in time, always given as an argument: nothing in this crate reads a clock.

use crate::id::{InvalidName, text_form};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970-01-01 00:00 UTC; written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// From milliseconds since 1970-01-01 00:00 UTC.
    ///
    /// # Errors
    /// Outside the years −9999 to 9999.
    pub fn from_unix_ms(ms: i64) -> Result<Self, InvalidName> {
        jiff::Timestamp::from_millisecond(ms).map(|_| Self(ms)).map_err(|_| {
            InvalidName::new("a time", "milliseconds within the years -9999 to 9999", &ms.to_string())
        })
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The calendar day in UTC.
    #[must_use]
    pub fn day(self) -> jiff::civil::Date {
        self.timestamp().to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// Whether both are of one calendar day in UTC.
    #[must_use]
    pub const fn is_same_day(self, other: Self) -> bool {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        self.0.div_euclid(DAY_MS) == other.0.div_euclid(DAY_MS)
    }

    /// This time and `ms` milliseconds more; stays at the last representable time.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        let later = self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
        Self(later.min(jiff::Timestamp::MAX.as_millisecond()))
    }

    /// This time without its milliseconds: the last whole second that is not after it.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1000))
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).expect("checked when it was made")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Time {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|_| InvalidName::new("a time", "RFC 3339, as 2027-03-01T09:30:00.000Z", text))
    }
}

text_form!(Time);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let time: Time = "2027-03-01T09:30:00.250Z".parse().expect("valid");
        assert_eq!(time.to_string(), "2027-03-01T09:30:00.250Z");
        assert_eq!(time.day().to_string(), "2027-03-01");
        assert_eq!(time.plus_ms(750).to_string(), "2027-03-01T09:30:01.000Z");
        assert_eq!(time.whole_second().to_string(), "2027-03-01T09:30:00.000Z");
        assert_eq!(time.whole_second().whole_second(), time.whole_second());
        let before_1970: Time = "1969-12-31T23:59:59.001Z".parse().expect("valid");
        assert_eq!(before_1970.whole_second().to_string(), "1969-12-31T23:59:59.000Z");
        let day: [Time; 2] =
            ["1969-12-31T00:00:00.000Z", "1970-01-01T00:00:00.000Z"].map(|t| t.parse().expect("valid"));
        assert!(before_1970.is_same_day(day[0]) && !before_1970.is_same_day(day[1]));
        assert!("yesterday".parse::<Time>().is_err());
    }
}
