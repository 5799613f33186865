//! When something happened, as the hospital wrote it down: to the day, or to the microsecond.
//!
//! Times are the hospital's own wall clock. A zone in a text (`Z`, `+01:00`) is passed over; a Parquet timestamp
//! that is marked as UTC is taken by its UTC clock, since the zone of the hospital is not in the file.

use std::num::NonZeroU64;

/// First and last year that a record may carry; outside it is a fault ([`super::Fault::YearOutOfRange`]).
pub const YEARS: std::ops::RangeInclusive<i32> = 1900..=2100;

const DAY_MIN: i32 = -25_567;
const DAY_MAX: i32 = 47_846;
const MICROS_A_DAY: u64 = 86_400_000_000;

/// A day of the Gregorian calendar within [`YEARS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

/// A day, or a day and a time. A day without a time comes before every time of that day; what it means is the
/// study's to say (`start-of-day`, `end-of-day`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

/// Why a text or number is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidMoment {
    /// Not a date that the calendar has, in a form that we read.
    Unparsable,
    /// A date outside [`YEARS`].
    OutOfYears,
}

impl Day {
    /// By days since 1970-01-01.
    ///
    /// # Errors
    /// It is outside [`YEARS`].
    pub const fn from_epoch_days(days: i32) -> Result<Self, InvalidMoment> {
        if days < DAY_MIN || days > DAY_MAX { Err(InvalidMoment::OutOfYears) } else { Ok(Self(days)) }
    }

    /// By year, month and day.
    ///
    /// # Errors
    /// The calendar has no such day, or it is outside [`YEARS`].
    pub fn from_civil(year: i32, month: u32, day: u32) -> Result<Self, InvalidMoment> {
        if !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
            return Err(InvalidMoment::Unparsable);
        }
        // Days from civil: Howard Hinnant, "chrono-compatible low-level date algorithms".
        let shifted = if month <= 2 { year - 1 } else { year };
        let era = shifted.div_euclid(400);
        let of_era = shifted.rem_euclid(400);
        let month_from_march = i32::try_from((month + 9) % 12).expect("below 12");
        let of_year = (153 * month_from_march + 2) / 5 + i32::try_from(day).expect("at most 31") - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        Self::from_epoch_days(days)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn epoch_days(self) -> i32 {
        self.0
    }

    /// The year of the calendar.
    #[must_use]
    pub fn year(self) -> i32 {
        // By the mean year of 146,097 / 400 days; a year's first days and last ones may miss by one.
        let guess = 1970 + (self.0 * 400).div_euclid(146_097);
        let begun = |year: i32| Self::from_civil(year, 1, 1).is_ok_and(|first| first <= self);
        (guess - 1..=guess + 1).rev().find(|year| begun(*year)).expect("one of three years")
    }
}

