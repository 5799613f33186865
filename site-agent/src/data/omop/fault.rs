//! What is wrong with single rows, counted by kind. Each kind has one rule, the same at every site.
//!
//! # Privacy
//! Small counts are patient data: [`FaultCounts`] has no `Debug`, is shown by `data check` only, and never leaves.

/// What can be wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fault {
    /// `person_id` is missing.
    NoPerson,
    /// `person_id` is not a whole number of 64 bits.
    PersonNotANumber,
    /// The table `person` does not have this person.
    UnknownPerson,
    /// The same row of `person` again.
    RepeatedPerson,
    /// Rows of `person` that contradict each other.
    ContradictoryPerson,
    /// A person with more events than [`super::EVENTS_PER_PERSON_MAX`].
    TooManyEvents,
    /// When it happened is missing.
    NoDate,
    /// When it happened is not a date.
    UnparsableDate,
    /// When it happened is outside [`super::moment::YEARS`].
    YearOutOfRange,
    /// The time of day cannot be read; the date can.
    BadTime,
    /// The end is not a date, or outside the years.
    BadEnd,
    /// It ended before it began.
    NegativeLength,
    /// Date and datetime name different days.
    DatesDisagree,
    /// Another id or concept is not a whole number.
    NotAnId,
    /// Year, month or day of birth is none.
    BadBirth,
    /// The concept is 0 or missing.
    Unmapped,
    /// The value is not a finite number.
    ValueNotANumber,
    /// A measured number without a unit.
    NoUnit,
    /// A unit that is there as text only.
    UnitByText,
    /// Before, between or after the person's observation periods.
    OutsideObservation,
    /// On a later day than the person's death.
    AfterDeath,
    /// A note without text.
    NoText,
    /// A text longer than any that is read.
    TextTooLong,
}

impl Fault {
    /// All, in the order that they are shown.
    pub const ALL: [Self; 23] = [
        Self::NoPerson,
        Self::PersonNotANumber,
        Self::UnknownPerson,
        Self::RepeatedPerson,
        Self::ContradictoryPerson,
        Self::TooManyEvents,
        Self::NoDate,
        Self::UnparsableDate,
        Self::YearOutOfRange,
        Self::BadTime,
        Self::BadEnd,
        Self::NegativeLength,
        Self::DatesDisagree,
        Self::NotAnId,
        Self::BadBirth,
        Self::Unmapped,
        Self::ValueNotANumber,
        Self::NoUnit,
        Self::UnitByText,
        Self::OutsideObservation,
        Self::AfterDeath,
        Self::NoText,
        Self::TextTooLong,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::NoPerson => "no_person",
            Self::PersonNotANumber => "person_not_a_number",
            Self::UnknownPerson => "unknown_person",
            Self::RepeatedPerson => "repeated_person",
            Self::ContradictoryPerson => "contradictory_person",
            Self::TooManyEvents => "too_many_events",
            Self::NoDate => "no_date",
            Self::UnparsableDate => "unparsable_date",
            Self::YearOutOfRange => "year_out_of_range",
            Self::BadTime => "bad_time",
            Self::BadEnd => "bad_end",
            Self::NegativeLength => "negative_length",
            Self::DatesDisagree => "dates_disagree",
            Self::NotAnId => "not_an_id",
            Self::BadBirth => "bad_birth",
            Self::Unmapped => "unmapped",
            Self::ValueNotANumber => "value_not_a_number",
            Self::NoUnit => "no_unit",
            Self::UnitByText => "unit_by_text",
            Self::OutsideObservation => "outside_observation",
            Self::AfterDeath => "after_death",
            Self::NoText => "no_text",
            Self::TextTooLong => "text_too_long",
        }
    }

    /// In plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoPerson => "no person",
            Self::PersonNotANumber => "person is not a whole number",
            Self::UnknownPerson => "person is not in table person",
            Self::RepeatedPerson => "person twice, rows alike",
            Self::ContradictoryPerson => "person twice, rows contradict",
            Self::TooManyEvents => "person with more than a million events",
            Self::NoDate => "no date",
            Self::UnparsableDate => "date cannot be read",
            Self::YearOutOfRange => "year outside 1900 to 2100",
            Self::BadTime => "time of day cannot be read",
            Self::BadEnd => "end cannot be read",
            Self::NegativeLength => "ends before it begins",
            Self::DatesDisagree => "date and datetime disagree",
            Self::NotAnId => "id or concept is not a whole number",
            Self::BadBirth => "year, month or day of birth cannot be",
            Self::Unmapped => "concept 0 or none",
            Self::ValueNotANumber => "value is not a number",
            Self::NoUnit => "number without a unit",
            Self::UnitByText => "unit by its text",
            Self::OutsideObservation => "outside observation periods",
            Self::AfterDeath => "after death",
            Self::NoText => "note without text",
            Self::TextTooLong => "text of more than 2 MiB",
        }
    }

    /// Whether the row, or all of its person, contributes nothing.
    #[must_use]
    pub const fn leaves_out(self) -> bool {
        matches!(
            self,
            Self::NoPerson
                | Self::PersonNotANumber
                | Self::UnknownPerson
                | Self::NoDate
                | Self::UnparsableDate
                | Self::YearOutOfRange
                | Self::ContradictoryPerson
                | Self::TooManyEvents
                | Self::NoText
                | Self::TextTooLong
        )
    }

    /// What becomes of the row.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::NoPerson
            | Self::PersonNotANumber
            | Self::UnknownPerson
            | Self::NoDate
            | Self::UnparsableDate
            | Self::YearOutOfRange
            | Self::NoText
            | Self::TextTooLong => "row left out",
            Self::RepeatedPerson => "one row kept",
            Self::ContradictoryPerson | Self::TooManyEvents => "person left out",
            Self::BadTime => "kept with its date",
            Self::BadBirth => "kept without it",
            Self::BadEnd | Self::NegativeLength => "kept without its end; a period left out",
            Self::DatesDisagree => "kept, datetime taken",
            Self::NotAnId => "kept, taken as none",
            Self::ValueNotANumber => "kept without a value",
            Self::UnitByText => "kept, the text taken as UCUM",
            Self::Unmapped | Self::NoUnit | Self::OutsideObservation | Self::AfterDeath => "kept",
        }
    }
}

/// How often each kind came.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct FaultCounts([u64; Fault::ALL.len()]);

impl FaultCounts {
    /// Counts one.
    pub fn note(&mut self, fault: Fault) {
        self.add(fault, 1);
    }

    /// Counts some.
    pub fn add(&mut self, fault: Fault, count: u64) {
        self.0[fault as usize] += count;
    }

    /// How many of a kind.
    #[must_use]
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_its_place_and_its_name() {
        for (at, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(*fault as usize, at);
        }
        let keys: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.key()).collect();
        let words: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.words()).collect();
        assert_eq!((keys.len(), words.len()), (Fault::ALL.len(), Fault::ALL.len()));
        for fault in Fault::ALL {
            let left_out = ["row left out", "person left out"].contains(&fault.rule());
            assert_eq!(fault.leaves_out(), left_out, "{}", fault.key());
        }
    }
}
