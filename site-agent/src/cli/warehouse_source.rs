//! `data plan` and `data grants` of a warehouse: which files are read by whom, and what their owner must allow.

use super::omop_source::{Asked, NotKnown};
use super::output::{Output, table};
use crate::data::omop::warehouse::{self, Config, Plan, Planned, Reader, Rights, Warehouse};
use crate::data::omop::{Table, Wanted};
use crate::failure::Failure;
use serde_json::{Value, json};

/// Files of a table that are named to people; a program gets all.
const FILES_SHOWN: usize = 3;

/// Says what would be asked of a warehouse.
pub(super) fn plan(config: &Config, asked: &Asked, output: &Output) -> Result<(), Failure> {
    let warehouse = Warehouse::open(config)?;
    let (narrowing, remark) = asked.narrowing(&warehouse)?;
    let plan = warehouse::plan(&warehouse, asked.wanted(), narrowing.as_ref())?;
    let words = remark.as_ref().map(ToString::to_string);
    output.result(&human(&plan, words.as_deref()), &json(&plan, words.as_deref()))?;
    remark.map_or(Ok(()), |NotKnown(why)| Err(why))
}

/// Says which files have to be readable, and for whom.
pub(super) fn grants(config: &Config, wanted: &Wanted, output: &Output) -> Result<(), Failure> {
    let rights = warehouse::rights(config, wanted);
    let json = json!({
        "warehouse": config.place(),
        "cluster": rights.cluster,
        "folder": rights.folder,
        "agent_reads": rights.agent,
        "executors_read": rights.executors,
        "columns": rights.columns,
        "not_seen": rights.unseen,
        "built_with_an_engine": cfg!(feature = "warehouse"),
    });
    output.result(&in_words(config, &rights), &json)
}

fn human(plan: &Plan, remark: Option<&str>) -> String {
    let rows: Vec<Vec<String>> = plan.tables.iter().map(row).collect();
    let mut parts = vec![
        plan.place.clone(),
        table(&["table", "read by", "rows in them", "files", "columns and rows"], &rows),
    ];
    parts.extend(remark.map(str::to_owned));
    if !plan.missing.is_empty() {
        let missing: Vec<&str> = plan.missing.iter().map(|table| table.name()).collect();
        parts.push(format!("missing: {}", missing.join(", ")));
    }
    let known: u64 = plan.tables.iter().filter_map(|planned| planned.rows).sum();
    let rest = if plan.tables.iter().any(|planned| planned.rows.is_none()) {
        "; those of CSV come on top, since it does not say how many it has"
    } else {
        ""
    };
    parts.push(format!(
        "{known} rows by the footers of Parquet files{rest}. An engine passes over what its WHERE does not name. The \
         vocabulary and CSV are read by the agent itself."
    ));
    parts.push("No table of patients has been read.".to_owned());
    parts.join("\n\n")
}

fn row(planned: &Planned) -> Vec<String> {
    let mut files: Vec<String> =
        planned.files.iter().take(FILES_SHOWN).map(|path| path.display().to_string()).collect();
    if planned.files.len() > FILES_SHOWN {
        files.push(format!("and {} more", planned.files.len() - FILES_SHOWN));
    }
    vec![
        planned.table.name().to_owned(),
        by(planned.reader).to_owned(),
        planned.rows.map_or_else(|| "not known".to_owned(), |rows| rows.to_string()),
        files.join(", "),
        planned.query.clone(),
    ]
}

const fn by(reader: Reader) -> &'static str {
    match reader {
        Reader::Engine => "engine",
        Reader::Agent => "agent",
    }
}

fn json(plan: &Plan, remark: Option<&str>) -> Value {
    let names = |tables: &[Table]| tables.iter().map(|table| table.name()).collect::<Vec<_>>();
    json!({
        "place": plan.place,
        "tables": plan.tables.iter().map(|planned| json!({
            "table": planned.table.name(),
            "read_by": by(planned.reader),
            "files": planned.files,
            "rows": planned.rows,
            "query": planned.query,
        })).collect::<Vec<_>>(),
        "missing": names(&plan.missing),
        "not_known_yet": remark,
    })
}

