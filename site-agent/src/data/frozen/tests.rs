use super::*;
use crate::data::{SplitKey, load_tolerant};
use crate::disk::OsDisk;
use crate::testing::{ANSWER, now, study, study_with_bindings};
use consilium_common::examples::Examples;
use consilium_common::study::bindings::fill_in;
use consilium_common::study::parse;
use std::fs;
use tempfile::TempDir;

const KEY: [u8; 32] = [1; 32];
const DAYS: u16 = 30;

/// Forty people of the example study, frozen.
struct Cold {
    dir: TempDir,
    study: Study,
    loaded: Loaded,
}

impl Cold {
    fn new() -> Self {
        let (dir, study) = (tempfile::tempdir().expect("folder"), study(&[]));
        let table = dir.path().join("table.csv");
        let rows: String = (0..40).map(|i| format!("p{i},{},25,F,{},{}\n", 20 + i, i % 3, i % 2)).collect();
        let header = "person_id,age,bmi,sex,prior_admissions,readmitted_30d";
        fs::write(&table, format!("{header}\n{rows}")).expect("written");
        let (loaded, _) = load_tolerant(&table, &study, &SplitKey::from_bytes([9; 32])).expect("a table");
        let cold = Self { dir, study, loaded };
        cold.freeze(2);
        cold
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("snapshot")
    }

    fn about(&self) -> About {
        let source = vec!["table.csv, 3 bytes".into()];
        let origin = Origin { source, queries: vec!["table: person_id".into()] };
        About::new(&self.study, "fingerprint".into(), now(), DAYS, origin)
    }

    fn freeze(&self, salt: u8) {
        let about = self.about();
        freeze(&OsDisk, &self.path(), &KEY, &[salt; 32], &about, &self.loaded).expect("frozen");
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { study: &self.study, split: "fingerprint", now: now().plus_ms(1000), days: DAYS }
    }

    fn thaw(&self, wanted: &Wanted<'_>, left_out: impl Fn(&str) -> bool) -> Result<Thawed, InvalidSnapshot> {
        thaw(&self.path(), &KEY, wanted, left_out)
    }
}

fn error<T>(result: Result<T, InvalidSnapshot>) -> String {
    result.err().expect("not used").to_string()
}

#[test]
fn what_would_not_be_read_back_is_not_written() {
    let cold = Cold::new();
    let before = fs::read(cold.path()).expect("there");
    let about = About { queries: vec!["x".repeat(ABOUT_BYTES_MAX)], ..cold.about() };
    let refused = freeze(&OsDisk, &cold.path(), &KEY, &[5; 32], &about, &cold.loaded).expect_err("too long");
    assert!(refused.to_string().contains("longer than 16777216 bytes"), "{refused}");
    assert!(fs::read(cold.path()).expect("there") == before, "the old one stays");
}

#[test]
fn everybody_comes_back() {
    let cold = Cold::new();
    let thawed = cold.thaw(&cold.wanted(), |_| false).expect("whole");
    assert!(thawed.about == cold.about());
    assert_eq!(thawed.about.expires, now().plus_ms(30 * DAY_MS));
    assert!(
        thawed.loaded.training == cold.loaded.training && thawed.loaded.evaluation == cold.loaded.evaluation
    );
    assert!(thawed.loaded.whose.training.is_empty(), "ids are not kept in memory");
    let people = thawed.people.map(|people| (people.frozen, people.left_out));
    assert_eq!(people[0].0 + people[1].0, 40);
    assert_eq!((people[0].1, people[1].1), (0, 0));
    // Frozen again under another salt: other bytes, the same cohort.
    let before = fs::read(cold.path()).expect("there");
    cold.freeze(3);
    assert_ne!(before[60..], fs::read(cold.path()).expect("there")[60..]);
    assert_eq!(cold.thaw(&cold.wanted(), |_| false).expect("whole").cohort, thawed.cohort);
    for name in ["p1,", "p39", "readmitted", "fingerprint"] {
        assert!(!before.windows(name.len()).any(|window| window == name.as_bytes()), "{name} is legible");
    }
}

/// Without one person: the others' examples are what they are without that person in the source.
#[test]
fn who_opted_out_is_passed_over() {
    let cold = Cold::new();
    let without = |examples: &Examples, ids: &crate::data::PersonIds, out: &str| {
        let mut kept = Examples::new(examples.width());
        for (person, _) in ids.iter().enumerate().filter(|(_, id)| *id != out) {
            kept.push_from(examples, person);
        }
        kept
    };
    let all = cold.thaw(&cold.wanted(), |_| false).expect("whole").cohort;
    for out in ["p0", "p7", "p39"] {
        let thawed = cold.thaw(&cold.wanted(), |id| id == out).expect("whole");
        let Loaded { training, evaluation, whose } = &cold.loaded;
        assert!(thawed.loaded.training == without(training, &whose.training, out));
        assert!(thawed.loaded.evaluation == without(evaluation, &whose.evaluation, out));
        assert_eq!(thawed.people.iter().map(|people| people.left_out).sum::<u64>(), 1);
        assert_eq!(thawed.cohort, all, "the cohort is the frozen one, whoever is left out");
    }
}

