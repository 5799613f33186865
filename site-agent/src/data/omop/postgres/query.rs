//! What is asked of one table, word for word: its columns, and which of its rows.
//!
//! The server compares whole numbers with whole numbers and nothing else, since a `numeric` or a `double precision` has rules of
//! its own for what is one. What it leaves out nobody would miss ([`Narrowing`]), so that any part of it may be left unsaid.

use super::super::cells::Column;
use super::super::event::ConceptId;
use super::super::narrowing::Narrowing;
use super::super::schema::{ANCESTOR, Table, at};
use super::binary::Form;
use super::catalog::{Found, FoundColumn, quoted};
use std::collections::{BTreeMap, BTreeSet};

/// The longest list of concepts in a query: beyond it the server sends every row, which costs less than so long a text.
const CONCEPTS_MAX: usize = 10_000;
/// The same for servers that hold a row against one concept after the other (before PostgreSQL 14, which hashes them).
const CONCEPTS_MAX_UNHASHED: usize = 100;
const HASHING_SINCE: i32 = 140_000;

/// One table's query.
pub(in super::super) struct Query {
    pub(super) table: Table,
    select: String,
    /// Of each column that comes the place in a batch, the form, and the name.
    pub(super) columns: Vec<(usize, Form, &'static str)>,
    /// Whether rows are left out.
    pub(super) is_narrowed: bool,
    /// The tables that the server looks into, too, for whoever comes into the study; one for each time.
    pub(super) looks_into: Vec<Table>,
}

/// What a query is made against.
pub(super) struct Catalogue<'a> {
    pub(super) tables: &'a BTreeMap<Table, Found>,
    /// As 150004.
    pub(super) version: i32,
}

impl Query {
    /// Some columns of a table, where it is there; `wanted` are all of it, and one that is absent there is not asked for. With a
    /// narrowing without the rows that cannot matter, as far as this server can tell them.
    pub(super) fn new(
        catalogue: &Catalogue<'_>,
        table: Table,
        wanted: &[Column],
        narrowing: Option<&Narrowing>,
    ) -> Option<Self> {
        let found = catalogue.tables.get(&table)?;
        let columns: Vec<&FoundColumn> = found.wanted(wanted).collect();
        let selected: Vec<String> = columns
            .iter()
            .map(|column| {
                let name = quoted(&column.name);
                // On the clock of the session, as a text of it would show.
                if column.has_zone { format!("{name}::timestamp") } else { name }
            })
            .collect();
        let Conditions { conditions, looks_into } =
            narrowing.map(|narrowing| catalogue.conditions(table, &columns, narrowing)).unwrap_or_default();
        let mut select = format!("SELECT {} FROM {}", selected.join(", "), named(found));
        if !conditions.is_empty() {
            select = format!("{select} WHERE {}", conditions.join(" AND "));
        }
        Some(Self {
            table,
            select,
            columns: columns.iter().map(|column| (column.place, column.form, column.column)).collect(),
            is_narrowed: !conditions.is_empty(),
            looks_into,
        })
    }

    /// The same, of which one row suffices, whichever.
    pub(super) fn any_row(self) -> Self {
        Self { select: format!("{} LIMIT 1", self.select), ..self }
    }

    /// As it is sent.
    pub(in super::super) fn copy(&self) -> String {
        format!("COPY ({}) TO STDOUT (FORMAT binary)", self.select)
    }

    /// What asks the server how it would go about it, without its doing so.
    pub(super) fn explain(&self) -> String {
        format!("EXPLAIN {}", self.select)
    }
}

/// Which rows of a table matter.
#[derive(Default)]
struct Conditions {
    /// Each apart.
    conditions: Vec<String>,
    /// See [`Query::looks_into`].
    looks_into: Vec<Table>,
}

