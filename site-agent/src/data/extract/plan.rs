//! What a study looks for, numbered: each different criterion once, so that an event is looked up once for all.

use super::bound::{self, BoundStay, BoundValues};
use super::clock::epoch_day;
use super::resolve::Resolved;
use crate::data::omop::{ConceptId, Concepts as Rows, Domain, Event, Narrowing, notes};
use consilium_common::study::bindings::{BindingIndex, InForce, StayRule, Visits};
use consilium_common::study::notes::{NoteIndex, Said};
use consilium_common::study::records::{
    AtRisk, Cohort, Covariate, Criterion, Outcome, RecordTable, RecordTask, Records, Rule, SetIndex, Take,
    Window,
};
use consilium_common::study::{Encoding, Study};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// A criterion by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted(pub(super) usize);

/// The study, ready to be held against a person.
pub(super) struct Plan<'a> {
    pub(super) study: &'a Study,
    pub(super) records: &'a Records,
    pub(super) tasks: Vec<TaskPlan<'a>>,
    pub(super) deaths: Wanted,
    pub(super) covariates: Vec<Source>,
    /// First and last day of an index, days since 1970-01-01.
    pub(super) accrual: (i32, i32),
    pub(super) followup_to: i32,
    /// What the visits of bindings are held against, by the number of what is looked for.
    pub(super) stays: Vec<BoundStay>,
    /// Where the values of bindings stand: for each of [`Records::bindings`], where it is one of values that holds here.
    pub(super) values: Vec<Option<BoundValues>>,
    lookup: Lookup,
}

/// One task, ready to be held against a person.
pub(super) struct TaskPlan<'a> {
    pub(super) cohort: &'a Cohort,
    pub(super) asks: &'a Outcome,
    pub(super) entry: Vec<Wanted>,
    pub(super) require: Vec<Condition>,
    pub(super) exclude: Vec<Condition>,
    pub(super) outcome: Vec<Wanted>,
    /// Where the time at risk is a stay.
    pub(super) visits: Option<Wanted>,
}

/// A rule of a cohort.
pub(super) enum Condition {
    Age {
        min: u32,
        max: u32,
    },
    DiedBefore,
    Has {
        events: Wanted,
        window: Window,
        count_min: usize,
    },
    StillThere,
    /// Any such event up to the prediction time.
    SeenBy(Wanted),
    /// A rule that this site does without.
    Spared,
    TransferWithin {
        days: i32,
    },
}

/// Where an input comes from.
pub(super) enum Source {
    Age,
    Sex(Vec<Vec<i64>>),
    Present(Wanted, Window),
    Count(Wanted, Window),
    Measured(Measured),
}

/// Numbers of a measurement.
pub(super) struct Measured {
    pub(super) events: Wanted,
    pub(super) window: Window,
    pub(super) take: Take,
    /// Sorted.
    pub(super) units: Vec<ConceptId>,
    pub(super) unit_missing: bool,
    pub(super) plausible: Option<(f64, f64)>,
    /// Of [`Take::Worst`].
    pub(super) normal: Option<(f64, f64)>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(study: &'a Study, records: &'a Records, resolved: &Resolved) -> Self {
        let mut looked = LookedFor::default();
        let mut number = |criterion: Criterion| looked.number(Looked::of(criterion));
        let tasks = records.tasks.iter().map(|task| TaskPlan::new(records, task, &mut number)).collect();
        let deaths = number(Criterion { table: RecordTable::Death, set: None });
        let covariates = (0..records.covariates.len())
            .map(|at| source(study, records, resolved, at, &mut looked))
            .collect();
        let accrual = (epoch_day(records.accrual.0), epoch_day(records.accrual.1));
        let followup_to = epoch_day(records.followup_to);
        let stays = bound::stays(records, resolved, &mut looked);
        let values = bound::values(study, records, &mut looked);
        let lookup = Lookup::new(&looked.0, records, resolved);
        Self { study, records, tasks, deaths, covariates, accrual, followup_to, stays, values, lookup }
    }

    /// The tables that have to be read.
    pub(super) fn domains(&self) -> Vec<Domain> {
        Domain::WITH_NOTES
            .into_iter()
            .filter(|domain| self.lookup.tables[*domain as usize].is_read())
            .collect()
    }

    /// Which rows can change an example: those that meet any criterion, of people who have an entry event. Nobody else has
    /// one, and what a person's is made from is that person's alone.
    pub(super) fn narrowing(&self) -> Narrowing {
        let rows = |domain: &Domain, met: &dyn Fn(&[u16]) -> bool| {
            let OfTable { any, concepts, .. } = &self.lookup.tables[*domain as usize];
            if met(any) {
                return Rows::All;
            }
            let these = concepts.iter().filter(|(_, criteria)| met(criteria));
            Rows::These(these.map(|(concept, _)| *concept).collect())
        };
        let entries = || self.tasks.iter().flat_map(|task| &task.entry);
        let is_entry =
            |criteria: &[u16]| entries().any(|entry| criteria.iter().any(|met| usize::from(*met) == entry.0));
        let domains = self.domains();
        // What a note says is known once it was read.
        let matters = |domain: &Domain| match domain {
            Domain::Note => Rows::All,
            _ => rows(domain, &|criteria| !criteria.is_empty()),
        };
        let matter = domains.iter().map(|domain| (*domain, matters(domain)));
        let entry = domains.iter().map(|domain| (*domain, rows(domain, &is_entry)));
        let has_some = |(_, rows): &(Domain, Rows)| match rows {
            Rows::All => true,
            Rows::These(concepts) => !concepts.is_empty(),
        };
        Narrowing { matter: matter.collect(), entry: entry.filter(has_some).collect(), ancestors: None }
    }

