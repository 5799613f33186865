//! The table within its bounds, and the OMOP records saying what the table says, person by person.

use super::*;
use jiff::civil::Date;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// All rows of a table, by person.
fn by_person(folder: &Path, table: &str) -> HashMap<String, Vec<Row>> {
    let mut rows: HashMap<String, Vec<Row>> = HashMap::new();
    for row in read(&folder.join(format!("{table}.csv"))) {
        rows.entry(row["person_id"].clone()).or_default().push(row);
    }
    rows
}

fn day(row: &Row, column: &str) -> Date {
    row[column].parse().expect("a day")
}

fn days(from: Date, to: Date) -> i32 {
    from.until(to).expect("in range").get_days()
}

const TABLES: [(&str, &[&str]); 10] = [
    ("PERSON", &["gender_concept_id", "race_concept_id", "ethnicity_concept_id"]),
    ("OBSERVATION_PERIOD", &["period_type_concept_id"]),
    ("VISIT_OCCURRENCE", &["visit_concept_id", "visit_type_concept_id"]),
    ("VISIT_DETAIL", &["visit_detail_concept_id", "visit_detail_type_concept_id"]),
    (
        "CONDITION_OCCURRENCE",
        &[
            "condition_concept_id",
            "condition_type_concept_id",
            "condition_status_concept_id",
            "condition_source_concept_id",
        ],
    ),
    ("DRUG_EXPOSURE", &["drug_concept_id", "drug_type_concept_id"]),
    ("MEASUREMENT", &["measurement_concept_id", "measurement_type_concept_id", "unit_concept_id"]),
    ("OBSERVATION", &["observation_concept_id", "observation_type_concept_id", "value_as_concept_id"]),
    ("DEATH", &["death_type_concept_id"]),
    (
        "NOTE",
        &["note_type_concept_id", "note_class_concept_id", "encoding_concept_id", "language_concept_id"],
    ),
];

/// What stands below psychosis or depression and is neither, and below self-harm and is none.
const ORGANIC: u64 = 170;
const SUBSTANCE: u64 = 180;
const BIPOLAR: u64 = 130;
const LATE_EFFECT: u64 = 220;

#[test]
fn columns_keep_their_bounds() {
    fn within(row: &Row, column: &str, bounds: RangeInclusive<f64>, may_be_empty: bool) {
        let text = &row[column];
        let good =
            if text.is_empty() { may_be_empty } else { text.parse().is_ok_and(|v: f64| bounds.contains(&v)) };
        assert!(good, "{column}: {text:?}");
    }
    fn one_of(row: &Row, column: &str, words: &str, seen: &mut BTreeSet<String>) {
        assert!(words.split('|').any(|word| word == row[column]), "{column}: {:?}", row[column]);
        seen.insert(format!("{column}={}", row[column]));
    }
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&args(&out, 6, 3000, 3)).expect("writes");
    let mut ids = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for site in plan(6, 3000).expect("within bounds") {
        let folder = out.join(site.profile.name);
        let table = read(&folder.join("table.csv"));
        assert_eq!(table.len() as u64, site.people);
        let risks = read(&folder.join("truth.csv"));
        for (row, risk) in table.iter().zip(&risks) {
            assert_eq!(row["person_id"], risk["person_id"]);
            within(risk, "true_risk", 0.0..=1.0, false);
            within(risk, "true_risk_of_readmission", 0.0..=1.0, true);
            for column in ["psychiatric_discharge", "readmitted_30d"] {
                assert_eq!(risk[column].is_empty(), risk["true_risk_of_readmission"].is_empty());
            }
            assert!(ids.insert(row["person_id"].clone()), "one id, one person");
            within(row, "age", 18.0..=90.0, false);
            within(row, "prior_admissions", 0.0..=20.0, false);
            within(row, "days_since_last_contact", 0.0..=365.0, false);
            within(row, "phq9", 0.0..=27.0, true);
            within(row, "bmi", 10.0..=70.0, true);
            within(row, "deprivation_quintile", 1.0..=5.0, true);
            for flag in
                ["prior_self_harm", "antidepressant", "antipsychotic", "alcohol_misuse", "self_harm_365d"]
            {
                one_of(row, flag, "0|1", &mut seen);
            }
            one_of(row, "sex", "female|male|unknown", &mut seen);
            one_of(row, "diagnosis", "depression|psychosis|bipolar|other", &mut seen);
            let words = "white|asian|black|mixed|other|unknown|not_asked|refused";
            one_of(row, "ethnicity", words, &mut seen);
        }
        assert_eq!(table.len(), risks.len());
    }
    assert_eq!(seen.len(), 5 * 2 + 3 + 4 + 8, "every word occurs: {seen:?}");
    let header = std::fs::read_to_string(out.join("ashford/table.csv")).expect("a table");
    assert_eq!(header.lines().next(), Some(table::COLUMNS.join(",").as_str()));
}

