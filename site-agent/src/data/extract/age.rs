//! Ages.

use crate::data::omop::{Day, Person};

/// Whole years on a day. Where the month is not recorded, the birthday is 1 July; where the day is not, or the month has
/// no such day, it is the 15th. None without a year of birth, and for somebody who is not born yet.
pub(super) fn on_day(person: &Person, epoch_day: i32) -> Option<u32> {
    let birth_year = i32::from(person.birth_year?);
    let (month, day) = match (person.birth_month, person.birth_day) {
        (None, _) => (7, 1),
        (Some(month), None) => (u32::from(month), 15),
        (Some(month), Some(day)) => (u32::from(month), u32::from(day)),
    };
    // Leap years tell whether the month ever has the day.
    let day = if Day::from_civil(2000, month, day).is_ok() { day } else { 15 };
    let year = Day::from_epoch_days(epoch_day).ok()?.year();
    // Who was born on 29 February has a birthday on 1 March of other years.
    let birthday = Day::from_civil(year, month, day).or_else(|_| Day::from_civil(year, month + 1, 1)).ok()?;
    let before_birthday = epoch_day < birthday.epoch_days();
    u32::try_from(year - birth_year - i32::from(before_birthday)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::omop::{ConceptId, PersonId};

    #[test]
    fn ages() {
        #[track_caller]
        fn check(born: (Option<i16>, Option<u8>, Option<u8>), on: (i32, u32, u32), expected: Option<u32>) {
            let person = Person {
                id: PersonId(1),
                gender: ConceptId::NONE,
                race: ConceptId::NONE,
                ethnicity: ConceptId::NONE,
                birth_year: born.0,
                birth_month: born.1,
                birth_day: born.2,
                location: None,
                care_site: None,
            };
            let day = Day::from_civil(on.0, on.1, on.2).expect("a day").epoch_days();
            assert_eq!(on_day(&person, day), expected, "{born:?} on {on:?}");
        }
        let full = (Some(1980), Some(3), Some(10));
        check(full, (2020, 3, 9), Some(39));
        check(full, (2020, 3, 10), Some(40));
        check(full, (1980, 3, 10), Some(0));
        check(full, (1980, 3, 9), None);
        check(full, (1979, 12, 31), None);
        check((Some(1980), None, None), (2020, 6, 30), Some(39));
        check((Some(1980), None, None), (2020, 7, 1), Some(40));
        check((Some(1980), None, Some(20)), (2020, 7, 1), Some(40));
        check((Some(1980), Some(7), None), (2020, 7, 14), Some(39));
        check((Some(1980), Some(7), None), (2020, 7, 15), Some(40));
        check((Some(1980), Some(2), Some(29)), (2021, 2, 28), Some(40));
        check((Some(1980), Some(2), Some(29)), (2021, 3, 1), Some(41));
        check((Some(1980), Some(2), Some(29)), (2020, 2, 29), Some(40));
        check((Some(1980), Some(4), Some(31)), (2020, 4, 14), Some(39));
        check((Some(1980), Some(4), Some(31)), (2020, 4, 15), Some(40));
        check((None, Some(4), Some(3)), (2020, 4, 15), None);
    }
}
