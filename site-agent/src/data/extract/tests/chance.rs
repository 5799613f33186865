//! Random small studies about random small lives: both implementations must agree on each.

use super::super::outcome::Found;
use super::hand::{Answer, ask, narrowed, of, of_study, study};
use super::naive::{Naive, civil};
use crate::data::omop::{ConceptId, Day, Domain, Event, Moment, Period, Person, PersonId, Value};
use consilium_common::study::records::*;
use consilium_common::study::{Attribute, AttributeValues, Encoding, Study};
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
        use RecordTable::{Condition, Death, Measurement, Visit, VisitDetail};
        let table = self.any(&[Condition, Condition, Measurement, Visit, VisitDetail, Death]);
        let set = (table != Death && !self.one_in(3))
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
            .map(|_| match self.below(4) {
                0 => Rule::Age { min: 20, max: 50 },
                1 => Rule::DiedBefore,
                2 => Rule::StillThere,
                _ => Rule::Has {
                    events: self.criterion(),
                    window: self.window(after_hours),
                    count_min: u32::try_from(1 + self.below(2)).expect("small"),
                },
            })
            .collect()
    }

    fn study(&mut self) -> Study {
        let mut records = super::hand::records();
        let two = |chance: &mut Self| {
            let (one, other) = (chance.date(), chance.date());
            if one < other { (one, other) } else { (other, one) }
        };
        records.accrual = if self.one_in(4) { two(self) } else { (date(2014, 1, 1), date(2016, 1, 1)) };
        records.followup_to = if self.one_in(5) { self.date() } else { date(2016, 1, 1) };
        records.date_only = self.any(&[DateOnly::Start, DateOnly::End]);
        let after_hours = self.any(&[0, 0, 1, 14, 24, 30]);
        records.cohort.predict_after_hours = after_hours;
        records.cohort.entry = (0..=self.below(2)).map(|_| self.criterion()).collect();
        records.cohort.limit = self.any(&[Limit::FirstEver, Limit::FirstInAccrual]);
        records.cohort.index = self.any(&[Anchor::Start, Anchor::End]);
        records.cohort.prior_observation_days = self.any(&[0, 0, 2, 5]);
        records.cohort.require = self.rules(after_hours);
        records.cohort.exclude = self.rules(after_hours);
        let (from, length) = (self.any(&[1, 1, 3]), self.any(&[0, 2, 6]));
        records.outcome = Outcome {
            any_of: (0..=self.below(2)).map(|_| self.criterion()).collect(),
            at_risk: if !self.one_in(3) { AtRisk::Days { from, to: from + length } } else { AtRisk::Stay },
            prior: self.any(&[
                PriorOutcome::Keep,
                PriorOutcome::Keep,
                PriorOutcome::Keep,
                PriorOutcome::Remove,
            ]),
            short_follow_up: self.any(&[ShortFollowUp::Drop, ShortFollowUp::KeepIfOutcome]),
            death: self.any(&[Death::Competing, Death::Censoring]),
        };
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
        ];
        records.attributes =
            vec![vec![PersonField::Race, PersonField::Ethnicity], vec![PersonField::YearOfBirth]];
        let encodings = [
            Encoding::Number { low: 18.0, high: 90.0 },
            Encoding::Category { levels: vec!["female".to_owned(), "male".to_owned()] },
            Encoding::Flag,
            Encoding::Count { cap: 3 },
            Encoding::Number { low: 0.0, high: 9.0 },
            Encoding::Distance { range: (0.0, 9.0), normal: (3.0, 5.0) },
        ];
        let mut study = study(records, &encodings);
        let groups = vec![(vec![8515], "Asian".to_owned()), (vec![8527], "White".to_owned())];
        let attribute = |name: &str, values| Attribute { name: name.to_owned(), values };
        study.attributes = vec![
            attribute("ethnicity", AttributeValues::Concepts(groups)),
            attribute("age_band", AttributeValues::Bands(vec![18.0, 35.0, 65.0])),
        ];
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
        use Domain::{Condition, Death, Measurement, Visit, VisitDetail};
        let time = self.moment();
        let domain = match self.below(20) {
            0 => Death,
            1..4 => Visit,
            4..6 => VisitDetail,
            6..12 => Condition,
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
            value: if self.one_in(5) { Value::None } else { Value::Number(self.below(10) as f64) },
            unit: ConceptId(self.any(&[0, 8876, 8876, 8753])),
            visit: NonZeroI64::new(self.below(3)),
            provenance: ConceptId(self.below(2)),
            status: ConceptId::NONE,
            care_site: None,
        }
    }
}

#[test]
fn both_implementations_agree() {
    let (mut with, mut without, mut nothing, mut left_out) = (0, 0, 0, 0);
    for seed in 0..25_000_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let study = chance.study();
        let (person, periods) = (chance.person(), chance.periods());
        let mut events: Vec<Event> = (0..4 + chance.below(20)).map(|_| chance.event()).collect();
        events.sort_unstable();
        let days = periods.iter().map(|period| (civil(period.start), civil(period.end))).collect();
        let naive = Naive {
            study: &study,
            records: of_study(&study),
            person: &person,
            periods: days,
            events: &events,
        };
        let expected = naive.example();
        let answer = ask(&study, &person, &periods, &events);
        let label = match answer.found {
            Some(Found::Known(happened)) => Some(if happened { 1.0 } else { 0.0 }),
            _ => None,
        };
        assert_eq!(label, expected.as_ref().map(|(label, ..)| *label), "seed {seed}: label");
        // Rows that a source may leave out change nothing.
        let kept = narrowed(&study, &events);
        left_out += events.len() - kept.len();
        let alone = ask(&study, &person, &periods, &kept);
        let example = |answer: &Answer| match answer.found {
            Some(Found::Known(happened)) => Some((happened, answer.inputs.clone(), answer.groups.clone())),
            _ => None,
        };
        assert!(example(&alone) == example(&answer), "seed {seed}: narrowed");
        match expected {
            None => nothing += 1,
            Some((label, inputs, groups)) => {
                *if label > 0.5 { &mut with } else { &mut without } += 1;
                assert_eq!(answer.groups, groups, "seed {seed}: groups");
                assert_eq!(answer.inputs.len(), inputs.len(), "seed {seed}: inputs");
                for (at, (found, wanted)) in answer.inputs.iter().zip(&inputs).enumerate() {
                    assert!((found - wanted).abs() < 1e-6, "seed {seed}: input {at}: {found}, {wanted}");
                }
            }
        }
    }
    println!("{with} with the outcome, {without} without, {nothing} without an example");
    assert!(with > 500 && without > 2000 && nothing > 5000 && left_out > 20_000);
}
