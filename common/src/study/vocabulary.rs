//! Releases of the OMOP vocabularies.

use jiff::civil::Date;
use std::fmt;
use std::str::FromStr;

/// A release, as `v5.0 2025-02-27`; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VocabularyRelease {
    /// 5 of `v5.0`, then 0.
    version: (u16, u16),
    /// When it was released.
    date: Date,
}

/// Not a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a release as v5.0 2025-02-27 or v5.0 27-FEB-25")]
pub struct InvalidRelease;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

impl FromStr for VocabularyRelease {
    type Err = InvalidRelease;

    /// Reads the day as studies write it, or as Athena writes it into table `vocabulary`.
    fn from_str(text: &str) -> Result<Self, InvalidRelease> {
        let read = || {
            let (version, date) = text.trim().strip_prefix('v')?.split_once(' ')?;
            let (major, minor) = version.split_once('.')?;
            let number = |text: &str| -> Option<u16> {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse().ok()).flatten()
            };
            let date = date.trim();
            let date = date.parse::<Date>().ok().or_else(|| as_athena(date))?;
            Some(Self { version: (number(major)?, number(minor)?), date })
        };
        read().ok_or(InvalidRelease)
    }
}

/// `27-FEB-25`, or with all digits of the year: the vocabularies are younger than 2000.
fn as_athena(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(month))?;
    let year: i16 = match year.len() {
        2 => 2000 + year.parse::<i16>().ok()?,
        4 => year.parse().ok()?,
        _ => return None,
    };
    let month = i8::try_from(month + 1).expect("at most 12");
    parts.next().is_none().then(|| Date::new(year, month, day.parse().ok()?).ok()).flatten()
}

impl fmt::Display for VocabularyRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{} {}", self.version.0, self.version.1, self.date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let read = text.parse::<VocabularyRelease>().ok().map(|release| release.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        check("v5.0 2025-02-27", Some("v5.0 2025-02-27"));
        check("v5.0 27-FEB-25", Some("v5.0 2025-02-27"));
        check("v5.0 31-aug-2023 ", Some("v5.0 2023-08-31"));
        check("v5.0 30-FEB-25", None);
        check("v5 27-FEB-25", None);
        check("v5.+1 27-FEB-25", None);
        check("v5.0", None);
        check("v5.0 27-FEB-25-1", None);
        check("2025-02-27", None);
        check("", None);
    }

    #[test]
    fn the_later_is_greater() {
        let release = |text: &str| text.parse::<VocabularyRelease>().expect("a release");
        let rising =
            ["v4.5 2026-01-01", "v5.0 31-AUG-23", "v5.0 2025-02-27", "v5.0 28-FEB-25", "v5.1 2020-01-01"];
        assert!(rising.map(release).is_sorted());
        assert_eq!(release("v5.0 2025-02-27"), release("v5.0 27-FEB-25"));
    }
}