    /// How many criteria there are.
    pub(super) fn criteria(&self) -> usize {
        self.lookup.criteria
    }

    /// The criteria that an event meets.
    pub(super) fn wanted_by(&self, event: &Event) -> &[u16] {
        self.lookup.tables[event.domain as usize].of(event.concept)
    }

    /// Whether an event meets any.
    pub(super) fn wants(&self, event: &Event) -> bool {
        !self.wanted_by(event).is_empty()
    }
}

impl<'a> TaskPlan<'a> {
    fn new(records: &Records, task: &'a RecordTask, number: &mut impl FnMut(Criterion) -> Wanted) -> Self {
        let RecordTask { cohort, outcome } = task;
        let mut condition = |rule: &Rule| match rule {
            Rule::Age { min, max } => Condition::Age { min: *min, max: *max },
            Rule::DiedBefore => Condition::DiedBefore,
            Rule::StillThere => Condition::StillThere,
            Rule::SeenBy(binding) if records.binding(*binding).in_force == InForce::Absent => {
                Condition::Spared
            }
            Rule::SeenBy(binding) => {
                Condition::SeenBy(number(Criterion { table: RecordTable::Stay(*binding), set: None }))
            }
            Rule::TransferWithin { days } => {
                Condition::TransferWithin { days: i32::try_from(*days).unwrap_or(i32::MAX) }
            }
            Rule::Has { events, window, count_min } => Condition::Has {
                events: number(*events),
                window: *window,
                count_min: usize::try_from(*count_min).unwrap_or(usize::MAX),
            },
        };
        let require = cohort.require.iter().map(&mut condition).collect();
        let exclude = cohort.exclude.iter().map(&mut condition).collect();
        let entry = cohort.entry.iter().map(|criterion| number(*criterion)).collect();
        let any_of = outcome.any_of.iter().map(|criterion| number(*criterion)).collect();
        let visits = (outcome.at_risk == AtRisk::Stay)
            .then(|| number(Criterion { table: RecordTable::Visit, set: None }));
        Self { cohort, asks: outcome, entry, require, exclude, outcome: any_of, visits }
    }
}

fn source(
    study: &Study,
    records: &Records,
    resolved: &Resolved,
    at: usize,
    looked: &mut LookedFor,
) -> Source {
    let mut number = |criterion: Criterion| looked.number(Looked::of(criterion));
    match &records.covariates[at] {
        Covariate::Age => Source::Age,
        Covariate::Sex { levels } => Source::Sex(levels.clone()),
        Covariate::Present { events, window } => Source::Present(number(*events), *window),
        Covariate::Count { events, window } => Source::Count(number(*events), *window),
        Covariate::Noted { concept, said, window } => {
            let concepts = Concepts::Noted(*concept, *said);
            Source::Present(looked.number(Looked { domain: Domain::Note, concepts }), *window)
        }
        Covariate::Measured { events, window, take, units, unit_missing, plausible } => {
            let mut known: Vec<ConceptId> =
                units.iter().filter_map(|code| resolved.units.get(code)).flatten().copied().collect();
            known.sort_unstable();
            known.dedup();
            Source::Measured(Measured {
                events: number(*events),
                window: *window,
                take: *take,
                units: known,
                unit_missing: *unit_missing,
                plausible: *plausible,
                normal: normal(study, records, at),
            })
        }
    }
}

/// The normal range of what is measured: the feature's own, or that of the next one in order, else of the first, which is
/// made from the same measurement and is a distance from normal.
fn normal(study: &Study, records: &Records, at: usize) -> Option<(f64, f64)> {
    let same = |other: &usize| records.covariates[*other] == records.covariates[at];
    (at..study.features.len()).chain(0..at).filter(same).find_map(|other| {
        match study.features[other].encoding {
            Encoding::Distance { normal, .. } => Some(normal),
            _ => None,
        }
    })
}

/// What is looked for, each different one once.
#[derive(Default)]
pub(super) struct LookedFor(Vec<Looked>);

/// Events of a table by their concept.
#[derive(PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) domain: Domain,
    pub(super) concepts: Concepts,
}

/// See [`Looked`].
#[derive(PartialEq, Eq)]
pub(super) enum Concepts {
    /// Every event.
    All,
    /// Of a set of the study.
    Set(SetIndex),
    /// That a site lists.
    Listed(Vec<i64>),
    /// Visits that can be stays of a binding: [`bound::narrow`] takes the others out.
    Stay(BindingIndex),
    /// Notes that say so.
    Noted(NoteIndex, Said),
}