impl Catalogue<'_> {
    fn conditions(&self, table: Table, columns: &[&FoundColumn], narrowing: &Narrowing) -> Conditions {
        let column = |place: usize| columns.iter().copied().find(|column| column.place == place);
        let place = if table == Table::ConceptAncestor { ANCESTOR } else { at::CONCEPT };
        let of_concepts = || self.has_one_of(column(place)?, narrowing.of(table)?);
        let entry = narrowing.people_of(table);
        let of_people = || self.has_entered(column(at::PERSON)?, entry.as_deref()?);
        let (of_concepts, of_people) = (of_concepts(), of_people());
        let looks_into = entry.iter().flatten().filter(|_| of_people.is_some()).map(|(table, _)| *table);
        let looks_into = looks_into.collect();
        Conditions { conditions: [of_concepts, of_people].into_iter().flatten().collect(), looks_into }
    }

    /// Whether a row has one of some concepts; none where the server cannot tell, or the list is too long. The list has the column's
    /// own type, so that it is hashed and an index is of use; a concept that does not fit into it is none of its values.
    fn has_one_of(&self, column: &FoundColumn, concepts: &BTreeSet<ConceptId>) -> Option<String> {
        let (name, range) = whole_numbers(column)?;
        if concepts.len() > self.concepts_max() {
            return None;
        }
        let ids: Vec<String> = concepts
            .iter()
            .filter(|concept| range.contains(&concept.0))
            .map(|concept| concept.0.to_string())
            .collect();
        Some(format!("{} = ANY ('{{{}}}'::{name}[])", quoted(&column.name), ids.join(",")))
    }

    const fn concepts_max(&self) -> usize {
        if self.version < HASHING_SINCE { CONCEPTS_MAX_UNHASHED } else { CONCEPTS_MAX }
    }

    /// Whether a row is of somebody who comes into the study; none where the server cannot tell.
    ///
    /// # Privacy
    /// Who comes in is known within the server, in the statement's own snapshot: no id is in the text.
    fn has_entered(&self, person: &FoundColumn, entry: &[(Table, &BTreeSet<ConceptId>)]) -> Option<String> {
        whole_numbers(person)?;
        // All lists together, so that a query has a length that a log can keep.
        if entry.iter().map(|(_, concepts)| concepts.len()).sum::<usize>() > self.concepts_max() {
            return None;
        }
        let entered = entry.iter().map(|(table, concepts)| {
            let found = self.tables.get(table)?;
            let column = |place: usize| {
                let may_ask = |column: &&FoundColumn| column.place == place && column.may_read;
                found.columns.iter().find(may_ask).filter(|_| found.may_enter)
            };
            let (person, concept) = (column(at::PERSON)?, column(at::CONCEPT)?);
            whole_numbers(person)?;
            let is_entry = self.has_one_of(concept, concepts)?;
            Some(format!("SELECT {} FROM {} WHERE {is_entry}", quoted(&person.name), named(found)))
        });
        let entered: Vec<String> = entered.collect::<Option<_>>()?;
        Some(format!("{} IN ({})", quoted(&person.name), entered.join(" UNION ALL ")))
    }
}

/// The type of a column of whole numbers, and which it can hold.
fn whole_numbers(column: &FoundColumn) -> Option<(&'static str, std::ops::RangeInclusive<i64>)> {
    match column.form {
        Form::Int2 => Some(("int2", i16::MIN.into()..=i16::MAX.into())),
        Form::Int4 => Some(("int4", i32::MIN.into()..=i32::MAX.into())),
        Form::Int8 => Some(("int8", i64::MIN..=i64::MAX)),
        Form::Numeric | Form::Float4 | Form::Float8 | Form::Date | Form::Timestamp | Form::Text => None,
    }
}

fn named(found: &Found) -> String {
    format!("{}.{}", quoted(&found.schema), quoted(&found.name))
}

#[cfg(test)]
mod tests {
    use super::super::super::event::Domain;
    use super::super::super::narrowing::Concepts;
    use super::super::super::schema;
    use super::*;

    const CONDITION: Table = Table::Clinical(Domain::Condition);
    const VISIT: Table = Table::Clinical(Domain::Visit);
    const DRUG: Table = Table::Clinical(Domain::Drug);