fn month_days(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Moment {
    /// A day without a time.
    #[must_use]
    pub fn on(day: Day) -> Self {
        Self::pack(day, 0, 0)
    }

    /// A day and the microseconds since its start, below 86,400,000,000.
    ///
    /// # Errors
    /// The day does not have so many.
    pub fn at(day: Day, micros: u64) -> Result<Self, InvalidMoment> {
        if micros < MICROS_A_DAY { Ok(Self::pack(day, micros, 1)) } else { Err(InvalidMoment::Unparsable) }
    }

    /// By microseconds since 1970-01-01T00:00:00.
    ///
    /// # Errors
    /// It is outside [`YEARS`].
    pub fn from_epoch_micros(micros: i64) -> Result<Self, InvalidMoment> {
        let a_day = MICROS_A_DAY.cast_signed();
        let day = i32::try_from(micros.div_euclid(a_day)).map_err(|_| InvalidMoment::OutOfYears)?;
        Self::at(Day::from_epoch_days(day)?, micros.rem_euclid(a_day).cast_unsigned())
    }

    fn pack(day: Day, micros: u64, has_time: u64) -> Self {
        let days = u64::try_from(day.0 - DAY_MIN).expect("days begin at DAY_MIN");
        let packed = (days * MICROS_A_DAY + micros) * 2 + has_time;
        Self(NonZeroU64::new(packed + 1).expect("one is added"))
    }

    /// The day.
    #[must_use]
    pub fn day(self) -> Day {
        let days = (self.0.get() - 1) / 2 / MICROS_A_DAY;
        Day(i32::try_from(days).expect("packed from an i32") + DAY_MIN)
    }

    /// Microseconds since the start of the day; none where only the day is known.
    #[must_use]
    pub const fn micros_of_day(self) -> Option<u64> {
        let packed = self.0.get() - 1;
        if packed % 2 == 1 { Some(packed / 2 % MICROS_A_DAY) } else { None }
    }

    /// The same day without its time.
    #[must_use]
    pub fn to_day(self) -> Self {
        Self::on(self.day())
    }

    /// A number that orders as moments do; never 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// What [`Self::to_bits`] gave; none for other numbers.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let end = u64::try_from(DAY_MAX - DAY_MIN + 1).expect("positive") * MICROS_A_DAY * 2;
        let moment = NonZeroU64::new(bits).filter(|bits| bits.get() <= end).map(Self)?;
        let whole = (bits - 1) % (MICROS_A_DAY * 2);
        (whole == 0 || whole % 2 == 1).then_some(moment)
    }

    /// Reads `2024-02-29`, `20240229`, and either with a time: `T` or a space, `hh:mm`, `hh:mm:ss`,
    /// `hh:mm:ss.ffffff`, and a zone that is passed over.
    ///
    /// # Errors
    /// It is none of these, or outside [`YEARS`].
    pub fn parse(text: &[u8]) -> Result<Self, InvalidMoment> {
        let text = text.trim_ascii();
        let (year, month, day, rest) = match text {
            [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, rest @ ..]
            | [y0, y1, y2, y3, m0, m1, d0, d1, rest @ ..] => {
                (digits(&[*y0, *y1, *y2, *y3])?, digits(&[*m0, *m1])?, digits(&[*d0, *d1])?, rest)
            }
            _ => return Err(InvalidMoment::Unparsable),
        };
        let day = Day::from_civil(year.cast_signed(), month, day)?;
        match rest {
            [] => Ok(Self::on(day)),
            [b'T' | b't' | b' ', time @ ..] => Self::at(day, time_of_day(time)?),
            _ => Err(InvalidMoment::Unparsable),
        }
    }
}

fn digits(text: &[u8]) -> Result<u32, InvalidMoment> {
    text.iter().try_fold(0, |number, byte| match byte {
        b'0'..=b'9' => Ok(number * 10 + u32::from(byte - b'0')),
        _ => Err(InvalidMoment::Unparsable),
    })
}

/// Microseconds.
fn time_of_day(text: &[u8]) -> Result<u64, InvalidMoment> {
    let [h0, h1, b':', m0, m1, rest @ ..] = text else { return Err(InvalidMoment::Unparsable) };
    let (hour, minute) = (digits(&[*h0, *h1])?, digits(&[*m0, *m1])?);
    let (second, rest) = match rest {
        [b':', s0, s1, rest @ ..] => (digits(&[*s0, *s1])?, rest),
        _ => (0, rest),
    };
    let (micros, rest) = match rest {
        [b'.' | b',', rest @ ..] => fraction(rest)?,
        _ => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 || !is_zone(rest) {
        return Err(InvalidMoment::Unparsable);
    }
    Ok(u64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + u64::from(micros))
}

/// Microseconds of up to nine digits, cut off after the sixth; and what follows.
fn fraction(text: &[u8]) -> Result<(u32, &[u8]), InvalidMoment> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return Err(InvalidMoment::Unparsable);
    }
    let shown = length.min(6);
    let scale = 10_u32.pow(u32::try_from(6 - shown).expect("at most 6"));
    Ok((digits(&text[..shown])? * scale, &text[length..]))
}

