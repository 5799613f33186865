//! Rows that cannot matter stay in the database, and no others; what a server cannot tell as we do, it sends.

use super::super::super::tests::hospital::hospital;
use super::super::super::{
    ConceptId, Concepts, Domain, Event, Narrowing, People, PersonId, QueryLog, Reading, Source, Table,
    Wanted, stream, vocabulary,
};
use super::super::{Database, plan, plan_narrowed};
use super::cluster::Cluster;
use super::{READER, config, model, script};
use std::collections::{BTreeMap, BTreeSet};

const READ: [Domain; 3] = [Domain::Condition, Domain::Measurement, Domain::Visit];
const ENTRY: std::ops::RangeInclusive<i64> = 1..=9;

fn these(concepts: impl IntoIterator<Item = i64>) -> Concepts {
    Concepts::These(concepts.into_iter().map(ConceptId).collect())
}

/// People come in by a condition of 1 to 9; of them conditions of 1 to 19, measurements of 20 to 49 and any visit matter.
fn narrowing() -> Narrowing {
    Narrowing {
        matter: BTreeMap::from([
            (Domain::Condition, these(1..=19)),
            (Domain::Measurement, these(20..=49)),
            (Domain::Visit, Concepts::All),
        ]),
        entry: BTreeMap::from([(Domain::Condition, these(ENTRY))]),
        ancestors: None,
    }
}

fn matters(event: &Event) -> bool {
    match event.domain {
        Domain::Condition => (1..=19).contains(&event.concept.0),
        Domain::Measurement => (20..=49).contains(&event.concept.0),
        _ => true,
    }
}

/// Every event that comes, and how many rows come of each table.
fn events(source: Source<'_>) -> (Vec<Event>, Vec<u64>) {
    let (stream, counts) = stream::read(source, &READ, &Reading::default(), |_| true).expect("reads");
    let events = stream.collect::<Result<_, _>>().expect("reads");
    (events, READ.into_iter().map(|domain| counts[&domain].rows).collect())
}

/// Which rows come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Come {
    Everything,
    /// Of everybody, with a concept that matters.
    ByConcept,
    /// Of those who come in, with any concept.
    ByPerson,
    ByBoth,
}
use Come::{ByBoth, ByConcept, ByPerson, Everything};

/// A hospital, changed by `more`, with and without a narrowing.
#[track_caller]
fn check(cluster: &Cluster, more: &str, expected: [Come; 3]) {
    cluster.sql(&format!(
        "DROP SCHEMA IF EXISTS cdm CASCADE; {} {more}",
        script("cdm", &hospital(200, 600), &|column| model(column).to_owned())
    ));
    let narrowing = narrowing();
    for connections in [1, 3] {
        let database =
            Database::open(&config(cluster, &format!("connections = {connections}"))).expect("opens");
        let (all, rows_of_all) = events((&database).into());
        let (some, rows) = events(Source::from(&database).narrowed(&narrowing));
        let is_entry = |event: &&Event| event.domain == Domain::Condition && ENTRY.contains(&event.concept.0);
        let entered: BTreeSet<PersonId> = all.iter().filter(is_entry).map(|event| event.person).collect();
        let wanted = |events: &[Event]| -> Vec<Event> {
            let is_wanted = |event: &&Event| matters(event) && entered.contains(&event.person);
            events.iter().filter(is_wanted).copied().collect()
        };
        let count = wanted(&all).len();
        assert!(count > 100 && count < all.len() / 2, "{count} of {}", all.len());
        // No assert_eq: a failure must not print a hospital.
        assert!(wanted(&some) == wanted(&all), "{more}: other events of those who come in");
        for (at, (domain, expected)) in READ.into_iter().zip(expected).enumerate() {
            let comes = |event: &&Event| match expected {
                Everything => true,
                ByConcept => matters(event),
                ByPerson => entered.contains(&event.person),
                ByBoth => matters(event) && entered.contains(&event.person),
            };
            let of_domain = all.iter().filter(|event| event.domain == domain);
            assert_eq!(rows[at], of_domain.filter(comes).count() as u64, "{more}: {domain:?}, {expected:?}");
            assert!(rows[at] < rows_of_all[at] || expected == Everything, "{more}: {domain:?}");
        }
        let people = |source| People::read(source).expect("reads").persons.len();
        let known = entered.iter().filter(|person| (0..200).contains(&person.0)).count();
        let whoever = if expected[2] == ByBoth { known } else { 200 };
        let narrowed = people(Source::from(&database).narrowed(&narrowing));
        assert_eq!((people((&database).into()), narrowed), (200, whoever), "{more}");
    }
}