    fn found(table: Table, concept: Form, person: Form) -> Found {
        let column = |(place, form): (usize, Form)| FoundColumn {
            place,
            column: schema::columns(table)[place].names[0],
            name: schema::columns(table)[place].names[0].to_uppercase(),
            form,
            has_zone: false,
            may_read: true,
        };
        let columns = [(at::PERSON, person), (at::CONCEPT, concept)].map(column).into();
        let name = table.name().to_owned();
        Found { schema: "c\"dm".into(), name, estimate: None, columns, may_enter: true }
    }

    fn these(ids: impl IntoIterator<Item = i64>) -> Concepts {
        Concepts::These(ids.into_iter().map(ConceptId).collect())
    }

    /// What follows the table's name in the query of visits, on a server of such a version.
    fn after(
        tables: &[(Table, Form, Form)],
        version: i32,
        visits: Concepts,
        entry: Vec<(Domain, Concepts)>,
    ) -> String {
        let tables = tables.iter().map(|(table, concept, person)| (*table, found(*table, *concept, *person)));
        let catalogue = Catalogue { tables: &tables.collect(), version };
        let narrowing = Narrowing {
            matter: BTreeMap::from([(Domain::Visit, visits)]),
            entry: entry.into_iter().collect(),
            ancestors: None,
        };
        let query = Query::new(&catalogue, VISIT, schema::columns(VISIT), Some(&narrowing)).expect("there");
        let copy = query.copy();
        let begin = r#"COPY (SELECT "PERSON_ID", "VISIT_CONCEPT_ID" FROM "c""dm"."visit_occurrence""#;
        let rest = copy.strip_prefix(begin).and_then(|rest| rest.strip_suffix(") TO STDOUT (FORMAT binary)"));
        let rest = rest.unwrap_or_else(|| panic!("{copy}"));
        assert_eq!(query.is_narrowed, !rest.is_empty(), "{copy}");
        assert_eq!(query.looks_into.len(), rest.matches("SELECT").count(), "{copy}");
        rest.to_owned()
    }