#[test]
fn what_is_of_something_else_is_not_used() {
    let cold = Cold::new();
    let refused = |change: &dyn Fn(&mut Wanted<'_>), expected: &str| {
        let mut wanted = cold.wanted();
        change(&mut wanted);
        assert!(error(cold.thaw(&wanted, |_| false)).contains(expected), "{expected}");
        assert!(error(check(&cold.path(), &KEY, &wanted)).contains(expected), "{expected}");
    };
    refused(&|wanted| wanted.split = "other", "another split key");
    refused(&|wanted| wanted.now = now().plus_ms(30 * DAY_MS), "expired at 2027-03-31T09:00:00.000Z");
    refused(&|wanted| (wanted.now, wanted.days) = (now().plus_ms(DAY_MS), 1), "expired at 2027-03-02");
    refused(&|wanted| wanted.now = Time::from_unix_ms(now().unix_ms() - 1).expect("a time"), "expired");
    let other = study(&[("1.0.0", "1.0.1")]);
    let wanted = Wanted { study: &other, ..cold.wanted() };
    assert!(error(cold.thaw(&wanted, |_| false)).contains("another study"));
    assert!(error(thaw(&cold.path(), &[2; 32], &cold.wanted(), |_| false)).contains("another home's key"));
    fs::remove_file(cold.path()).expect("there");
    assert!(matches!(cold.thaw(&cold.wanted(), |_| false), Err(InvalidSnapshot::Absent(_))));
    fs::create_dir(cold.path()).expect("made");
    assert!(matches!(cold.thaw(&cold.wanted(), |_| false), Err(InvalidSnapshot::Unreadable { .. })));
}

/// Examples are frozen before an approval is kept: what another answer to the bindings made of them is not used.
#[test]
fn what_another_answer_made_is_not_used() {
    let cold = Cold::new();
    let asking = parse(study_with_bindings().as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let answered = |text: &str| fill_in(&asking, text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let (one, same) = (answered(ANSWER), answered(&format!("# the same\n{ANSWER}")));
    let other = answered(&ANSWER.replacen("concepts = [38004285]", "concepts = [38004284]", 1));
    assert_eq!((one.digest, one.bindings() == other.bindings()), (other.digest, false));
    let about = About::new(&one, "fingerprint".into(), now(), DAYS, Origin::default());
    freeze(&OsDisk, &cold.path(), &KEY, &[3; 32], &about, &cold.loaded).expect("frozen");
    let of = |study| check(&cold.path(), &KEY, &Wanted { study, ..cold.wanted() });
    assert!(of(&one).is_ok() && of(&same).is_ok());
    assert!(error(of(&other)).contains("another answer to the study's bindings"));
}

/// Any byte changed, any length: damaged, and never one person's example.
#[test]
fn what_was_changed_is_not_used() {
    let cold = Cold::new();
    let good = fs::read(cold.path()).expect("there");
    let check = |bytes: &[u8], what: usize| {
        fs::write(cold.path(), bytes).expect("written");
        let found = cold.thaw(&cold.wanted(), |_| false);
        assert!(matches!(found, Err(InvalidSnapshot::Damaged(_))), "{what}: {}", error(found));
    };
    for at in (0..good.len()).step_by(37) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        check(&bytes, at);
    }
    for length in (0..good.len()).step_by(101) {
        check(&good[..length], length);
    }
    check(&[&good[..], b"\0"].concat(), good.len() + 1);
    fs::write(cold.path(), &good).expect("written");
    assert!(cold.thaw(&cold.wanted(), |_| false).is_ok());
}

#[test]
fn it_is_private_and_goes_whole() {
    let cold = Cold::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(cold.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    // What a crash may leave beside.
    fs::write(cold.dir.path().join(".snapshot.new"), b"half").expect("written");
    assert!(remove(&OsDisk, &cold.path()).expect("removed"));
    let left: Vec<_> =
        fs::read_dir(cold.dir.path()).expect("folder").flatten().map(|f| f.file_name()).collect();
    assert_eq!(left, ["table.csv"]);
    assert!(!remove(&OsDisk, &cold.path()).expect("nothing to do"));
}