impl Looked {
    pub(super) fn of(criterion: Criterion) -> Self {
        let concepts = match (criterion.table, criterion.set) {
            (RecordTable::Stay(binding), _) => Concepts::Stay(binding),
            (_, Some(set)) => Concepts::Set(set),
            (_, None) => Concepts::All,
        };
        Self { domain: domain_of(criterion.table), concepts }
    }
}

impl LookedFor {
    pub(super) fn number(&mut self, looked: Looked) -> Wanted {
        let known = self.0.iter().position(|other| *other == looked);
        Wanted(known.unwrap_or_else(|| {
            self.0.push(looked);
            self.0.len() - 1
        }))
    }

    /// The stays of bindings that something looks for.
    pub(super) fn stays(&self) -> Vec<(Wanted, BindingIndex)> {
        let stay = |(at, looked): (usize, &Looked)| match looked.concepts {
            Concepts::Stay(binding) => Some((Wanted(at), binding)),
            _ => None,
        };
        self.0.iter().enumerate().filter_map(stay).collect()
    }
}

/// None for every concept.
fn concepts<'a>(
    concepts: &Concepts,
    records: &Records,
    resolved: &'a Resolved,
) -> Option<Cow<'a, BTreeSet<ConceptId>>> {
    let listed = |ids: &[i64]| Cow::Owned(ids.iter().copied().map(ConceptId).collect());
    match concepts {
        Concepts::All => None,
        Concepts::Set(set) => Some(Cow::Borrowed(&resolved.sets[set.0])),
        Concepts::Listed(ids) => Some(listed(ids)),
        Concepts::Noted(finding, said) => Some(Cow::Owned(BTreeSet::from([notes::concept(*finding, *said)]))),
        Concepts::Stay(binding) => match &records.binding(*binding).in_force {
            InForce::Stays(StayRule { visits: Visits::Any, .. }) => None,
            InForce::Stays(StayRule { visits: Visits::Set(set), .. }) => {
                Some(Cow::Borrowed(&resolved.sets[set.0]))
            }
            InForce::Stays(StayRule { visits: Visits::Listed(ids), .. }) => Some(listed(ids)),
            InForce::Values(_) | InForce::Absent | InForce::Unanswered => Some(listed(&[])),
        },
    }
}

/// For each table which criteria a concept meets.
struct Lookup {
    tables: [OfTable; Domain::WITH_NOTES.len()],
    criteria: usize,
}

#[derive(Default)]
struct OfTable {
    /// Met by every event of the table.
    any: Box<[u16]>,
    /// These, and `any`.
    concepts: HashMap<ConceptId, Box<[u16]>, BuildHasherDefault<ConceptHasher>>,
    /// Read, also where no concept of the sets is known here.
    named: bool,
}

impl Lookup {
    fn new(looked: &[Looked], records: &Records, resolved: &Resolved) -> Self {
        let mut tables: [OfTable; Domain::WITH_NOTES.len()] = Default::default();
        let numbered = |domain: Domain| {
            let of_table = looked.iter().enumerate().filter(move |(_, looked)| looked.domain == domain);
            of_table.map(|(at, looked)| {
                let at = u16::try_from(at).expect("a study has fewer criteria");
                (at, concepts(&looked.concepts, records, resolved))
            })
        };
        for domain in Domain::WITH_NOTES {
            let table = &mut tables[domain as usize];
            table.named = numbered(domain).next().is_some();
            table.any = numbered(domain).filter(|(_, all)| all.is_none()).map(|(at, _)| at).collect();
            let mut concepts: HashMap<ConceptId, Vec<u16>> = HashMap::new();
            for (at, of_this) in numbered(domain).filter_map(|(at, all)| Some((at, all?))) {
                for concept in of_this.iter() {
                    concepts.entry(*concept).or_insert_with(|| table.any.to_vec()).push(at);
                }
            }
            table.concepts = concepts.into_iter().map(|(concept, at)| (concept, at.into())).collect();
        }
        Self { tables, criteria: looked.len() }
    }
}

impl OfTable {
    fn of(&self, concept: ConceptId) -> &[u16] {
        self.concepts.get(&concept).unwrap_or(&self.any)
    }

    fn is_read(&self) -> bool {
        self.named
    }
}

/// The table's name among events.
pub(super) const fn domain_of(table: RecordTable) -> Domain {
    match table {
        RecordTable::Visit | RecordTable::Stay(_) => Domain::Visit,
        RecordTable::VisitDetail => Domain::VisitDetail,
        RecordTable::Condition => Domain::Condition,
        RecordTable::Drug => Domain::Drug,
        RecordTable::Procedure => Domain::Procedure,
        RecordTable::Measurement => Domain::Measurement,
        RecordTable::Observation => Domain::Observation,
        RecordTable::Death => Domain::Death,
    }
}

/// Concepts are looked up for every row of every table; the keys are the study's, so nobody can choose them to collide.
#[derive(Default)]
struct ConceptHasher(u64);

impl Hasher for ConceptHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing (Knuth 6.4); the high bits are the good ones, and the map looks at both ends.
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }
}
