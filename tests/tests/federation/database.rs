//! Two hospitals that keep their records in PostgreSQL, and one that keeps them in files, train one model: from a role that may
//! do nothing, by what `data grants` prints, to a bundle that verifies.

#[path = "../../../site-agent/src/data/omop/postgres/tests/cluster.rs"]
#[allow(dead_code, reason = "the agent's own tests use what this one does not")]
mod cluster;

use super::verify;
use cluster::Cluster;
use consilium_tests::{Federation, wait_for};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Three seconds of ticks at least: as long as an agent serves a study its frozen examples can be looked at, and no longer.
const QUICK: &[(&str, &str)] =
    &[("quorum", "3"), ("rounds", "30"), ("deadline_s", "60"), ("reply_tick_ms", "100")];

/// How an agent comes to its server.
enum Way {
    /// The system says who it is.
    Socket,
    /// A certificate that the hospital's own authority signed, and a password.
    Tls,
}

/// A hospital whose records are in a database of its name.
struct Hospital {
    name: &'static str,
    role: String,
    /// Its OMOP tables as they were before.
    folder: String,
    /// What its agent is told.
    source: String,
}

impl Hospital {
    /// Loads the folder's tables, and makes the agent's `source.toml`. The role of its agent is not there yet.
    fn load(cluster: &Cluster, federation: &Federation, name: &'static str, way: &Way) -> Self {
        let role = format!("consilium_{name}");
        let folder = federation.path(&format!("data/{name}/omop"));
        cluster.sql(&tables(name, Path::new(&folder)));
        let place = federation.path(&format!("source-{name}"));
        fs::create_dir(&place).expect("new");
        let (host, more) = match way {
            Way::Socket => (cluster.folder().display().to_string(), ""),
            Way::Tls => ("127.0.0.1".to_owned(), "ca = \"ca.pem\"\npassword_file = \"password\"\n"),
        };
        let source = format!("{place}/source.toml");
        let text = format!(
            "[postgres]\nhost = \"{host}\"\nport = {}\ndatabase = \"{name}\"\nuser = \"{role}\"\nschema = \"cdm\"\n{more}",
            cluster.port()
        );
        fs::write(&source, text).expect("written");
        if matches!(way, Way::Tls) {
            let password = format!("{place}/password");
            fs::write(&password, "open sesame\n").expect("written");
            fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("private");
            fs::write(format!("{place}/ca.pem"), answer_by_tls(cluster)).expect("written");
        }
        Self { name, role, folder, source }
    }

    /// What the administrator does: the role as the script's comment says, and the script. Gives the columns that it names.
    fn grant(&self, cluster: &Cluster, federation: &Federation, study: &str) -> Columns {
        let grants = |more: &[&str]| {
            let args = ["data", "grants", "--omop", &self.source, "--study", study];
            federation.agent(self.name, args.into_iter().chain(more.iter().copied()))
        };
        let script = grants(&["--cdm", "5.4"]).ok();
        let role: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("--   ")).collect();
        let [create, read_only, _optional] = role[..] else { panic!("{script}") };
        assert!(create.starts_with("CREATE ROLE") && read_only.starts_with("ALTER ROLE"), "{script}");
        cluster.sql(&format!("{create}\n{read_only}\nALTER ROLE {} PASSWORD 'open sesame';", self.role));
        let checks = ["data", "check", "--study", study, "--data", &self.source];
        federation.agent(self.name, checks).refused(3, "permission denied");
        cluster.sql(&format!("\\connect {}\n{script}", self.name));
        assert_eq!(grants(&[]).ok(), script, "the database has every column that the data model has");
        named(&script)
    }

    /// What the database's catalogue says that the role may read.
    fn rights(&self, cluster: &Cluster) -> Columns {
        let rights = cluster.sql(&format!(
            "\\connect {}\nSELECT table_name, column_name, privilege_type FROM information_schema.column_privileges \
             WHERE grantee = '{}';",
            self.name, self.role
        ));
        let right = |line: &str| {
            let [table, column, "SELECT"] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
            (table.to_owned(), column.to_owned())
        };
        rights.lines().map(right).collect()
    }

    /// The examples that the agent serves the study with, as soon as there are any.
    fn frozen(&self, federation: &Federation) -> Value {
        wait_for("the agent freezes its examples", || {
            let list = ["data", "snapshot", "list", "--format", "json"];
            let listed = federation.agent(self.name, list).json();
            listed["snapshots"].as_array().and_then(|found| found.first().cloned())
        })
    }

    /// Every query that the server was asked to copy out by the role, by the server's own log.
    fn asked(&self, cluster: &Cluster) -> BTreeSet<String> {
        let log = fs::read_to_string(cluster.folder().join("log")).expect("a log");
        let of_role = format!("{} ", self.role);
        let copies = log.lines().filter(|line| line.starts_with(&of_role)).filter_map(|line| {
            let from = line.find("COPY (")?;
            Some(line[from..].to_owned())
        });
        copies.collect()
    }
}