#[test]
fn every_id_refers_to_something() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&args(&out, 7, 1500, 4)).expect("writes");
    for site in plan(7, 1500).expect("within bounds") {
        let omop = out.join(site.profile.name).join("omop");
        let set = |table: &str, column: &str| -> BTreeSet<String> {
            let rows = read(&omop.join(format!("{table}.csv")));
            let ids: BTreeSet<String> = rows.iter().map(|row| row[column].clone()).collect();
            assert_eq!(ids.len(), rows.len(), "{table}.{column} is a key");
            ids
        };
        let people = set("PERSON", "person_id");
        let visits = set("VISIT_OCCURRENCE", "visit_occurrence_id");
        let concepts = set("CONCEPT", "concept_id");
        let (wards, providers) = (set("CARE_SITE", "care_site_id"), set("PROVIDER", "provider_id"));
        for key in [
            "CONDITION_OCCURRENCE",
            "DRUG_EXPOSURE",
            "MEASUREMENT",
            "OBSERVATION",
            "OBSERVATION_PERIOD",
            "VISIT_DETAIL",
            "NOTE",
        ] {
            set(key, &format!("{}_id", key.to_lowercase()));
        }
        assert_eq!(set("OBSERVATION_PERIOD", "person_id"), people, "everybody is observed once");
        assert!(set("DEATH", "person_id").is_subset(&people));
        let periods = by_person(&omop, "OBSERVATION_PERIOD");
        for (table, columns) in TABLES {
            for row in read(&omop.join(format!("{table}.csv"))) {
                assert!(people.contains(&row["person_id"]), "{table}");
                for column in columns {
                    let id = &row[*column];
                    assert!(id.is_empty() || concepts.contains(id), "{table}.{column} {id}");
                }
                if let Some(visit) = row.get("visit_occurrence_id") {
                    assert!(visit.is_empty() || visits.contains(visit), "{table} visit {visit}");
                }
                for (column, known) in [("care_site_id", &wards), ("provider_id", &providers)] {
                    let id = row.get(column).map_or("", String::as_str);
                    assert!(id.is_empty() || known.contains(id), "{table}.{column} {id}");
                }
                for (column, text) in row.iter().filter(|(c, t)| c.ends_with("_datetime") && !t.is_empty()) {
                    let on = &row[&column.replace("datetime", "date")];
                    assert_eq!(text.split(' ').next(), Some(on.as_str()), "{table}.{column}");
                }
                let period = &periods[&row["person_id"]][0];
                let observed =
                    day(period, "observation_period_start_date")..=day(period, "observation_period_end_date");
                for (column, text) in row.iter().filter(|(c, t)| c.ends_with("_date") && !t.is_empty()) {
                    assert!(observed.contains(&text.parse().expect("a day")), "{table}.{column} {text}");
                }
            }
        }
        for row in read(&omop.join("CONCEPT_RELATIONSHIP.csv")) {
            let distance = |column: &str| row[column].parse::<u64>().expect("a number");
            assert_eq!(distance("concept_id_1").abs_diff(distance("concept_id_2")), 10_000);
            assert!(concepts.contains(&row["concept_id_1"]) && concepts.contains(&row["concept_id_2"]));
        }
        for row in read(&omop.join("CONCEPT_ANCESTOR.csv")) {
            for column in ["ancestor_concept_id", "descendant_concept_id"] {
                assert!(concepts.contains(&row[column]) && row[column].as_str() >= "2000000000");
            }
        }
        for id in concepts {
            let standard = ["0", "8507", "8532", "756265"].contains(&id.as_str());
            assert!(standard || id.parse::<u64>().expect("a number") >= 2_000_000_000, "{id}");
        }
    }
}

