//! What happened to a person, in one form for every table; and the one order of all events.
//!
//! Nothing here has a `Debug` that shows a value: events are a patient's record.

use super::moment::Moment;
use std::cmp::Ordering;
use std::num::NonZeroI64;

/// A person's number at one site (`person_id`). It does not print: together with anything else it names somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub i64);

/// A concept of the OMOP vocabularies; [`ConceptId::NONE`] where nothing is recorded or nothing was mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConceptId(pub i64);

impl ConceptId {
    /// OMOP's "no matching concept", and a missing one.
    pub const NONE: Self = Self(0);

    /// Whether it is a concept at all.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// Which table an event is from; within one time they come in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Domain {
    /// `visit_occurrence`.
    Visit,
    /// `visit_detail`.
    VisitDetail,
    /// `condition_occurrence`.
    Condition,
    /// `drug_exposure`.
    Drug,
    /// `procedure_occurrence`.
    Procedure,
    /// `measurement`.
    Measurement,
    /// `observation`.
    Observation,
    /// `death`.
    Death,
}

impl Domain {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Visit,
        Self::VisitDetail,
        Self::Condition,
        Self::Drug,
        Self::Procedure,
        Self::Measurement,
        Self::Observation,
        Self::Death,
    ];
}

/// What was found.
#[derive(Clone, Copy)]
pub enum Value {
    /// Nothing beyond that it happened.
    None,
    /// A finite number: a measured value, a drug's quantity.
    Number(f64),
    /// A concept: a coded result; where a visit was discharged to.
    Concept(ConceptId),
}

impl Value {
    /// For the order: none, then numbers, then concepts.
    const fn rank(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Number(_) => 1,
            Self::Concept(_) => 2,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => one.total_cmp(two),
            (Self::Concept(one), Self::Concept(two)) => one.cmp(two),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

/// One row of a clinical table. Ordered by its fields from the first to the last; two events that are equal are the
/// same in every respect, so that any source and any way of sorting gives one stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// Whose.
    pub person: PersonId,
    /// When it happened or began.
    pub time: Moment,
    /// Which table.
    pub domain: Domain,
    /// What: the table's standard concept; the cause of a death.
    pub concept: ConceptId,
    /// When it ended: never on an earlier day than `time`, nor earlier where both have a time of day.
    pub end: Option<Moment>,
    /// What was found.
    pub value: Value,
    /// The unit of a number.
    pub unit: ConceptId,
    /// The visit that it belongs to (`visit_occurrence_id`, of a visit its own; 0 in a table is none).
    pub visit: Option<NonZeroI64>,
    /// Where the record comes from (`…_type_concept_id`).
    pub provenance: ConceptId,
    /// A condition's status, a measurement's operator, an observation's qualifier, where a visit was admitted from.
    pub status: ConceptId,
    /// The ward or hospital of a visit or visit detail.
    pub care_site: Option<NonZeroI64>,
    /// Who treated at a visit or visit detail.
    pub provider: Option<NonZeroI64>,
}

impl Event {
    /// Person and time as one number, which orders as they do.
    #[must_use]
    pub fn key(&self) -> u128 {
        // The sign bit is turned, so that negative ids come first here too.
        let person = self.person.0.cast_unsigned() ^ (1 << 63);
        (u128::from(person) << 64) | u128::from(self.time.to_bits())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn event(person: i64, time: &str, concept: i64) -> Event {
        Event {
            person: PersonId(person),
            time: Moment::parse(time.as_bytes()).expect("a moment"),
            domain: Domain::Condition,
            concept: ConceptId(concept),
            end: None,
            value: Value::None,
            unit: ConceptId::NONE,
            visit: None,
            provenance: ConceptId::NONE,
            status: ConceptId::NONE,
            care_site: None,
            provider: None,
        }
    }

    type RawMoment = (i32, Option<u64>);

    /// An event's parts as plain numbers, which proptest can show: an event has no `Debug`.
    pub(in super::super) type RawEvent =
        ((i64, RawMoment, usize, i64, Option<RawMoment>), (u8, i64, i64, i64, i64, i64, i64, i64));

    /// Few different values in each field, so that ties go deep; and extreme ones.
    pub(in super::super) fn raw_event() -> impl Strategy<Value = RawEvent> {
        let id = || prop_oneof![4 => 0..3_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()];
        let moment = || {
            (
                prop_oneof![3 => 0..3, 1 => -25_567..=47_846_i32],
                prop_oneof![Just(None), (0..3_u64).prop_map(Some)],
            )
        };
        (
            (id(), moment(), 0..8_usize, id(), proptest::option::of(moment())),
            (0..7_u8, id(), id(), id(), id(), id(), id(), id()),
        )
    }

    pub(in super::super) fn cooked(raw: &RawEvent) -> Event {
        let (
            (person, time, domain, concept, end),
            (value, coded, unit, visit, provenance, status, site, provider),
        ) = *raw;
        let moment = |(day, micros): RawMoment| {
            let day = super::super::moment::Day::from_epoch_days(day).expect("within the years");
            micros.map_or(Moment::on(day), |at| Moment::at(day, at * 28_800_000_001).expect("within a day"))
        };
        let numbers = [0.0, 36.6, -1.5, f64::MAX, 1e-300];
        Event {
            person: PersonId(person),
            time: moment(time),
            domain: Domain::ALL[domain],
            concept: ConceptId(concept),
            end: end.map(moment),
            value: match numbers.get(usize::from(value)) {
                Some(number) => Value::Number(*number),
                None if value == 5 => Value::None,
                None => Value::Concept(ConceptId(coded)),
            },
            unit: ConceptId(unit),
            visit: NonZeroI64::new(visit),
            provenance: ConceptId(provenance),
            status: ConceptId(status),
            care_site: NonZeroI64::new(site),
            provider: NonZeroI64::new(provider),
        }
    }

    proptest! {
        #[test]
        fn the_key_orders_as_person_and_time(one in raw_event(), two in raw_event()) {
            let (one, two) = (cooked(&one), cooked(&two));
            let by_key = one.key().cmp(&two.key());
            prop_assert!(by_key == (one.person, one.time).cmp(&(two.person, two.time)));
            prop_assert!(by_key.is_eq() || by_key == one.cmp(&two));
        }
    }

    #[test]
    fn order_within_a_time() {
        let base = event(1, "2020-01-01", 5);
        let later = Event { time: Moment::parse(b"2020-01-01 00:00").expect("a moment"), ..base };
        let visit = Event { domain: Domain::Visit, concept: ConceptId(9), ..base };
        let number = Event { value: Value::Number(-0.5), ..base };
        let coded = Event { value: Value::Concept(ConceptId(-9)), ..base };
        let mut events = [later, coded, number, base, visit];
        events.sort();
        assert!(events == [visit, base, number, coded, later]);
    }
}
