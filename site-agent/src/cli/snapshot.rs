//! `data snapshot list` and `data snapshot drop`: the frozen examples of this site's studies, for its own eyes.

use super::args::SnapshotDrop;
use super::output::{Output, table};
use crate::approval::{all_kept, kept};
use crate::data::SplitKey;
use crate::data::frozen::{self, About, InvalidSnapshot, People, Wanted};
use crate::data::opt_out::{IdForm, OptOuts};
use crate::disk::OsDisk;
use crate::failure::Failure;
use crate::files::FileError;
use crate::home::Home;
use consilium_common::id::Digest;
use consilium_common::time::Time;
use serde_json::{Value, json};
use std::time::Instant;

/// Characters of a query that are shown to people.
const QUERY_SHOWN: usize = 600;

/// One study's.
struct Found {
    study: Digest,
    about: Option<About>,
    /// In words, why it will not be used.
    unusable: Option<String>,
    /// Training and evaluation people, where it can be used.
    people: Option<[People; 2]>,
}

/// What is there, read to its end: what is listed as usable is whole.
pub(super) fn list(home: &Home, output: &Output, now: Time) -> Result<(), Failure> {
    let found = find(home, now)?;
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    let headers = [
        "study",
        "digest",
        "extracted",
        "expires",
        "training",
        "opted out",
        "evaluation",
        "opted out",
        "state",
    ];
    let mut human =
        vec![if found.is_empty() { "no frozen examples here".to_owned() } else { table(&headers, &rows) }];
    for Found { about, .. } in &found {
        human.extend(about.as_ref().map(come_from));
    }
    if !found.is_empty() {
        human.push("These counts stay here: never send or publish them.".to_owned());
    }
    output.result(
        &human.join("\n\n"),
        &json!({ "stays_here": true, "snapshots": found.iter().map(json).collect::<Vec<_>>() }),
    )
}

/// Which release of the source it was, and what was asked of it.
fn come_from(about: &About) -> String {
    let queries: Vec<String> = about.queries.iter().map(|query| shortened(query)).collect();
    format!(
        "{} comes from\n  {}\nof which was asked\n  {}",
        about.study_id,
        about.source.join("\n  "),
        queries.join("\n  ")
    )
}

/// A query may name thousands of concepts.
fn shortened(query: &str) -> String {
    let length = query.chars().count();
    if length <= QUERY_SHOWN {
        return query.to_owned();
    }
    let begin: String = query.chars().take(QUERY_SHOWN).collect();
    format!("{begin}… ({length} characters; whole in --format json)")
}

/// Removes what was asked for. Examples that a running agent holds in memory stay there until it stops or a list changes.
pub(super) fn drop_some(
    home: &Home,
    asked: &SnapshotDrop,
    output: &Output,
    now: Time,
) -> Result<(), Failure> {
    let mut dropped = Vec::new();
    for found in find(home, now)? {
        let is_named = asked.study.as_ref().is_some_and(|which| {
            let by_id = found.about.as_ref().is_some_and(|about| about.study_id.as_str() == which);
            by_id || found.study.to_string() == *which || found.study.hex() == *which
        });
        if asked.all || is_named || (asked.unusable && found.unusable.is_some()) {
            let path = home.snapshot_path(&found.study);
            frozen::remove(&OsDisk, &path).map_err(FileError::io(&path))?;
            dropped.push(found.study);
        }
    }
    if dropped.is_empty() {
        return Err(Failure::refused(
            "snapshot.none: there are no such frozen examples; see: site-agent data snapshot list",
        ));
    }
    let names: Vec<String> = dropped.iter().map(ToString::to_string).collect();
    let human = format!(
        "removed the frozen examples of\n  {}\nthe next round extracts them again",
        names.join("\n  ")
    );
    output.result(&human, &json!({ "dropped": dropped }))
}

fn find(home: &Home, now: Time) -> Result<Vec<Found>, Failure> {
    let policy = home.policy()?;
    let (key, own) = (home.snapshot_key(&OsDisk)?, home.ledger_key()?.public());
    let split = SplitKey::from_bytes(*home.split_key()?).fingerprint();
    let mut opt_outs = OptOuts::default();
    // A home that is not set up yet has no data; what is frozen can be listed without.
    let data = home.config().ok().and_then(|config| config.data);
    opt_outs.refresh(&policy.opt_outs, IdForm::at(data.as_deref()), Instant::now())?;
    let lists = opt_outs.lists();
    let mut all = Vec::new();
    for study in all_kept(home)? {
        let path = home.snapshot_path(&study);
        let about = match frozen::about(&path, &key) {
            Err(InvalidSnapshot::Absent(_)) => continue,
            about => about,
        };
        let Some(kept) = kept(home, &study, &own)? else { continue };
        let wanted = Wanted { study: &kept.study, split: &split, now, days: policy.snapshot_days };
        let thawed = frozen::thaw(&path, &key, &wanted, |id| lists.contains(id));
        all.push(Found {
            study,
            about: about.ok(),
            unusable: thawed.as_ref().err().map(ToString::to_string),
            people: thawed.ok().map(|thawed| thawed.people),
        });
    }
    all.sort_by_key(|found| (found.about.as_ref().map(|about| about.study_id.to_string()), found.study));
    Ok(all)
}