/// Tables and their columns.
type Columns = BTreeSet<(String, String)>;

/// `"a", "b"` of a table.
fn columns_of<'a>(table: &'a str, columns: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    columns.split(", ").map(|column| (table.to_owned(), column.trim_matches('"').to_owned()))
}

/// The columns that a script grants; it grants nothing of a table but columns.
fn named(script: &str) -> Columns {
    let of_tables = script.lines().filter(|line| line.starts_with("GRANT ") && line.contains(" ON TABLE "));
    let columns = of_tables.flat_map(|line| {
        let rest = line.strip_prefix("GRANT SELECT (").expect("columns");
        let (columns, rest) = rest.split_once(") ON TABLE \"cdm\".\"").expect("of a table");
        columns_of(rest.split('"').next().expect("its name"), columns)
    });
    columns.collect()
}

/// The columns that queries copy out.
fn copied(queries: &BTreeSet<String>) -> Columns {
    let columns = queries.iter().flat_map(|query| {
        let rest = query.strip_prefix("COPY (SELECT ").expect("nothing but columns");
        let (columns, rest) = rest.split_once(" FROM \"cdm\".\"").expect("of a table");
        columns_of(rest.split('"').next().expect("its name"), columns)
    });
    columns.collect()
}

/// SQL that makes a database of this name and fills it from CSV files; nobody but its owner may connect.
fn tables(name: &str, folder: &Path) -> String {
    let mut sql = format!(
        "CREATE DATABASE {name};\nREVOKE ALL ON DATABASE {name} FROM PUBLIC;\n\\connect {name}\n\
         REVOKE ALL ON SCHEMA public FROM PUBLIC;\nCREATE SCHEMA cdm;\n"
    );
    for entry in fs::read_dir(folder).expect("made by synth") {
        let path = entry.expect("readable").path();
        let table = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_lowercase();
        let text = fs::read_to_string(&path).expect("text");
        let (header, rows) = text.split_once('\n').expect("a header");
        let columns: Vec<String> =
            header.split(',').map(|column| format!("\"{column}\" {}", type_of(column))).collect();
        sql += &format!(
            "CREATE TABLE cdm.{table} ({});\nCOPY cdm.{table} FROM STDIN (FORMAT csv);\n{rows}\\.\n",
            columns.join(", ")
        );
    }
    sql
}

/// The types of the data model's own scripts.
fn type_of(column: &str) -> &'static str {
    match column {
        "domain_id" | "vocabulary_id" | "concept_class_id" | "relationship_id" => "varchar",
        "value_as_number" | "range_low" | "range_high" | "quantity" => "numeric",
        "days_supply" | "min_levels_of_separation" | "max_levels_of_separation" => "integer",
        name if name.ends_with("_date") => "date",
        name if name.ends_with("_datetime") => "timestamp",
        name if name.ends_with("_id") || name.ends_with("_of_birth") => "integer",
        _ => "text",
    }
}

/// Has the server answer on loopback by TLS alone, with a password; the certificate of who signed its own.
fn answer_by_tls(cluster: &Cluster) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    let key = KeyPair::generate().expect("a key");
    cluster.write("server.crt", &params.signed_by(&key, &authority).expect("signed").pem());
    cluster.write("server.key", &key.serialize_pem());
    cluster.write("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
    cluster.append("postgresql.conf", "ssl = on\n");
    cluster.restart();
    authority.pem()
}