#[test]
fn rows_that_cannot_matter_stay_and_no_others() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let check = |more: &str, expected| check(&cluster, more, expected);
    let of = |table: &str, column: &str, found: &str, using: &str| {
        format!("ALTER TABLE cdm.{table} ALTER {column} TYPE {found} USING ({using});")
    };
    let small = |table: &str, column: &str, found: &str, greatest: i64| {
        of(table, column, found, &format!("CASE WHEN {column} <= {greatest} THEN {column} END"))
    };
    check("", [ByBoth; 3]);
    check("CREATE INDEX ON cdm.condition_occurrence (condition_concept_id); ANALYZE;", [ByBoth; 3]);
    let smaller = [
        small("condition_occurrence", "condition_concept_id", "int2", 32_767),
        small("measurement", "measurement_concept_id", "int4", 2_147_483_647),
        of("measurement", "person_id", "int4", "person_id::int4"),
    ];
    check(&smaller.concat(), [ByBoth; 3]);
    // A domain is compared as what it is made from; a view, and names in other letters, as any table.
    let dressed = format!(
        "CREATE DOMAIN cdm.concept_number AS bigint; \
         ALTER TABLE cdm.measurement ALTER measurement_concept_id TYPE cdm.concept_number; \
         ALTER TABLE cdm.condition_occurrence RENAME condition_concept_id TO \"Condition_Concept_ID\"; \
         ALTER TABLE cdm.visit_occurrence RENAME TO visits; \
         CREATE VIEW cdm.visit_occurrence AS SELECT * FROM cdm.visits; GRANT SELECT ON cdm.visit_occurrence TO {READER};"
    );
    check(&dressed, [ByBoth; 3]);
    // What is no column of whole numbers is not compared.
    let numeric = |table: &str, column: &str| of(table, column, "numeric", column);
    check(&numeric("measurement", "measurement_concept_id"), [ByBoth, ByPerson, ByBoth]);
    check(&numeric("measurement", "person_id"), [ByBoth, ByConcept, ByBoth]);
    check(&numeric("condition_occurrence", "person_id"), [ByConcept, ByConcept, Everything]);
    check(&numeric("condition_occurrence", "condition_concept_id"), [Everything, ByConcept, Everything]);
}

#[test]
fn of_a_hierarchy_what_is_asked_for() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.sql(&script("cdm", &hospital(5, 5), &|column| model(column).to_owned()));
    cluster.sql(&format!(
        "CREATE TABLE cdm.concept_ancestor (ancestor_concept_id int, descendant_concept_id int); \
         GRANT SELECT ON cdm.concept_ancestor TO {READER};"
    ));
    let below = |ids: &[i64]| {
        let (database, log) = (super::open(&cluster), QueryLog::default());
        let of = ids.iter().copied().map(ConceptId).collect();
        let found = vocabulary::descendants(Source::from(&database).noted_in(&log), &of).expect("reads");
        let found = found.map(|all| {
            all.into_iter().map(|(id, set)| (id.0, set.into_iter().map(|id| id.0).collect())).collect()
        });
        (found, log.lines())
    };
    type Below = Vec<(i64, Vec<i64>)>;
    let check = |ids: &[i64], expected: Option<Below>, queries: usize| {
        let (found, asked): (Option<Below>, _) = below(ids);
        assert_eq!((found, asked.len()), (expected, queries), "{asked:?}");
        let listed: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let filter =
            format!(" WHERE \"ancestor_concept_id\" = ANY ('{{{}}}'::int4[])) TO STDOUT", listed.join(","));
        assert_eq!(asked.iter().filter(|query| query.contains(&filter)).count(), 1, "{asked:?}");
        let any = asked
            .iter()
            .filter(|query| query.ends_with("\"concept_ancestor\" LIMIT 1) TO STDOUT (FORMAT binary)"));
        assert_eq!(any.count(), queries - 1, "{asked:?}");
    };
    // A table without a row is no hierarchy: that is looked at again, by one row and not by all of them.
    check(&[1], None, 2);
    cluster.sql("INSERT INTO cdm.concept_ancestor VALUES (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (7, 8);");
    check(&[1], Some(vec![(1, vec![1, 2, 3])]), 1);
    check(&[2, 7], Some(vec![(2, vec![2, 3]), (7, vec![7, 8])]), 1);
    check(&[9], Some(vec![(9, vec![9])]), 2);
}

#[test]
fn the_plan_says_what_is_sent_and_what_leads_to_it() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    // Many measurements, of which few are asked for: enough that an index is worth it.
    cluster.sql(&format!(
        "{} INSERT INTO cdm.measurement (person_id, measurement_concept_id, measurement_datetime) \
         SELECT n % 200, 1000 + n % 50, '2020-01-01' FROM generate_series(1, 50000) n; \
         CREATE INDEX ON cdm.measurement (measurement_concept_id); ANALYZE;",
        script("cdm", &hospital(200, 600), &|column| model(column).to_owned())
    ));
    let database = super::open(&cluster);
    let wanted = Wanted::all(&READ.map(Table::Clinical));
    let narrowed = plan_narrowed(&database, &wanted, &narrowing());
    let of = |domain: Domain| {
        let found = narrowed.tables.iter().find(|planned| planned.table == Table::Clinical(domain));
        found.expect("planned")
    };
    let measured = of(Domain::Measurement);
    assert_eq!(measured.rows, Some(50_600));
    let sent = measured.sent.expect("may be asked");
    assert!(sent.by_index || sent.rows < 2000, "{sent:?}");
    assert!(measured.query.contains(
        "\"measurement\" WHERE \"measurement_concept_id\" = ANY ('{20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,\
         41,42,43,44,45,46,47,48,49}'::int8[]) AND \"person_id\" IN (SELECT \"person_id\" FROM \"cdm\".\"condition_occurrence\" \
         WHERE \"condition_concept_id\" = ANY ('{1,2,3,4,5,6,7,8,9}'::int8[]))) TO STDOUT"
    ), "{}", measured.query);
    let visits = of(Domain::Visit).sent.expect("may be asked");
    assert!(!visits.by_index, "no index of visits");
    let conditions = [Table::Clinical(Domain::Condition)];
    assert_eq!(of(Domain::Visit).looks_into, conditions);
    let whole = plan(&database, &wanted);
    assert!(whole.tables.iter().all(|planned| !planned.is_narrowed && planned.sent.is_none()));
    assert!(whole.tables.iter().all(|planned| planned.looks_into.is_empty()));
    assert!(narrowed.rows() == whole.rows() && narrowed.rows_sent() < whole.rows_sent() / 10);
    // What the plan asked has left the transaction as it was.
    let (found, _) = events(Source::from(&database).narrowed(&narrowing()));
    assert!(!found.is_empty());
}
