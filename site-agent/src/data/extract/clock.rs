//! Moments as numbers that hours can be added to: the study says what a date without a time means.

use crate::data::omop::Moment;
use consilium_common::study::records::DateOnly;
use jiff::civil::Date;

pub(super) const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// Microseconds since 1970-01-01T00:00:00 of the hospital's own clock. No `Debug`: it is a patient's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instant(pub(super) i64);

impl Instant {
    pub(super) fn of(moment: Moment, date_only: DateOnly) -> Self {
        let start = i64::from(moment.day().epoch_days()) * DAY_MICROS;
        Self(match (moment.micros_of_day(), date_only) {
            (Some(micros), _) => start + micros.cast_signed(),
            (None, DateOnly::Start) => start,
            (None, DateOnly::End) => start + DAY_MICROS - 1,
        })
    }

    /// Days since 1970-01-01.
    pub(super) fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(DAY_MICROS))
            .expect("moments are of the years 1900 to 2100, give or take a window")
    }

    pub(super) const fn plus_hours(self, hours: i64) -> Self {
        Self(self.0 + hours * HOUR_MICROS)
    }
}

/// Days since 1970-01-01 of a day that the study names.
pub(super) fn epoch_day(date: Date) -> i32 {
    let since = date.since(jiff::civil::date(1970, 1, 1)).expect("two dates of the calendar");
    since.get_days()
}

/// The day that is so many days after 1970-01-01.
pub(super) fn date_of(day: i32) -> Date {
    let since = jiff::Span::new().days(day);
    jiff::civil::date(1970, 1, 1).checked_add(since).expect("moments are of the years 1900 to 2100")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_without_times() {
        fn check(text: &str, start: i64, end: i64, day: i32) {
            let moment = Moment::parse(text.as_bytes()).expect("a moment");
            let (at_start, at_end) =
                (Instant::of(moment, DateOnly::Start), Instant::of(moment, DateOnly::End));
            assert_eq!((at_start.0, at_end.0), (start, end), "{text}");
            assert_eq!((at_start.day(), at_end.day()), (day, day), "{text}");
        }
        check("1970-01-02", 86_400_000_000, 172_799_999_999, 1);
        check("1970-01-02 00:00", 86_400_000_000, 86_400_000_000, 1);
        check("1969-12-31 23:59:59.5", -500_000, -500_000, -1);
        check("1969-12-31", -86_400_000_000, -1, -1);
        assert_eq!(epoch_day(jiff::civil::date(2015, 7, 1)), 16_617);
        assert_eq!(epoch_day(jiff::civil::date(1969, 12, 31)), -1);
        assert!(Instant(-1).plus_hours(24).day() == 0);
    }
}