#[test]
fn hospitals_train_from_their_databases() {
    // So that the server says itself what it was asked, and by whom.
    let Some(cluster) = Cluster::start(&["log_statement = 'all'", "log_line_prefix = '%u '"]) else { return };
    let mut federation = Federation::enrolled(3, 1200);
    let file = federation.study_of("synthetic-psychosis", "3", QUICK);
    let digest = federation.publish(&file);
    let hospitals = [("ashford", Way::Socket), ("brackley", Way::Tls)]
        .map(|(name, way)| Hospital::load(&cluster, &federation, name, &way));

    let mut granted = Vec::new();
    let mut checked = Vec::new();
    for hospital in &hospitals {
        granted.push(hospital.grant(&cluster, &federation, &file));
        assert_eq!(hospital.rights(&cluster), granted[granted.len() - 1], "the printed grants, no others");
        let of = |data: &str| {
            let check = ["data", "check", "--study", &file, "--data", data, "--format", "json"];
            let out = federation.path("examples");
            let export = ["data", "export", "--examples", "--study", &file, "--data", data, "--out", &out];
            let checked = federation.agent(hospital.name, check).json();
            let _ = federation.agent(hospital.name, export).ok();
            let examples = fs::read(&out).expect("written");
            fs::remove_file(out).expect("there");
            (checked, examples)
        };
        let (database, folder) = (of(&hospital.source), of(&hospital.folder));
        assert_eq!(database.0, folder.0, "{}: who is in the cohort, and what is missing", hospital.name);
        assert!(database.1 == folder.1, "{}: the examples, to the byte", hospital.name);
        let steps = folder.0["attrition"].as_array().expect("steps");
        assert!(steps[steps.len() - 2]["people"].as_u64() > Some(20), "{steps:?}");
        checked.push(folder.0);
    }

    federation.approve(&digest);
    for hospital in &hospitals {
        federation.start_agent_on(hospital.name, &hospital.source);
    }
    let folder = federation.path("data/corby/omop");
    federation.start_agent_on("corby", &folder);
    let started = federation.coordinator(["study", "start", &digest, "--format", "json"]).json();
    assert_eq!(started["participants"], serde_json::json!(["ashford", "brackley", "corby"]));
    let frozen = hospitals.each_ref().map(|hospital| hospital.frozen(&federation));
    assert_eq!(federation.ended(&digest), "finished");
    let bundle = federation.report(&digest).join("bundle");
    assert_eq!(verify(&bundle).code, 0, "{:?}", verify(&bundle));

    for (at, hospital) in hospitals.iter().enumerate() {
        federation.stop_agent(hospital.name);
        let asked = hospital.asked(&cluster);
        assert_eq!(copied(&asked), granted[at], "{}: every column that was granted was read", hospital.name);
        assert_eq!(hospital.rights(&cluster), granted[at], "and no other right was needed");
        // What the model was made from: as many people as the folder gives, by queries that the server knows.
        let people = |of: &Value| of["people"].as_u64().expect("a count");
        let (training, evaluation) = (people(&checked[at]["training"]), people(&checked[at]["evaluation"]));
        let later = people(&checked[at]["held_out"]["evaluation"]);
        let kept = ["training", "evaluation"].map(|role| people(&frozen[at][role]));
        assert_eq!(
            kept,
            [training, evaluation + later],
            "{}: who came later is judged on too",
            hospital.name
        );
        let queries = frozen[at]["queries"].as_array().expect("a list").iter().filter_map(Value::as_str);
        let copies: BTreeSet<String> =
            queries.filter(|query| query.starts_with("COPY")).map(str::to_owned).collect();
        assert!(copies.is_subset(&asked), "the hospital's own log of queries is the server's");
        assert_eq!(
            copied(&copies),
            granted[at],
            "{}: and one study's examples need each right",
            hospital.name
        );
    }
}