    #[test]
    fn which_rows_are_asked_for() {
        use Form::{Int2, Int4, Int8, Numeric};
        let all = [(VISIT, Int4, Int8), (CONDITION, Int8, Int4), (DRUG, Int2, Int8)];
        let check = |tables: &[(Table, Form, Form)],
                     visits: Concepts,
                     entry: Vec<(Domain, Concepts)>,
                     expected: &str| {
            assert_eq!(after(tables, 150_004, visits, entry), expected);
        };
        let everything = || Concepts::All;
        check(&all, everything(), vec![], "");
        check(&all, these([]), vec![], r#" WHERE "VISIT_CONCEPT_ID" = ANY ('{}'::int4[])"#);
        // In the column's own type: what it cannot hold is none of its values.
        check(
            &all,
            these([-5, 9201, 3_000_000_000]),
            vec![],
            r#" WHERE "VISIT_CONCEPT_ID" = ANY ('{-5,9201}'::int4[])"#,
        );
        check(&all, these([0, 9201]), vec![], "");
        let conditions = (Domain::Condition, these([7, 3_000_000_000]));
        let drugs = (Domain::Drug, these([8, 70_000]));
        check(
            &all,
            these([9201]),
            vec![conditions.clone(), drugs.clone()],
            r#" WHERE "VISIT_CONCEPT_ID" = ANY ('{9201}'::int4[]) AND "PERSON_ID" IN (SELECT "PERSON_ID" FROM "c""dm"."condition_occurrence" WHERE "CONDITION_CONCEPT_ID" = ANY ('{7,3000000000}'::int8[]) UNION ALL SELECT "PERSON_ID" FROM "c""dm"."drug_exposure" WHERE "DRUG_CONCEPT_ID" = ANY ('{8}'::int2[]))"#,
        );
        // Whoever has such a visit comes in by it.
        check(
            &all,
            these([9201]),
            vec![(Domain::Visit, these([9201, 9202]))],
            r#" WHERE "VISIT_CONCEPT_ID" = ANY ('{9201}'::int4[])"#,
        );
        // Of some way to come in the server cannot tell: then of none.
        check(&all[..2], everything(), vec![conditions.clone(), drugs.clone()], "");
        let odd = |concept, person| [all[0], (CONDITION, concept, person)];
        check(&odd(Numeric, Int8), everything(), vec![conditions.clone()], "");
        check(&odd(Int8, Numeric), everything(), vec![conditions.clone()], "");
        check(&[(VISIT, Numeric, Numeric), all[1]], these([9201]), vec![conditions.clone()], "");
        let many = |count: i64| these(1..=count);
        check(&all, many(10_001), vec![], "");
        check(&all, everything(), vec![(Domain::Condition, many(10_001))], "");
        check(&all, everything(), vec![(Domain::Condition, many(5_001)), (Domain::Drug, many(5_000))], "");
        assert!(after(&all, 150_004, many(10_000), vec![]).contains(",10000}'::int4[])"));
        // A server that would hold each row against each of them.
        assert_eq!(after(&all, 130_012, many(101), vec![]), "");
        assert!(after(&all, 130_012, many(100), vec![]).contains(",100}'::int4[])"));
    }

    #[test]
    fn of_a_hierarchy_the_rows_of_some_ancestors() {
        let columns = schema::columns(Table::ConceptAncestor);
        let column = |place: usize| FoundColumn {
            place,
            column: columns[place].names[0],
            name: columns[place].names[0].to_owned(),
            form: Form::Int4,
            has_zone: false,
            may_read: true,
        };
        let name = "concept_ancestor".to_owned();
        let columns_found = vec![column(0), column(1)];
        let found =
            Found { schema: "v".into(), name, estimate: None, columns: columns_found, may_enter: true };
        let tables = BTreeMap::from([(Table::ConceptAncestor, found)]);
        let catalogue = Catalogue { tables: &tables, version: 150_004 };
        let narrowing = Narrowing {
            ancestors: Some([7, 8].into_iter().map(ConceptId).collect()),
            ..Narrowing::default()
        };
        let query = Query::new(&catalogue, Table::ConceptAncestor, columns, Some(&narrowing)).expect("there");
        let expected = r#" FROM "v"."concept_ancestor" WHERE "ancestor_concept_id" = ANY ('{7,8}'::int4[])"#;
        assert!(query.copy().contains(expected), "{}", query.copy());
    }

    #[test]
    fn what_may_not_be_read_is_not_asked_for() {
        let mut tables =
            BTreeMap::from([VISIT, CONDITION].map(|table| (table, found(table, Form::Int4, Form::Int4))));
        let narrowing = Narrowing {
            matter: BTreeMap::from([(Domain::Visit, Concepts::All)]),
            entry: BTreeMap::from([(Domain::Condition, these([7]))]),
            ancestors: None,
        };
        let query = |tables: &BTreeMap<Table, Found>| {
            let catalogue = Catalogue { tables, version: 150_004 };
            Query::new(&catalogue, VISIT, schema::columns(VISIT), Some(&narrowing)).expect("there").copy()
        };
        assert!(query(&tables).contains(" WHERE \"PERSON_ID\" IN ("));
        tables.get_mut(&CONDITION).expect("there").columns[1].may_read = false;
        assert!(!query(&tables).contains("WHERE"));
        let mut table = found(CONDITION, Form::Int4, Form::Int4);
        table.may_enter = false;
        tables.insert(CONDITION, table);
        assert!(!query(&tables).contains("WHERE"));
        // Columns that a study does not want are not compared either.
        let mut wanted: Vec<Column> = schema::columns(VISIT).to_vec();
        wanted[at::CONCEPT] = Column::absent();
        let narrowing =
            Narrowing { matter: BTreeMap::from([(Domain::Visit, these([9]))]), ..Narrowing::default() };
        let catalogue = Catalogue { tables: &tables, version: 150_004 };
        let query = Query::new(&catalogue, VISIT, &wanted, Some(&narrowing)).expect("there");
        assert!(!query.is_narrowed, "{}", query.copy());
    }
}