#[test]
fn the_tree_reaches_from_kinds_to_the_whole() {
    let home = tempfile::tempdir().expect("a folder");
    vocabulary::write(&Folders::create(home.path(), Form::Csv).expect("made")).expect("writes");
    let pairs = read(&home.path().join("omop/CONCEPT_ANCESTOR.csv"));
    let levels = |ancestor: u64, descendant: u64| {
        let is = |row: &&Row, column: &str, id: u64| row[column] == (2_000_000_000 + id).to_string();
        let of = |row: &&Row| {
            is(row, "ancestor_concept_id", ancestor) && is(row, "descendant_concept_id", descendant)
        };
        pairs.iter().find(of).map(|row| row["min_levels_of_separation"].clone())
    };
    assert_eq!(levels(100, 111).as_deref(), Some("2"));
    assert_eq!(levels(110, 111).as_deref(), Some("1"));
    assert_eq!(levels(200, 212).as_deref(), Some("1"));
    assert_eq!(levels(200, 200).as_deref(), Some("0"));
    assert_eq!(levels(111, 110), None);
    assert_eq!(levels(110, 121), None);
}

#[test]
fn omop_says_what_the_table_says() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&args(&out, 6, 1500, 5)).expect("writes");
    for site in plan(6, 1500).expect("within bounds") {
        let folder = out.join(site.profile.name);
        let omop = Omop::read(&folder.join("omop"));
        let table = read(&folder.join("table.csv"));
        assert_eq!(omop.tables["PERSON"].len(), table.len());
        for row in table {
            let told = omop.row_of(&row["person_id"]);
            for (column, value) in told {
                assert_eq!(row[column], value, "{} {column}", site.profile.name);
            }
            let age = row["age"].parse().expect("a number");
            assert!(omop.ages(&row["person_id"]).contains(&age), "{} age", site.profile.name);
        }
    }
}

#[test]
fn omop_says_what_the_truth_says() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&args(&out, 6, 3000, 6)).expect("writes");
    let mut readmitted = 0;
    for site in plan(6, 3000).expect("within bounds") {
        let folder = out.join(site.profile.name);
        let omop = Omop::read(&folder.join("omop"));
        let mut known_before = 0;
        for row in read(&folder.join("truth.csv")) {
            let person = &row["person_id"];
            let first = omop.first_diagnosis(person);
            let at_index = first == Some(omop.index(person));
            assert_eq!(row["first_episode"], u8::from(at_index).to_string(), "{}", site.profile.name);
            known_before += u64::from(first.is_some_and(|day| day < omop.index(person)));
            let discharge = omop.discharge(person);
            let (day, again) = discharge.map_or((String::new(), String::new()), |(day, again)| {
                (day.to_string(), u8::from(again).to_string())
            });
            readmitted += u64::from(again == "1");
            let told = (&row["psychiatric_discharge"], &row["readmitted_30d"]);
            assert_eq!(told, (&day, &again), "{}", site.profile.name);
        }
        assert!(known_before > 0, "{}: some are no first episode", site.profile.name);
    }
    assert!(readmitted > 50, "{readmitted}");
}

/// A reader of OMOP folders that knows the rule in `truth.json` and nothing of the generator.
struct Omop {
    tables: HashMap<&'static str, HashMap<String, Vec<Row>>>,
    ancestors: BTreeSet<(String, String)>,
    /// As `truth.json` names it for this site.
    ethnicity_column: String,
}

impl Omop {
    fn read(folder: &Path) -> Self {
        let tables = TABLES.iter().map(|(name, _)| (*name, by_person(folder, name))).collect();
        let ancestors = read(&folder.join("CONCEPT_ANCESTOR.csv"))
            .iter()
            .map(|row| (row["ancestor_concept_id"].clone(), row["descendant_concept_id"].clone()))
            .collect();
        let site = folder.parent().expect("a site");
        let truth = std::fs::read(site.with_file_name("truth.json")).expect("a truth");
        let truth: serde_json::Value = serde_json::from_slice(&truth).expect("JSON");
        let sites = truth["sites"].as_array().expect("a list");
        let of_site = sites.iter().find(|of| site.ends_with(of["name"].as_str().expect("a name")));
        let column = &of_site.expect("this site")["coding"]["ethnicity_column"];
        Self { tables, ancestors, ethnicity_column: column.as_str().expect("a word").to_owned() }
    }