fn in_words(config: &Config, rights: &Rights) -> String {
    let listed = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| format!("\n  {}", path.display())).collect::<String>()
    };
    let folder = rights.folder.display();
    let mut parts = vec![
        format!(
            "{}: a warehouse has no roles and no columns to grant. Its rights are those of its files.",
            config.place()
        ),
        format!(
            "The agent's user must be able to enter and list {folder}, and to read{}",
            listed(&rights.agent)
        ),
    ];
    if let Some(error) = &rights.unseen {
        parts[1] = format!(
            "The agent's user must be able to enter and list {folder}, and to read the tables below in it. Which files those are \
             cannot be seen from here yet: {error}"
        );
    }
    parts.push(match &rights.cluster {
        None => "The engine is within the agent: nobody else has to read anything.".to_owned(),
        Some(scheduler) => format!(
            "The users of the scheduler {scheduler} and of each executor must be able to enter and list {folder}, at this very path, \
             and to read the tables of patients in Parquet, and nothing else. Reading is enough: nothing is written there.{}",
            listed(&rights.executors)
        ),
    });
    parts.push(format!(
        "Whoever may read these files may read all of them. What is asked of them:\n  {}",
        rights.columns.join("\n  ")
    ));
    if !cfg!(feature = "warehouse") {
        let not_built = warehouse::InvalidWarehouse::NotBuilt { place: config.place() };
        parts.push(format!("To read them, another program is needed. {not_built}"));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("folder");
        for path in [
            "person.parquet",
            "death.csv",
            "measurement/year=2020/part-0.parquet",
            "concept.parquet",
            "drug_exposure.csv",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("within")).expect("folder");
            fs::write(path, "").expect("file");
        }
        dir
    }

    fn config(engine: &str, tables: &std::path::Path) -> Config {
        let text = format!("[warehouse]\nengine = '{engine}'\ntables = '{}'\n", tables.display());
        Config::parse(&text, std::path::Path::new("")).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn wanted() -> Wanted {
        use crate::data::omop::Domain;
        let mut wanted = Wanted::default();
        for table in [
            Table::Person,
            Table::Clinical(Domain::Measurement),
            Table::Clinical(Domain::Death),
            Table::Concept,
        ] {
            wanted.add(table, &[]);
        }
        wanted
    }

    #[test]
    fn who_reads_which_files() {
        let dir = folder();
        let at = |name: &str| dir.path().join(name);
        #[track_caller]
        fn check(rights: &Rights, agent: &[std::path::PathBuf], executors: &[std::path::PathBuf]) {
            assert_eq!((rights.agent.as_slice(), rights.executors.as_slice()), (agent, executors));
            assert_eq!(rights.columns.len(), 4);
        }
        let all = ["concept.parquet", "death.csv", "measurement", "person.parquet"].map(at);
        let embedded = config("embedded", dir.path());
        let rights = warehouse::rights(&embedded, &wanted());
        check(&rights, &all, &[]);
        let text = in_words(&embedded, &rights);
        assert!(
            text.contains("nobody else has to read anything") && !text.contains("drug_exposure"),
            "{text}"
        );
        assert_eq!(text.contains("--features warehouse"), !cfg!(feature = "warehouse"), "{text}");

        let cluster = config("ballista://scheduler.example", dir.path());
        let rights = warehouse::rights(&cluster, &wanted());
        check(&rights, &all, &["measurement", "person.parquet"].map(at));
        let text = in_words(&cluster, &rights);
        for part in [
            "The users of the scheduler ballista://scheduler.example:50050 and of each executor",
            "omop: death (person_id, death_date, death_datetime)",
            "a warehouse has no roles and no columns to grant",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }

        let nowhere = config("embedded", &at("nowhere"));
        let rights = warehouse::rights(&nowhere, &wanted());
        check(&rights, &[], &[]);
        let text = in_words(&nowhere, &rights);
        assert!(
            text.contains("cannot be seen from here yet: ") && text.contains("omop: measurement ("),
            "{text}"
        );
    }

    #[test]
    fn the_plan_in_words() {
        use crate::data::omop::Domain;
        let planned = |table, reader, files: u8, rows| Planned {
            table,
            reader,
            files: (0..files).map(|file| format!("/omop/part-{file}").into()).collect(),
            rows,
            query: "SELECT person_id FROM …".to_owned(),
        };
        let plan = Plan {
            place: "/omop (engine: embedded)".to_owned(),
            tables: vec![
                planned(Table::Clinical(Domain::Measurement), Reader::Engine, 5, Some(12)),
                planned(Table::Concept, Reader::Agent, 1, None),
            ],
            missing: vec![Table::ObservationPeriod],
        };
        let text = human(&plan, Some("a remark"));
        for part in [
            "measurement\tengine\t12\t/omop/part-0, /omop/part-1, /omop/part-2, and 2 more\tSELECT person_id FROM …",
            "concept\tagent\tnot known\t/omop/part-0\t",
            "\n\na remark\n\n",
            "missing: observation_period",
            "12 rows by the footers of Parquet files; those of CSV come on top",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let json = json(&plan, None);
        assert_eq!(
            (&json["tables"][0]["files"][4], &json["tables"][1]["rows"]),
            (&json!("/omop/part-4"), &Value::Null)
        );
    }
}
