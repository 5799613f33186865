//! `data plan` and `data grants`, by which a database's administrator sees beforehand what will be asked, by one study or by
//! `data check --omop`.

use super::args::{Cdm, GrantsArgs, PlanArgs};
use super::data::read_study;
use super::output::{Output, table};
use super::warehouse_source;
use crate::data::extract::{self, InvalidRecords};
use crate::data::omop::postgres::{self, CdmVersion, Database, Plan};
use crate::data::omop::{Narrowing, Source, Table, Wanted, database_at, warehouse};
use crate::failure::{Failure, Kind};
use consilium_common::study::{Data, Study};
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// Says what would be asked of a database.
pub(super) fn plan(args: &PlanArgs, output: &Output) -> Result<(), Failure> {
    let asked = Asked::of(args.study.as_deref(), args.bindings.as_deref())?;
    if let Some(config) = warehouse::Config::open(&args.omop)? {
        return warehouse_source::plan(&config, &asked, output);
    }
    let database = Database::open(&database_at(&args.omop)?)?;
    let (narrowing, remark) = asked.narrowing(&database)?;
    let plan = match &narrowing {
        None => postgres::plan(&database, &asked.wanted),
        Some(narrowing) => postgres::plan_narrowed(&database, &asked.wanted, narrowing),
    };
    let words = remark.as_ref().map(ToString::to_string);
    output.result(&human(&plan, words.as_deref()), &json(&plan, words.as_deref()))?;
    Source::from(&database).only(&asked.wanted).granted()?;
    remark.map_or(Ok(()), |NotKnown(why)| Err(why))
}

/// Prints the script that allows it.
pub(super) fn grants(args: &GrantsArgs, output: &Output) -> Result<(), Failure> {
    let Asked { wanted, .. } = Asked::of(args.study.as_deref(), args.bindings.as_deref())?;
    if let Some(config) = warehouse::Config::open(&args.omop)? {
        if args.role.is_some() || args.cdm.is_some() {
            return Err(Failure::input(format!(
                "{}: --role and --cdm are for a database; a warehouse's rights are those of its files",
                args.omop.display()
            )));
        }
        return warehouse_source::grants(&config, &wanted, output);
    }
    let config = database_at(&args.omop)?;
    let role = args.role.as_deref().unwrap_or(&config.user);
    let script = match args.cdm {
        Some(Cdm::V5_3) => postgres::grants_of(&config, CdmVersion::V5_3, &wanted, role),
        Some(Cdm::V5_4) => postgres::grants_of(&config, CdmVersion::V5_4, &wanted, role),
        None => postgres::grants(&Database::open(&config)?, &wanted, role),
    };
    output.result(script.trim_end(), &json!({ "role": role, "sql": script }))
}

/// What is asked: by a study, or without one by `data check --omop`.
pub(super) struct Asked {
    wanted: Wanted,
    study: Option<Study>,
}

impl Asked {
    fn of(study: Option<&Path>, bindings: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = study else { return Ok(Self { wanted: Wanted::all(&Table::ALL), study: None }) };
        let study = read_study(path, bindings)?;
        match &study.data {
            Data::Records(records) if !records.unanswered().is_empty() => {
                Err(InvalidRecords::Unanswered { names: records.unanswered().join(", ") }.into())
            }
            Data::Records(records) => Ok(Self { wanted: extract::wanted(records), study: Some(study) }),
            Data::Table(_) => Err(Failure::input(format!(
                "{}: the study reads a plain table, and nothing of a database",
                path.display()
            ))),
        }
    }