    /// Days from the index day to each record of a table whose concept is below `root`.
    fn events(&self, person: &str, table: &str, root: u64) -> Vec<(i32, &Row)> {
        self.events_but(person, table, root, &[])
    }

    /// As [`Self::events`], without those below some other roots.
    fn events_but(&self, person: &str, table: &str, root: u64, but: &[u64]) -> Vec<(i32, &Row)> {
        let domain = match table {
            "VISIT_DETAIL" => "visit_detail".to_owned(),
            _ => table.split('_').next().expect("a name").to_lowercase(),
        };
        let date = match table {
            "MEASUREMENT" | "OBSERVATION" => format!("{domain}_date"),
            "DRUG_EXPOSURE" => "drug_exposure_start_date".to_owned(),
            _ => format!("{domain}_start_date"),
        };
        let is_below = |row: &Row, root: u64| {
            let root = (2_000_000_000 + root).to_string();
            self.ancestors.contains(&(root, row[&format!("{domain}_concept_id")].clone()))
        };
        let below = |row: &&Row| is_below(row, root) && !but.iter().any(|root| is_below(row, *root));
        let rows = self.tables[table].get(person).map_or(&[][..], Vec::as_slice);
        let index = self.index(person);
        rows.iter().filter(below).map(|row| (days(index, day(row, &date)), row)).collect()
    }

    fn index(&self, person: &str) -> Date {
        let is_assessment = |row: &&Row| row["visit_concept_id"] == "2000000421";
        let visits: Vec<&Row> =
            self.tables["VISIT_OCCURRENCE"][person].iter().filter(is_assessment).collect();
        assert_eq!(visits.len(), 1, "one assessment each");
        day(visits[0], "visit_start_date")
    }

    /// The row of the plain table, as the records tell it.
    fn row_of(&self, person: &str) -> Vec<(&'static str, String)> {
        let flag = |happened: bool| u8::from(happened).to_string();
        let record = &self.tables["PERSON"][person][0];
        let sex = match record["gender_concept_id"].as_str() {
            "8532" => "female",
            "8507" => "male",
            _ => "unknown",
        };
        let self_harm = ["CONDITION_OCCURRENCE", "OBSERVATION"]
            .map(|table| self.events_but(person, table, 200, &[LATE_EFFECT]))
            .concat();
        let has_but = |table, root, but: &[u64]| {
            self.events_but(person, table, root, but).iter().any(|(day, _)| *day <= 0)
        };
        let has = |table, root| has_but(table, root, &[]);
        let last = |table, root, unit: [&str; 2]| {
            let events = self.events(person, table, root);
            let right = |row: &Row| {
                let said = [row["unit_concept_id"].as_str(), row["unit_source_value"].as_str()];
                said == [unit[0], ""] || said == ["", unit[1]] || said == ["", ""]
            };
            let before = events.into_iter().filter(|(day, row)| *day <= 0 && right(row));
            let last = before.max_by_key(|(day, _)| *day);
            last.map_or(String::new(), |(_, row)| row["value_as_number"].clone())
        };
        let kinds: [(u64, &str, &[u64]); 4] = [
            (110, "depression", &[BIPOLAR, ORGANIC]),
            (120, "psychosis", &[ORGANIC, SUBSTANCE]),
            (130, "bipolar", &[]),
            (140, "other", &[]),
        ];
        let diagnosis = kinds
            .into_iter()
            .filter(|(root, _, but)| has_but("CONDITION_OCCURRENCE", *root, but))
            .map(|(_, word, _)| word)
            .collect::<Vec<_>>()
            .join("+");
        vec![
            ("sex", sex.to_owned()),
            ("prior_self_harm", flag(self_harm.iter().any(|(day, _)| *day <= 0))),
            ("self_harm_365d", flag(self_harm.iter().any(|(day, _)| (1..=365).contains(day)))),
            ("prior_admissions", self.admissions(person).to_string()),
            ("days_since_last_contact", self.days_since_last_contact(person).to_string()),
            ("phq9", last("MEASUREMENT", 500, ["2000000520", "{score}"])),
            ("bmi", last("MEASUREMENT", 510, ["2000000530", "kg/m2"])),
            ("diagnosis", diagnosis),
            ("antidepressant", flag(has("DRUG_EXPOSURE", 310))),
            ("antipsychotic", flag(has("DRUG_EXPOSURE", 320))),
            ("alcohol_misuse", flag(has("CONDITION_OCCURRENCE", 150))),
            ("deprivation_quintile", last("OBSERVATION", 600, ["", ""])),
            ("ethnicity", self.ethnicity(person)),
        ]
    }

