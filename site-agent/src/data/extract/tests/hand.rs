//! Studies and people by hand.

use super::super::cohort::Depth;
use super::super::outcome::Found;
use super::super::plan::Plan;
use super::super::resolve::{self, Resolved};
use super::super::timeline::Lists;
use super::super::{attributes, cohort, covariates, outcome};
use crate::data::omop::{
    ConceptId, Concepts, Day, Domain, Event, History, Moment, Narrowing, Period, Person, PersonId, Table,
    Value,
};
use consilium_common::study::records::*;
use consilium_common::study::{self, Data, Encoding, Feature, SplitBy, Study, Task};
use std::collections::BTreeMap;
use std::num::NonZeroI64;
use std::sync::OnceLock;

pub(super) const ENTRY: SetIndex = SetIndex(0);
pub(super) const OUTCOME: SetIndex = SetIndex(1);
pub(super) const PULSE: SetIndex = SetIndex(2);

/// Asks about people with condition 10 in 2015; the outcome is condition 20 within 1 to 30 days. Sets: 10, 20, 30.
pub(super) fn records() -> Records {
    let set = |name: &str, id: i64| ConceptSet {
        name: name.to_owned(),
        include: vec![member(id, name)],
        exclude: vec![],
        source: None,
    };
    Records {
        formats: vec!["omop-cdm-5.4".to_owned()],
        accrual: (jiff::civil::date(2015, 1, 1), jiff::civil::date(2015, 12, 31)),
        followup_to: jiff::civil::date(2016, 12, 31),
        date_only: DateOnly::End,
        min_vocabulary: None,
        bindings: vec![],
        sets: vec![set("entry", 10), set("outcome", 20), set("pulse", 30)],
        tasks: vec![RecordTask {
            cohort: Cohort {
                name: "first".to_owned(),
                entry: vec![condition(ENTRY)],
                limit: Limit::FirstInAccrual,
                index: Anchor::Start,
                predict_after_hours: 0,
                prior_observation_days: 0,
                require: vec![],
                exclude: vec![],
            },
            outcome: Outcome {
                any_of: vec![condition(OUTCOME)],
                gap_days_min: 0,
                at_risk: AtRisk::Days { from: 1, to: vec![30] },
                prior: PriorOutcome::Keep,
                short_follow_up: ShortFollowUp::Drop,
                death: Death::Competing,
            },
        }],
        covariates: vec![],
        attributes: vec![],
        notes: None,
    }
}

pub(super) fn member(id: i64, name: &str) -> Member {
    Member { concept: ConceptRef::Id { id, name: name.to_owned() }, descendants: false }
}

pub(super) fn condition(set: SetIndex) -> Criterion {
    Criterion { table: RecordTable::Condition, set: Some(set) }
}

pub(super) fn of(table: RecordTable, set: Option<SetIndex>) -> Criterion {
    Criterion { table, set }
}

/// The numbers of concept 30, in mm[Hg].
pub(super) fn measured(window: Window, take: Take) -> Covariate {
    Covariate::Measured {
        events: of(RecordTable::Measurement, Some(PULSE)),
        window,
        take,
        units: vec!["mm[Hg]".to_owned()],
        unit_missing: false,
        plausible: None,
    }
}

/// A study of these records with these encodings of its covariates.
pub(super) fn study(records: Records, encodings: &[Encoding]) -> Study {
    // Prices are computed once.
    static PARSED: OnceLock<Study> = OnceLock::new();
    let parse =
        || study::parse(include_bytes!("../../testdata/study.toml")).unwrap_or_else(|e| panic!("{e}"));
    on_records(PARSED.get_or_init(parse).clone(), records, encodings)
}

/// The same study, but on these records.
pub(super) fn on_records(mut study: Study, records: Records, encodings: &[Encoding]) -> Study {
    assert_eq!(encodings.len(), records.covariates.len());
    let named = encodings.iter().enumerate();
    study.features = named
        .map(|(at, encoding)| Feature { name: format!("f{at}"), unit: None, encoding: encoding.clone() })
        .collect();
    if records.attributes.is_empty() {
        study.attributes = vec![];
    }
    let named = |(at, task): (usize, &RecordTask)| Task {
        name: if at == 0 { "recurrence".to_owned() } else { format!("task{at}") },
        prevalence_public: vec![None; task.outcome.at_risk.horizons().len()],
    };
    study.tasks = records.tasks.iter().enumerate().map(named).collect();
    study.split.by = SplitBy::SiteHash;
    study.data = Data::Records(Box::new(records));
    study
}

pub(super) fn of_study(study: &Study) -> &Records {
    match &study.data {
        Data::Records(records) => records,
        Data::Table(_) => panic!("a study on records"),
    }
}

/// The sets as their own concepts alone.
pub(super) fn resolved(records: &Records) -> Resolved {
    match resolve::meant(records, &BTreeMap::new(), Ok(&BTreeMap::new()), true) {
        Ok(mut resolved) => {
            for (table, concepts) in resolve::places(records) {
                let of_concepts = (1..9).filter(|id| concepts.contains(&kind_of(table, *id)));
                let ids = of_concepts.filter_map(NonZeroI64::new).collect();
                resolved.ids.insert((table, concepts.to_vec()), ids);
            }
            resolved
        }
        Err(mismatches) => panic!("{mismatches:?}"),
    }
}