    /// The columns.
    pub(super) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Which rows can matter to the study, by the source's vocabulary; none without a study. Or why that is not known, where a
    /// right, a table or a part of the vocabulary is missing: then nothing would be read either, and a plan that was printed
    /// ends with it.
    pub(super) fn narrowing<'a>(
        &self,
        source: impl Into<Source<'a>>,
    ) -> Result<(Option<Narrowing>, Option<NotKnown>), Failure> {
        let Some(study) = &self.study else { return Ok((None, None)) };
        let Data::Records(records) = &study.data else { return Ok((None, None)) };
        match extract::narrowing(source, study, records).map_err(Failure::from) {
            Ok(narrowing) => Ok((Some(narrowing), None)),
            Err(failure) if matches!(failure.kind, Kind::Refused | Kind::Input) => {
                Ok((None, Some(NotKnown(failure))))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Why it is not known which rows are left out.
pub(super) struct NotKnown(pub(super) Failure);

impl fmt::Display for NotKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Which rows are left out is not known yet, and nothing would be read: {}", self.0)
    }
}

fn human(plan: &Plan, remark: Option<&str>) -> String {
    let rows: Vec<Vec<String>> = plan
        .tables
        .iter()
        .map(|planned| {
            let mut rows = planned.rows.map_or_else(|| "not known".to_owned(), |rows| rows.to_string());
            if let Some(sent) = planned.sent {
                let how = if sent.by_index { "by an index" } else { "having looked at all" };
                rows = format!("{rows}; sends {} {how}", sent.rows);
                if !sent.by_index && !planned.looks_into.is_empty() {
                    rows = format!("{rows}, and into {}", names(&planned.looks_into).join(", "));
                }
            }
            vec![planned.table.name().to_owned(), rows, planned.query.clone()]
        })
        .collect();
    let whole = if plan.tables.iter().any(|planned| planned.is_narrowed) {
        "where it says WHERE without rows that cannot change an example"
    } else {
        "whole"
    };
    let mut parts = vec![
        format!(
            "{} (version {}.{}), as role {}, by {}",
            plan.place,
            plan.server_version / 10_000,
            plan.server_version % 10_000,
            plan.user,
            plan.transport
        ),
        format!(
            "One read-only transaction over one snapshot, on {}. Each begins with:\n  {};",
            counted(plan.connections, "connection"),
            plan.begin.join(";\n  ")
        ),
        format!("Each table once, {whole}:\n{}", table(&["table", "rows, about", "query"], &rows)),
    ];
    parts.extend(plan.of_empty_hierarchy.as_ref().map(|query| {
        format!(
            "Where concept_ancestor has none of the study's concepts, it is asked whether it has any row:\n  {query}"
        )
    }));
    parts.extend(remark.map(str::to_owned));
    if !plan.missing.is_empty() {
        parts.push(format!("missing: {}", names(&plan.missing).join(", ")));
    }
    parts.push(format!(
        "Times with a zone are read on the clock of {} (the session's TimeZone).",
        plan.time_zone
    ));
    parts.push(format!(
        "About {} rows are sent: about {} on an idle server with SSD, up to {} on a busy one or on spinning disks.{}",
        plan.rows_sent(),
        duration(plan.seconds()),
        duration(plan.seconds() * postgres::BUSY_TIMES),
        if plan.tables.iter().any(|planned| planned.rows.is_none()) {
            " Tables whose rows are not known come on top (views, or tables without ANALYZE)."
        } else {
            ""
        }
    ));
    if !plan.withheld.is_empty() {
        parts.push(format!(
            "Role {} may not read yet: {}. Nothing is read until it may; `site-agent data grants` prints what to run.",
            plan.user,
            plan.withheld.join(", ")
        ));
    }
    parts.push(
        match plan.tables.iter().any(|planned| planned.is_narrowed) {
            true => "Of the vocabulary the study's concepts have been read, and no other table.",
            false => "No table of patients has been read.",
        }
        .to_owned(),
    );
    parts.join("\n\n")
}

fn json(plan: &Plan, remark: Option<&str>) -> Value {
    json!({
        "place": plan.place,
        "role": plan.user,
        "server_version": plan.server_version,
        "transport": plan.transport,
        "connections": plan.connections,
        "time_zone": plan.time_zone,
        "begin": plan.begin,
        "tables": plan.tables.iter().map(|planned| json!({
            "table": planned.table.name(),
            "rows_about": planned.rows,
            "rows_sent_about": planned.sent.map(|sent| sent.rows).or(planned.rows.filter(|_| !planned.is_narrowed)),
            "by_index": planned.sent.map(|sent| sent.by_index),
            "looks_into": names(&planned.looks_into),
            "query": planned.query,
        })).collect::<Vec<_>>(),
        "of_empty_hierarchy": plan.of_empty_hierarchy,
        "missing": names(&plan.missing),
        "rows_about": plan.rows(),
        "rows_sent_about": plan.rows_sent(),
        "not_known_yet": remark,
        "seconds_about": plan.seconds(),
        "seconds_about_busy": plan.seconds() * postgres::BUSY_TIMES,
        "may_not_read": plan.withheld,
    })
}

fn names(tables: &[Table]) -> Vec<&'static str> {
    tables.iter().map(|table| table.name()).collect()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("one {what}") } else { format!("{count} {what}s") }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::cli::args::Format;
    use crate::cli::omop;
    use crate::data::omop::Domain;
    use crate::data::omop::postgres::tests::cluster::Cluster;
    use crate::data::omop::postgres::tests::{READER, source};
    use crate::data::omop::postgres::{Planned, Sent};
    use std::fs;

    #[test]
    fn durations() {
        fn check(seconds: u64, expected: &str) {
            assert_eq!(duration(seconds), expected);
        }
        check(1, "1 s");
        check(119, "119 s");
        check(121, "3 min");
        check(7200, "2 h");
        check(7201, "3 h");
    }

    #[test]
    fn a_database_from_plan_to_check() {
        let Some(cluster) = Cluster::start(&[]) else { return };
        cluster.sql(&format!(
            "CREATE ROLE {READER} LOGIN; CREATE SCHEMA cdm; CREATE TABLE cdm.person (person_id int, gender_concept_id int, \
             year_of_birth int, race_concept_id int, ethnicity_concept_id int, person_source_value text);\n\
             INSERT INTO cdm.person VALUES (1, 8507, 1980, 8527, 0, 'Zebedee'); ANALYZE cdm.person;\n\
             CREATE VIEW cdm.death AS SELECT 1 AS person_id, '2020-01-01'::date AS death_date;"
        ));
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("source.toml");
        fs::write(&path, source(&cluster, "")).expect("written");
        let output = Output::new(Format::Json);
        let look = || omop::check(&path, None, &output);

        let refused = look().expect_err("nothing is granted");
        assert_eq!(refused.kind.exit_code(), 1, "{refused}");
        assert!(refused.message.contains("role \"reader\" may not read schema \"cdm\""), "{refused}");

        let database = Database::open(&database_at(&path).expect("reads")).expect("opens");
        let planned = postgres::plan(&database, &Wanted::all(&Table::ALL));
        let text = human(&planned, None);
        for part in [
            ", as role reader, by a Unix socket",
            "  BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n  SET LOCAL statement_timeout = '3600s';\n",
            "person\t1\tCOPY (SELECT \"person_id\", \"gender_concept_id\", \"race_concept_id\", \"ethnicity_concept_id\", \
             \"year_of_birth\" FROM \"cdm\".\"person\") TO STDOUT (FORMAT binary)",
            "death\tnot known\tCOPY (SELECT \"person_id\", \"death_date\" FROM",
            "missing: observation_period, visit_occurrence,",
            "About 1 rows are sent: about 1 s on an idle server with SSD, up to 10 s",
            "Tables whose rows are not known come on top",
            "Role reader may not read yet: schema \"cdm\".",
            "No table of patients has been read.",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let json = json(&planned, None);
        assert_eq!(
            (&json["tables"][0]["rows_about"], &json["tables"][1]["rows_about"]),
            (&json!(1), &Value::Null)
        );
        let look_ahead = || plan(&PlanArgs { omop: path.clone(), study: None, bindings: None }, &output);
        let refused = look_ahead().expect_err("printed, and nothing would be read");
        assert!(
            refused.kind.exit_code() == 1 && refused.message.contains("may not read schema \"cdm\""),
            "{refused}"
        );
        grants(
            &GrantsArgs {
                omop: path.clone(),
                study: None,
                bindings: None,
                role: Some("other".into()),
                cdm: None,
            },
            &output,
        )
        .expect("printed");

        cluster.sql(&postgres::grants(&database, &Wanted::all(&Table::ALL), READER));
        drop(database);
        look().expect("granted");
        look_ahead().expect("planned");
        cluster.sql(&format!("REVOKE SELECT (year_of_birth) ON cdm.person FROM {READER};"));
        let refused = look_ahead().expect_err("one column is withheld");
        assert!(
            refused.kind.exit_code() == 1 && refused.message.contains("may not read person (year_of_birth)"),
            "{refused}"
        );
        cluster.sql(&format!("GRANT SELECT (year_of_birth) ON cdm.person TO {READER};"));
        cluster.sql("DELETE FROM cdm.person;");
        let nobody = look().expect_err("nobody");
        assert!(
            nobody.kind.exit_code() == 1 && nobody.message.starts_with("data.people: PostgreSQL /"),
            "{nobody}"
        );
    }

    #[test]
    fn what_is_left_out_is_said() {
        let planned = |domain, rows, is_narrowed, sent, looks_into: &[Table]| Planned {
            table: Table::Clinical(domain),
            rows,
            is_narrowed,
            sent,
            looks_into: looks_into.to_vec(),
            query: "COPY …".to_owned(),
        };
        let conditions = [Table::Clinical(Domain::Condition)];
        let sent = |rows, by_index| Some(Sent { rows, by_index });
        let plan = Plan {
            place: "PostgreSQL db".to_owned(),
            user: "reader".to_owned(),
            server_version: 150_004,
            transport: "a Unix socket",
            connections: 1,
            time_zone: "UTC".to_owned(),
            begin: vec!["BEGIN".to_owned()],
            tables: vec![
                planned(Domain::Measurement, Some(1_000_000_000), true, sent(2_000_000, true), &conditions),
                planned(Domain::Visit, Some(400_000_000), true, sent(10, false), &conditions),
                planned(Domain::Condition, Some(8_000_000), true, sent(400_000, false), &[]),
                planned(Domain::Death, Some(400_000), false, None, &[]),
            ],
            missing: vec![],
            withheld: vec![],
            of_empty_hierarchy: Some("COPY (SELECT … LIMIT 1)".to_owned()),
        };
        let text = human(&plan, Some("a remark"));
        for part in [
            "Each table once, where it says WHERE without rows that cannot change an example:",
            "measurement\t1000000000; sends 2000000 by an index\tCOPY …",
            "visit_occurrence\t400000000; sends 10 having looked at all, and into condition_occurrence\tCOPY …",
            "condition_occurrence\t8000000; sends 400000 having looked at all\tCOPY …",
            "death\t400000\tCOPY …",
            // 2 million; 10, and a tenth of 400 million looked at and of 8 million looked into; 400,000, and a tenth of 8 million;
            // 400,000: at 400,000 a second.
            "About 2800010 rows are sent: about 112 s on an idle server",
            "it is asked whether it has any row:\n  COPY (SELECT … LIMIT 1)",
            "\n\na remark\n\n",
            "Of the vocabulary the study's concepts have been read, and no other table.",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let json = json(&plan, None);
        assert_eq!(
            (&json["tables"][1]["rows_sent_about"], &json["tables"][1]["by_index"]),
            (&json!(10), &json!(false))
        );
        assert_eq!(json["tables"][1]["looks_into"], json!(["condition_occurrence"]));
        assert_eq!(
            (&json["tables"][3]["rows_sent_about"], &json["rows_about"]),
            (&json!(400_000), &json!(1_408_400_000))
        );
        assert_eq!(json["not_known_yet"], Value::Null);
    }

    #[test]
    fn a_warehouse_is_told_apart() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("source.toml");
        fs::write(&path, format!("[warehouse]\nengine = 'embedded'\ntables = '{}'\n", dir.path().display()))
            .expect("written");
        fs::write(
            dir.path().join("person.csv"),
            "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id\n",
        )
        .expect("written");
        let output = Output::new(Format::Json);
        let planned = plan(&PlanArgs { omop: path.clone(), study: None, bindings: None }, &output).err();
        let refused = planned.map(|failure| (failure.kind.exit_code(), failure.message));
        assert_eq!(refused.is_none(), cfg!(feature = "warehouse"), "{refused:?}");
        if let Some((code, message)) = refused {
            assert!(code == 2 && message.contains("--features warehouse"), "{message}");
        }
        let args = |role: Option<&str>| {
            let role = role.map(str::to_owned);
            GrantsArgs { omop: path.clone(), study: None, bindings: None, role, cdm: None }
        };
        grants(&args(None), &output).expect("needs no engine");
        let refused = grants(&args(Some("reader")), &output).expect_err("there are no roles");
        assert!(refused.kind.exit_code() == 2 && refused.message.contains("those of its files"), "{refused}");
    }

    #[test]
    fn exit_codes() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("source.toml");
        let check = |text: &str, code: u8, part: &str| {
            fs::write(&path, text).expect("written");
            for failure in [
                omop::check(&path, None, &Output::new(Format::Text)).expect_err("cannot"),
                plan(
                    &PlanArgs { omop: path.clone(), study: None, bindings: None },
                    &Output::new(Format::Text),
                )
                .expect_err("cannot"),
            ] {
                assert_eq!(failure.kind.exit_code(), code, "{failure}");
                assert!(failure.message.contains(part), "{failure}");
            }
        };
        let socket = dir.path().display();
        let good = format!("[postgres]\nhost = '{socket}'\ndatabase = 'd'\nuser = 'u'\nschema = 's'\n");
        check(&good, 3, "cannot connect to PostgreSQL");
        check(&format!("{good}sslmode = 'prefer'"), 2, "source.toml:\nline 6: postgres.sslmode");
        check(&format!("{good}password_file = 'absent'"), 2, "absent: ");
        let args =
            GrantsArgs { omop: path.clone(), study: None, bindings: None, role: None, cdm: Some(Cdm::V5_4) };
        fs::write(&path, good).expect("written");
        grants(&args, &Output::new(Format::Text)).expect("needs no connection");
    }
}
