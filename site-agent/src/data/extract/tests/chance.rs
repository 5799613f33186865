//! Random small studies about random small lives: both implementations must agree on each.

use super::super::load::Extraction;
use super::super::plan::Plan;
use super::hand::{narrowed, of, of_study, resolved, study};
use super::naive::{Asks, Naive, civil};
use crate::data::SplitKey;
use crate::data::omop::{ConceptId, Day, Domain, Event, History, Moment, Period, Person, PersonId, Value};
use consilium_common::examples::Examples;
use consilium_common::study::bindings::{
    Binding, BindingIndex, BoundColumn, InForce, Mark, StayRule, ValueIs, ValueRule, Visits,
};
use consilium_common::study::notes::{NoteConcept, NoteIndex, Notes, Said};
use consilium_common::study::records::*;
use consilium_common::study::{
    Attribute, AttributeValues, Encoding, Holdout, NotRecorded, Study, Validation,
};
use jiff::civil::{Date, date};
use std::num::NonZeroI64;

struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % limit.unsigned_abs()).expect("below the limit")
    }

    fn one_in(&mut self, times: i64) -> bool {
        self.below(times) == 0
    }

    fn any<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len().cast_signed() as i64)).expect("small")].clone()
    }

    /// Within three weeks, mostly at few times of a day.
    fn moment(&mut self) -> Moment {
        let day = Day::from_epoch_days(16_436 + i32::try_from(self.below(20)).expect("small")).expect("2015");
        let hour = 3_600_000_000_u64;
        match self.any(&[None, None, Some(0), Some(6 * hour), Some(10 * hour), Some(24 * hour - 1)]) {
            None => Moment::on(day),
            Some(micros) => Moment::at(day, micros).expect("within a day"),
        }
    }

    fn date(&mut self) -> Date {
        civil(self.moment().day())
    }

    fn criterion(&mut self) -> Criterion {
        use RecordTable::{Condition, Death, Measurement, Stay, Visit, VisitDetail};
        let stay = Stay(BindingIndex(0));
        let table = self.any(&[Condition, Condition, Measurement, Visit, VisitDetail, Death, stay, stay]);
        let set = (![Death, stay].contains(&table) && !self.one_in(3))
            .then(|| SetIndex(usize::try_from(self.below(3)).expect("small")));
        Criterion { table, set }
    }

    fn window(&mut self, after_hours: u32) -> Window {
        let (one, two) =
            (i32::try_from(self.below(9)).expect("small"), i32::try_from(self.below(9)).expect("small"));
        if self.one_in(2) {
            Window::Days { from: -one.max(two), to: -one.min(two) }
        } else {
            let to = i32::try_from(after_hours).expect("small") - 5 * one;
            Window::Hours { from: to - 10 * two, to }
        }
    }

    fn rules(&mut self, after_hours: u32) -> Vec<Rule> {
        (0..self.below(4) / 2 * self.below(3))
            .map(|_| match self.below(6) {
                0 => Rule::Age { min: 20, max: 50 },
                1 => Rule::DiedBefore,
                2 => Rule::StillThere,
                3 => Rule::SeenBy(BindingIndex(1)),
                4 => Rule::TransferWithin { days: u32::try_from(self.below(4)).expect("small") },
                _ => Rule::Has {
                    events: self.criterion(),
                    window: self.window(after_hours),
                    count_min: u32::try_from(1 + self.below(2)).expect("small"),
                },
            })
            .collect()
    }

    /// Of stays: visits and marks of every kind.
    fn stays(&mut self) -> InForce {
        let visits = match self.below(3) {
            0 => Visits::Any,
            1 => Visits::Set(SetIndex(0)),
            _ => Visits::Listed(vec![10, 20]),
        };
        let any_of = (0..self.below(4))
            .map(|_| match self.below(5) {
                0 => Mark::Condition(SetIndex(usize::try_from(self.below(3)).expect("small"))),
                1 => Mark::Column { column: BoundColumn::VisitConcept, concepts: vec![20, 30] },
                2 => Mark::Column { column: BoundColumn::VisitDetailConcept, concepts: vec![10, 30] },
                3 => Mark::Column { column: BoundColumn::PlaceOfService, concepts: vec![500, 502] },
                _ => Mark::Column { column: BoundColumn::Specialty, concepts: vec![601] },
            })
            .collect();
        InForce::Stays(StayRule { visits, any_of })
    }

    /// Of values, in every column.
    fn values(&mut self) -> InForce {
        let label = |white: bool| (if white { "White" } else { "Asian" }).to_owned();
        let concepts = |ids: &[i64], white| (ValueIs::Concepts(ids.to_vec()), label(white));
        let rule = match self.below(3) {
            0 => ValueRule {
                column: BoundColumn::ObservationConcept,
                of: vec![],
                levels: vec![concepts(&[10], true), concepts(&[30], false), concepts(&[20], true)],
            },
            1 => ValueRule {
                column: BoundColumn::ObservationValueConcept,
                of: vec![10, 20],
                levels: vec![concepts(&[1, 2], false), concepts(&[3], true)],
            },
            _ => ValueRule {
                column: BoundColumn::ObservationValueNumber,
                of: vec![10, 30],
                levels: vec![
                    (ValueIs::Numbers(0.0, 3.0), label(false)),
                    (ValueIs::Numbers(5.0, 9.0), label(true)),
                ],
            },
        };
        InForce::Values(rule)
    }

    fn bindings(&mut self) -> Vec<Binding> {
        let binding = |name: &str, in_force| Binding {
            name: name.to_owned(),
            describe: "for a test".to_owned(),
            may_use: BoundColumn::ALL.to_vec(),
            optional: true,
            default: None,
            in_force,
        };
        let stays = self.stays();
        let service = if self.one_in(3) { InForce::Absent } else { self.stays() };
        let values = if self.one_in(5) { InForce::Absent } else { self.values() };
        vec![binding("stay", stays), binding("service", service), binding("values", values)]
    }

    fn task(&mut self, name: &str) -> RecordTask {
        let after_hours = self.any(&[0, 0, 1, 14, 24, 30]);
        let cohort = Cohort {
            name: name.to_owned(),
            entry: (0..=self.below(2)).map(|_| self.criterion()).collect(),
            limit: self.any(&[Limit::FirstEver, Limit::FirstInAccrual]),
            index: self.any(&[Anchor::Start, Anchor::End]),
            predict_after_hours: after_hours,
            prior_observation_days: self.any(&[0, 0, 2, 5]),
            require: self.rules(after_hours),
            exclude: self.rules(after_hours),
        };
        let (from, length) = (self.any(&[1, 1, 3]), self.any(&[0, 2, 6]));
        let horizons = self.any(&[vec![0], vec![0], vec![0, 1], vec![0, 2, 5]]);
        let to = horizons.into_iter().map(|further| from + length + further).collect();
        let outcome = Outcome {
            any_of: (0..=self.below(2)).map(|_| self.criterion()).collect(),
            // A file with a longer one is refused: no stay could be the outcome.
            gap_days_min: self.any(&[0, 0, 0, 1, 2, 4]).min(from + length),
            at_risk: if self.one_in(3) { AtRisk::Stay } else { AtRisk::Days { from, to } },
            prior: self.any(&[
                PriorOutcome::Keep,
                PriorOutcome::Keep,
                PriorOutcome::Keep,
                PriorOutcome::Remove,
            ]),
            short_follow_up: self.short_follow_up(),
            death: self.any(&[Death::Competing, Death::Censoring]),
        };
        RecordTask { cohort, outcome }
    }

    fn short_follow_up(&mut self) -> ShortFollowUp {
        let points = vec![(2, 0.9), (3, 0.9), (8, 0.25)];
        let weighted = ShortFollowUp::Weighted(Followed { points });
        self.any(&[ShortFollowUp::Drop, ShortFollowUp::KeepIfOutcome, weighted])
    }

    fn study(&mut self) -> Study {
        let mut records = super::hand::records();
        records.bindings = self.bindings();
        let two = |chance: &mut Self| {
            let (one, other) = (chance.date(), chance.date());
            if one < other { (one, other) } else { (other, one) }
        };
        records.accrual = if self.one_in(4) { two(self) } else { (date(2014, 1, 1), date(2016, 1, 1)) };
        records.followup_to = if self.one_in(5) { self.date() } else { date(2016, 1, 1) };
        records.date_only = self.any(&[DateOnly::Start, DateOnly::End]);
        records.tasks = (0..self.any(&[1, 1, 2, 3])).map(|at| self.task(&format!("cohort{at}"))).collect();
        let after_hours = records.tasks.iter().map(|task| task.cohort.predict_after_hours).min();
        let after_hours = after_hours.expect("one at least");
        let take = self.any(&[Take::Last, Take::First, Take::Min, Take::Max, Take::Mean, Take::Worst]);
        let measured = Covariate::Measured {
            events: of(RecordTable::Measurement, self.any(&[None, Some(SetIndex(2))])),
            window: self.window(after_hours),
            take,
            units: vec!["mm[Hg]".to_owned()],
            unit_missing: self.one_in(2),
            plausible: self.one_in(3).then_some((1.0, 8.0)),
        };
        records.covariates = vec![
            Covariate::Age,
            Covariate::Sex { levels: vec![vec![8532], vec![8507]] },
            Covariate::Present { events: self.criterion(), window: self.window(after_hours) },
            Covariate::Count { events: self.criterion(), window: self.window(after_hours) },
            measured.clone(),
            measured,
            Covariate::Noted {
                concept: NoteIndex(usize::try_from(self.below(2)).expect("small")),
                said: self.any(&Said::ALL),
                window: self.window(after_hours),
            },
        ];
        let bound = PersonField::Binding(BindingIndex(2));
        let told = if self.one_in(2) { vec![bound] } else { vec![PersonField::Race, bound] };
        let finding = |name: &str| NoteConcept { name: name.to_owned(), terms: vec![] };
        records.notes = Some(Notes::Lexicon(vec![finding("one"), finding("other")]));
        records.attributes =
            vec![vec![PersonField::Race, PersonField::Ethnicity], vec![PersonField::YearOfBirth], told];
        records.attributes.push(vec![PersonField::Race, PersonField::Ethnicity]);
        let encodings = [
            Encoding::Number { low: 18.0, high: 90.0 },
            Encoding::Category { levels: vec!["female".to_owned(), "male".to_owned()] },
            Encoding::Flag,
            Encoding::Count { cap: 3 },
            Encoding::Number { low: 0.0, high: 9.0 },
            Encoding::Distance { range: (0.0, 9.0), normal: (3.0, 5.0) },
            Encoding::Flag,
        ];
        let mut study = study(records, &encodings);
        let groups = vec![(vec![8515], "Asian".to_owned()), (vec![8527], "White".to_owned())];
        let attribute = |name: &str, values| Attribute { name: name.to_owned(), values };
        let states = NotRecorded { unknown: vec![], refused: vec![8515], not_asked: vec![] };
        study.attributes = vec![
            attribute("ethnicity", AttributeValues::Concepts(groups.clone())),
            attribute("age_band", AttributeValues::Bands(vec![18.0, 35.0, 65.0])),
            attribute("told", AttributeValues::Concepts(groups)),
            attribute("counted", AttributeValues::RecordedConcepts(states)),
        ];
        let reported = self.any(&[
            Validation::ALL.to_vec(),
            vec![Validation::Internal],
            vec![Validation::Temporal],
            vec![],
            vec![],
        ]);
        let from = self.date();
        study.split.holdout = (!reported.is_empty()).then_some(Holdout { from, reported });
        study
    }

    fn person(&mut self) -> Person {
        let small = |number: i64| u8::try_from(number).expect("small");
        Person {
            id: PersonId(1),
            gender: ConceptId(self.any(&[0, 8507, 8532])),
            race: ConceptId(self.any(&[0, 8515, 8527])),
            ethnicity: ConceptId(self.any(&[0, 8515, 7])),
            birth_year: (!self.one_in(8)).then(|| self.any(&[1950, 1980, 1997, 2015, 2016])),
            birth_month: (!self.one_in(4)).then(|| small(1 + self.below(12))),
            birth_day: (!self.one_in(4)).then(|| small(1 + self.below(28))),
            location: None,
            care_site: None,
        }
    }

    fn periods(&mut self) -> Vec<Period> {
        let mut periods: Vec<Period> = (0..=self.below(3))
            .map(|_| {
                let (one, two) = (self.moment().day(), self.moment().day());
                Period { person: PersonId(1), start: one.min(two), end: one.max(two) }
            })
            .collect();
        if !self.one_in(3) {
            let (start, end) =
                (Day::from_epoch_days(16_400).expect("2014"), Day::from_epoch_days(16_500).expect("2015"));
            periods.push(Period { person: PersonId(1), start, end });
        }
        periods.sort_unstable();
        periods
    }

    fn event(&mut self) -> Event {
        use Domain::{Condition, Death, Measurement, Observation, Visit, VisitDetail};
        let time = self.moment();
        let domain = match self.below(24) {
            20..24 => return self.note(time),
            0 => Death,
            1..6 => Visit,
            6..8 => VisitDetail,
            8..14 => Condition,
            14..17 => Observation,
            _ => Measurement,
        };
        // As the reader has them: an end is never on an earlier day, nor earlier where both have times.
        let end = self.moment();
        let both = time.micros_of_day().is_some() && end.micros_of_day().is_some();
        let is_sound = if both { end >= time } else { end.day() >= time.day() };
        Event {
            person: PersonId(1),
            time,
            domain,
            concept: ConceptId(self.any(&[10, 10, 20, 30, 0])),
            end: (is_sound && !self.one_in(4)).then_some(end),
            value: match self.below(10) {
                0 | 1 => Value::None,
                2..5 if domain == Observation => Value::Concept(ConceptId(self.below(5))),
                _ => Value::Number(self.below(10) as f64),
            },
            unit: ConceptId(self.any(&[0, 8876, 8876, 8753])),
            visit: NonZeroI64::new(self.below(3)),
            provenance: ConceptId(self.below(2)),
            status: ConceptId::NONE,
            care_site: NonZeroI64::new(self.below(4)).filter(|_| domain == Visit),
            provider: NonZeroI64::new(self.below(4)).filter(|_| domain == Visit),
        }
    }
}