/// What stands in tables `care_site` and `provider` beside an id.
pub(super) fn kind_of(table: Table, id: i64) -> i64 {
    match table {
        Table::CareSite => 500 + id % 3,
        Table::Provider => 600 + id % 2,
        other => panic!("{other} is no place"),
    }
}

pub(super) fn born(year: i16, month: u8, day: u8) -> Person {
    Person {
        id: PersonId(1),
        gender: ConceptId(8532),
        race: ConceptId::NONE,
        ethnicity: ConceptId::NONE,
        birth_year: Some(year),
        birth_month: Some(month),
        birth_day: Some(day),
        location: None,
        care_site: None,
    }
}

pub(super) fn moment(text: &str) -> Moment {
    Moment::parse(text.as_bytes()).unwrap_or_else(|_| panic!("a moment: {text}"))
}

pub(super) fn day(text: &str) -> Day {
    moment(text).day()
}

pub(super) fn periods(texts: &[(&str, &str)]) -> Vec<Period> {
    let mut periods: Vec<Period> = texts
        .iter()
        .map(|(start, end)| Period { person: PersonId(1), start: day(start), end: day(end) })
        .collect();
    periods.sort_unstable();
    periods
}

/// `condition 10 2015-01-05T10:00 to 2015-01-06 visit 3 value 36.6 unit 8876`.
pub(super) fn event(text: &str) -> Event {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap_or_else(|| panic!("a word more: {text}"));
    let domain = match next() {
        "visit" => Domain::Visit,
        "detail" => Domain::VisitDetail,
        "condition" => Domain::Condition,
        "measurement" => Domain::Measurement,
        "observation" => Domain::Observation,
        "death" => Domain::Death,
        other => panic!("no table {other}"),
    };
    let number = |word: &str| word.parse::<i64>().unwrap_or_else(|_| panic!("a number: {text}"));
    let mut event = Event {
        person: PersonId(1),
        domain,
        concept: ConceptId(number(next())),
        time: moment(next()),
        end: None,
        value: Value::None,
        unit: ConceptId::NONE,
        visit: None,
        provenance: ConceptId::NONE,
        status: ConceptId::NONE,
        care_site: None,
        provider: None,
    };
    while let Some(key) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("a word more: {text}"));
        match key {
            "to" => event.end = Some(moment(value)),
            "in" => event.visit = NonZeroI64::new(number(value)),
            "value" => event.value = Value::Number(value.parse().expect("a number")),
            "unit" => event.unit = ConceptId(number(value)),
            "coded" => event.value = Value::Concept(ConceptId(number(value))),
            "at" => event.care_site = NonZeroI64::new(number(value)),
            "by" => event.provider = NonZeroI64::new(number(value)),
            other => panic!("no key {other}"),
        }
    }
    event
}

/// What came of one person, by the first task at its first horizon.
pub(super) struct Answer {
    pub(super) depth: Depth,
    /// In words, so that it can be compared.
    pub(super) index: Option<String>,
    pub(super) found: Option<Found>,
    pub(super) weight: f32,
    pub(super) inputs: Vec<f32>,
    pub(super) groups: Vec<u16>,
}

/// The events that come of a source which leaves out what it may.
pub(super) fn narrowed(study: &Study, events: &[Event]) -> Vec<Event> {
    let records = of_study(study);
    let Narrowing { matter, entry, .. } = Plan::new(study, records, &resolved(records)).narrowing();
    let among = |rows: &BTreeMap<Domain, Concepts>, event: &Event| match rows.get(&event.domain) {
        None => false,
        Some(Concepts::All) => true,
        Some(Concepts::These(concepts)) => concepts.contains(&event.concept),
    };
    if !events.iter().any(|event| among(&entry, event)) {
        return Vec::new();
    }
    events.iter().filter(|event| among(&matter, event)).copied().collect()
}

pub(super) fn ask(study: &Study, person: &Person, periods: &[Period], events: &[Event]) -> Answer {
    let records = of_study(study);
    let plan = Plan::new(study, records, &resolved(records));
    let mut events: Vec<Event> = events.iter().filter(|event| plan.wants(event)).copied().collect();
    events.sort_unstable();
    let mut lists = Lists::new(&plan);
    let timeline = lists.fill(&plan, &History { person, periods, events: &events });
    let (depth, asked) = cohort::index(&plan, &plan.tasks[0], &timeline);
    let Some(asked) = asked else {
        return Answer { depth, index: None, found: None, weight: 1.0, inputs: vec![], groups: vec![] };
    };
    let micros = jiff::SignedDuration::from_micros(asked.index.0);
    let index = jiff::civil::datetime(1970, 1, 1, 0, 0, 0, 0) + micros;
    let horizon = plan.tasks[0].asks.at_risk.horizons()[0];
    let mut tally = vec![Default::default(); study.features.len()];
    let (found, weight) = outcome::find(&plan, &plan.tasks[0], horizon, &timeline, &asked);
    Answer {
        depth,
        index: Some(index.to_string()),
        found: Some(found),
        weight,
        inputs: covariates::inputs(&plan, &timeline, &asked, &mut tally),
        groups: attributes::groups(&plan, &timeline, &asked),
    }
}