fn row(found: &Found) -> Vec<String> {
    let Found { study, about, unusable, people } = found;
    let of = |told: fn(&About) -> String| about.as_ref().map_or_else(|| "?".to_owned(), told);
    let mut row = vec![
        of(|about| about.study_id.to_string()),
        study.short(),
        of(|about| about.taken.to_string()),
        of(|about| about.expires.to_string()),
    ];
    for at in 0..2 {
        let counts = people.map(|people| people[at]);
        let shown = |count: fn(People) -> u64| {
            counts.map_or_else(|| "?".to_owned(), |people| count(people).to_string())
        };
        row.extend([shown(|people| people.frozen), shown(|people| people.left_out)]);
    }
    row.push(unusable.clone().unwrap_or_else(|| "in use".to_owned()));
    row
}

fn json(found: &Found) -> Value {
    let role = |at: usize| {
        found.people.map(|people| json!({ "people": people[at].frozen, "opted_out": people[at].left_out }))
    };
    json!({
        "study": found.study,
        "id": found.about.as_ref().map(|about| &about.study_id),
        "extracted": found.about.as_ref().map(|about| about.taken),
        "expires": found.about.as_ref().map(|about| about.expires),
        "source": found.about.as_ref().map(|about| &about.source),
        "queries": found.about.as_ref().map(|about| &about.queries),
        "training": role(0),
        "evaluation": role(1),
        "unusable": found.unusable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::keep_study;
    use crate::cli::args::Format;
    use crate::data::frozen::Origin;
    use crate::data::load_tolerant;
    use crate::testing::{now, site, study, study_text};

    #[test]
    fn what_is_frozen_is_listed_and_dropped() {
        let dir = tempfile::tempdir().expect("folder");
        let home = Home::create(&dir.path().join("agent"), site(0)).expect("made").home;
        let (study, output) = (study(&[]), Output::new(Format::Text));
        keep_study(&home, study.digest, study_text(&[]).as_bytes()).expect("kept");
        assert!(find(&home, now()).expect("read").is_empty());
        list(&home, &output, now()).expect("prints");

        let table = dir.path().join("table.csv");
        let rows: String = (0..30).map(|i| format!("p{i},{},25,F,0,{}\n", 20 + i, i % 2)).collect();
        let header = "person_id,age,bmi,sex,prior_admissions,readmitted_30d";
        std::fs::write(&table, format!("{header}\n{rows}")).expect("written");
        let opt_outs = dir.path().join("no.csv");
        std::fs::write(&opt_outs, "person_id\np3\np4\nother\n").expect("written");
        let policy = std::fs::read_to_string(home.policy_path()).expect("made");
        let policy = format!("{policy}\n[[opt_out]]\nlist = \"register\"\npath = {opt_outs:?}\n");
        std::fs::write(home.policy_path(), policy).expect("written");
        let split = SplitKey::from_bytes(*home.split_key().expect("made"));
        let (loaded, _) = load_tolerant(&table, &study, &split).expect("a table");
        let queries = vec!["table: person_id".into(), format!("COPY (SELECT {})", "1, ".repeat(1000))];
        let origin = Origin { source: vec!["table.csv".into()], queries };
        let about = About::new(&study, split.fingerprint(), now(), 90, origin);
        let shown = come_from(&about);
        assert!(shown.contains("\n  table.csv\n") && shown.contains("\n  table: person_id\n"), "{shown}");
        assert!(shown.ends_with("1, 1,… (3014 characters; whole in --format json)"), "{shown}");
        let (path, key) = (home.snapshot_path(&study.digest), home.snapshot_key(&OsDisk).expect("made"));
        frozen::freeze(&OsDisk, &path, &key, &[1; 32], &about, &loaded).expect("frozen");

        let found = &find(&home, now()).expect("read")[0];
        let json = json(found);
        let both =
            |key: &str| ["training", "evaluation"].map(|role| json[role][key].as_u64().expect("a count"));
        assert_eq!((both("people").iter().sum::<u64>(), both("opted_out").iter().sum::<u64>()), (30, 2));
        assert_eq!((&json["unusable"], &json["source"][0]), (&Value::Null, &Value::from("table.csv")));
        list(&home, &output, now()).expect("prints");
        let late = now().plus_ms(100 * 24 * 3600 * 1000);
        assert!(
            find(&home, late).expect("read")[0].unusable.as_ref().is_some_and(|why| why.contains("expired"))
        );

        let asked = |study: Option<&str>, unusable| SnapshotDrop {
            study: study.map(str::to_owned),
            unusable,
            all: false,
        };
        for nothing in [asked(None, true), asked(Some("another"), false)] {
            let failure = drop_some(&home, &nothing, &output, now()).expect_err("nothing to drop");
            assert!(
                failure.kind.exit_code() == 1 && failure.message.starts_with("snapshot.none:"),
                "{failure}"
            );
        }
        drop_some(&home, &asked(Some(study.id.as_str()), false), &output, now()).expect("dropped");
        assert!(!path.exists());
        // Damaged: listed as such, and among the unusable.
        frozen::freeze(&OsDisk, &path, &key, &[2; 32], &about, &loaded).expect("frozen");
        let bytes = std::fs::read(&path).expect("frozen");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
        assert!(find(&home, now()).expect("read")[0].unusable.is_some());
        list(&home, &output, now()).expect("prints");
        drop_some(&home, &asked(None, true), &output, now()).expect("dropped");
        assert!(!path.exists());
    }
}