impl Chance {
    /// What a note says.
    fn note(&mut self, time: Moment) -> Event {
        Event {
            person: PersonId(1),
            time,
            domain: Domain::Note,
            concept: ConceptId(1 + self.below(4)),
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
}

/// One person's examples, none of the other role.
fn found(study: &Study, key: &SplitKey, person: &Person, periods: &[Period], events: &[Event]) -> Examples {
    let records = of_study(study);
    let plan = Plan::new(study, records, &resolved(records));
    let mut wanted: Vec<Event> = events.iter().filter(|event| plan.wants(event)).copied().collect();
    wanted.sort_unstable();
    let mut extraction = Extraction::new(&plan, key);
    extraction.take(&History { person, periods, events: &wanted });
    let roles = [extraction.training, extraction.evaluation];
    let [found, other] = if trains(study, key) {
        roles
    } else {
        let [one, other] = roles;
        [other, one]
    };
    assert_eq!(other.people(), 0, "a person has one role");
    found
}

/// The role of person 1.
fn trains(study: &Study, key: &SplitKey) -> bool {
    key.pseudonym("1").trains(study.split.training_share)
}

#[test]
fn both_implementations_agree() {
    let (mut with, mut without, mut nothing, mut left_out, mut lighter) = (0, 0, 0, 0, 0);
    // Of each role before the holdout and in it.
    let mut marked = [[0; 2]; 2];
    for seed in 0..25_000_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let study = chance.study();
        let (person, periods) = (chance.person(), chance.periods());
        let mut events: Vec<Event> = (0..4 + chance.below(20)).map(|_| chance.event()).collect();
        events.sort_unstable();
        let days = periods.iter().map(|period| (civil(period.start), civil(period.end))).collect();
        let key = SplitKey::from_bytes([u8::try_from(seed % 8).expect("small"); 32]);
        let naive = Naive {
            study: &study,
            trains: trains(&study, &key),
            records: of_study(&study),
            person: &person,
            periods: days,
            events: &events,
        };
        let records = of_study(&study);
        let found = found(&study, &key, &person, &periods, &events);
        // Rows that a source may leave out change nothing.
        let kept = narrowed(&study, &events);
        left_out += events.len() - kept.len();
        assert!(self::found(&study, &key, &person, &periods, &kept) == found, "seed {seed}: narrowed");
        let mut rows = 0..found.len();
        for (output, predicted) in (0_u8..).zip(study.predicted()) {
            let asks = Asks { task: &records.tasks[predicted.task], horizon: predicted.horizon_days };
            let Some(((label, weight), inputs, groups)) = naive.example(asks) else {
                nothing += 1;
                assert_eq!(
                    found.rows_for(output).count(),
                    0,
                    "seed {seed}: no example of {}",
                    predicted.name
                );
                continue;
            };
            *if label > 0.5 { &mut with } else { &mut without } += 1;
            let row = rows.next().unwrap_or_else(|| panic!("seed {seed}: an example of {}", predicted.name));
            assert_eq!((found.output(row), found.label(row)), (output, label), "seed {seed}");
            assert!((found.weight(row) - weight).abs() < 1e-6, "seed {seed}: {weight}");
            lighter += u32::from(weight < 1.0);
            assert_eq!(found.groups_of(row), groups, "seed {seed}: groups");
            if let Some(mark) = groups.get(study.attributes.len()) {
                marked[usize::from(!naive.trains)][usize::from(*mark)] += 1;
            }
            assert_eq!(found.row(row).len(), inputs.len(), "seed {seed}: inputs");
            for (at, (found, wanted)) in found.row(row).iter().zip(&inputs).enumerate() {
                assert!((found - wanted).abs() < 1e-6, "seed {seed}: input {at}: {found}, {wanted}");
            }
        }
        assert_eq!(found.people(), usize::from(!found.is_empty()), "seed {seed}: one person at most");
    }
    println!("{with} with the outcome, {without} without, {nothing} without an example");
    assert!(with > 500 && without > 2000 && nothing > 5000 && left_out > 20_000);
    assert!(lighter > 100, "{lighter} of examples that count less than one");
    let [[training, held_out], [internal, temporal]] = marked;
    assert!(training > 100 && held_out == 0 && internal > 30 && temporal > 30, "{marked:?}");
}