    /// Stays before the index day.
    fn admissions(&self, person: &str) -> usize {
        let stays = self.events(person, "VISIT_OCCURRENCE", 410);
        let earlier: Vec<_> = stays.into_iter().filter(|(start, _)| *start < 0).collect();
        let mut until = Date::MIN;
        for (_, stay) in &earlier {
            assert!(day(stay, "visit_start_date") > until, "earlier stays do not overlap");
            until = day(stay, "visit_end_date");
        }
        earlier.len()
    }

    /// The day of the first record of psychosis or depression.
    fn first_diagnosis(&self, person: &str) -> Option<Date> {
        let kinds: [(u64, &[u64]); 2] = [(110, &[BIPOLAR, ORGANIC]), (120, &[ORGANIC, SUBSTANCE])];
        let records = kinds.map(|(root, but)| self.events_but(person, "CONDITION_OCCURRENCE", root, but));
        records.concat().iter().map(|(_, row)| day(row, "condition_start_date")).min()
    }

    /// The last day of the first psychiatric stay that ends in 2023 or later, and whether another began within 30 days.
    fn discharge(&self, person: &str) -> Option<(Date, bool)> {
        let visits = self.events(person, "VISIT_OCCURRENCE", 411);
        let visits = visits.iter().map(|(_, r)| (day(r, "visit_start_date"), day(r, "visit_end_date")));
        let details = self.events(person, "VISIT_DETAIL", 411);
        let details =
            details.iter().map(|(_, r)| (day(r, "visit_detail_start_date"), day(r, "visit_detail_end_date")));
        let stays: Vec<(Date, Date)> = visits.chain(details).collect();
        let (_, end) = *stays.iter().filter(|(_, end)| end.year() >= 2023).min()?;
        Some((end, stays.iter().any(|(start, _)| (1..=30).contains(&days(end, *start)))))
    }

    fn days_since_last_contact(&self, person: &str) -> i32 {
        let index = self.index(person);
        let ends = self.events(person, "VISIT_OCCURRENCE", 400);
        let earlier = ends.iter().filter(|(day, row)| *day <= 0 && row["visit_concept_id"] != "2000000421");
        let since = earlier.map(|(_, row)| days(day(row, "visit_end_date"), index));
        since.filter(|days| *days >= 0).min().expect("everybody was seen before")
    }

    /// Age at the index day; two are possible where only the year of birth is kept.
    fn ages(&self, person: &str) -> RangeInclusive<i16> {
        let record = &self.tables["PERSON"][person][0];
        let index = self.index(person);
        let number = |column: &str| record[column].parse::<i16>().ok();
        let years = index.year() - number("year_of_birth").expect("required");
        match (number("month_of_birth"), number("day_of_birth")) {
            (Some(month), Some(day)) => {
                let birthday_passed = (i16::from(index.month()), i16::from(index.day())) >= (month, day);
                let age = years - i16::from(!birthday_passed);
                age..=age
            }
            (None, None) => years - 1..=years,
            _ => panic!("month and day of birth come together"),
        }
    }

    fn ethnicity(&self, person: &str) -> String {
        let record = &self.tables["PERSON"][person][0];
        let observed = self.events(person, "OBSERVATION", 610);
        let observed = observed.first().map(|(_, row)| row["value_as_concept_id"].as_str());
        let of_person = |column: &str| Some(record[column].as_str());
        let all = [of_person("race_concept_id"), of_person("ethnicity_concept_id"), observed];
        let said: BTreeSet<&str> = all.into_iter().flatten().filter(|id| *id != "0").collect();
        let told = match self.ethnicity_column.strip_prefix("person.") {
            Some(column) => of_person(column),
            None => observed,
        };
        let told = told.filter(|id| *id != "0");
        assert!(said.len() <= 2 && (said.is_empty() || told.is_some()), "said by the site's own column");
        match told.unwrap_or_default() {
            "2000000621" => "white",
            "2000000622" => "asian",
            "2000000623" => "black",
            "2000000624" => "mixed",
            "2000000625" => "other",
            "2000000626" => "not_asked",
            "2000000627" => "refused",
            _ => "unknown",
        }
        .to_owned()
    }
}