fn is_zone(text: &[u8]) -> bool {
    match text.trim_ascii_start() {
        [] | b"Z" | b"z" | b"UTC" => true,
        [b'+' | b'-', h0, h1, rest @ ..] => {
            let minutes = rest.strip_prefix(b":").unwrap_or(rest);
            [h0, h1].into_iter().chain(minutes).all(u8::is_ascii_digit) && matches!(minutes.len(), 0 | 2)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        #[track_caller]
        fn check(text: &str, expected: Result<(&str, Option<u64>), InvalidMoment>) {
            let found = Moment::parse(text.as_bytes());
            let expected = expected.map(|(day, micros)| {
                let date: jiff::civil::Date = day.parse().expect("a date");
                (date, micros)
            });
            let found = found.map(|moment| {
                let day = moment.day();
                let date =
                    jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day.epoch_days()));
                assert_eq!(i32::from(date.year()), day.year(), "{text}");
                (date, moment.micros_of_day())
            });
            assert_eq!(found, expected, "{text}");
        }
        use InvalidMoment::{OutOfYears, Unparsable};
        const SECOND: u64 = 1_000_000;
        check("2024-02-29", Ok(("2024-02-29", None)));
        check("20240229", Ok(("2024-02-29", None)));
        check(" 2024-02-29 ", Ok(("2024-02-29", None)));
        check("2023-02-29", Err(Unparsable));
        check("1900-02-29", Err(Unparsable));
        check("2000-02-29", Ok(("2000-02-29", None)));
        check("1900-01-01", Ok(("1900-01-01", None)));
        check("2100-12-31", Ok(("2100-12-31", None)));
        check("1899-12-31", Err(OutOfYears));
        check("2101-01-01", Err(OutOfYears));
        check("0001-01-01", Err(OutOfYears));
        check("9999-12-31 23:59:59", Err(OutOfYears));
        check("2015-07-01 20:55", Ok(("2015-07-01", Some(75_300 * SECOND))));
        check("2015-07-01T20:55", Ok(("2015-07-01", Some(75_300 * SECOND))));
        check("2015-07-01 00:00:00", Ok(("2015-07-01", Some(0))));
        check("2015-07-01 23:59:59.999999", Ok(("2015-07-01", Some(86_399_999_999))));
        check("2015-07-01 23:59:59.9999999", Ok(("2015-07-01", Some(86_399_999_999))));
        check("2015-07-01T20:55:01.5Z", Ok(("2015-07-01", Some(75_301 * SECOND + 500_000))));
        check("2015-07-01 20:55:01+01", Ok(("2015-07-01", Some(75_301 * SECOND))));
        check("2015-07-01T20:55:01-05:30", Ok(("2015-07-01", Some(75_301 * SECOND))));
        check("20150701 20:55", Ok(("2015-07-01", Some(75_300 * SECOND))));
        for wrong in [
            "",
            "-",
            "2015",
            "2015-7-1",
            "2015-13-01",
            "2015-00-10",
            "2015-01-00",
            "2015-01-32",
            "01/07/2015",
            "2015-07-01 24:00",
            "2015-07-01 12:60",
            "2015-07-01 12:00:60",
            "2015-07-01 1200",
            "2015-07-01T",
            "2015-07-01x12:00",
            "2015-07-01 12:00:00.",
            "2015-07-01 12:00:00 CET",
            "2015-07-01 12:00+1",
            "2015-07-0é",
            "２０１５-07-01",
            "+2015-07-01",
        ] {
            check(wrong, Err(Unparsable));
        }
    }

    #[test]
    fn every_day_as_the_calendar_has_it() {
        let mut date = jiff::civil::date(1900, 1, 1);
        for days in DAY_MIN..=DAY_MAX {
            let month = u32::try_from(date.month()).expect("positive");
            let day = u32::try_from(date.day()).expect("positive");
            let found = Day::from_civil(date.year().into(), month, day).expect("a day");
            assert!(found.epoch_days() == days && found.year() == i32::from(date.year()), "{date}");
            date = date.tomorrow().expect("before 9999");
        }
        assert_eq!(date, jiff::civil::date(2101, 1, 1));
    }

    #[test]
    fn order_and_bits() {
        let moments: Vec<Moment> = [
            "1900-01-01",
            "1900-01-01 00:00",
            "1970-01-01 23:59:59",
            "1970-01-02",
            "1970-01-02 00:00",
            "2100-12-31 23:59",
        ]
        .iter()
        .map(|text| Moment::parse(text.as_bytes()).expect("a moment"))
        .collect();
        assert!(moments.is_sorted_by(|a, b| a < b && a.to_bits() < b.to_bits()));
        for moment in moments {
            assert!(Moment::from_bits(moment.to_bits()) == Some(moment));
        }
        for wrong in [0, 3, 5, u64::MAX, Moment::pack(Day(DAY_MAX), MICROS_A_DAY, 1).to_bits()] {
            assert!(Moment::from_bits(wrong).is_none(), "{wrong}");
        }
        assert!(Moment::from_epoch_micros(-1) == Moment::parse(b"1969-12-31 23:59:59.999999"));
        assert!(Moment::from_epoch_micros(i64::MIN) == Err(InvalidMoment::OutOfYears));
    }
}
