//! Frozen examples, opt-outs and the commitments to them, round by round.

use super::*;
use crate::data::opt_out::IdForm;
use crate::data::{Loaded, SplitKey, load_tolerant};
use crate::drive::agent::Begun;
use consilium_common::ledger::entry::{Body, Entry};
use std::fs;

/// A site of forty people with a list that nobody is on yet.
struct Listed {
    site: Site,
    held: Held,
}

impl Listed {
    fn new() -> Self {
        let site = Site::with_people(40, "");
        let list = site.dir.path().join("no.csv");
        fs::write(&list, "person_id\n").expect("written");
        let policy = policy_text(&[]).replacen(
            "[known_sites]",
            &format!("[[opt_out]]\nlist = \"register\"\npath = {list:?}\n[known_sites]"),
            1,
        );
        files::write(&site.agent.home.policy_path(), policy.as_bytes()).expect("written");
        let mut listed = Self { held: Held { study: Arc::clone(&site.study) }, site };
        listed.held = listed.site.agent.hold(Arc::clone(&listed.site.study));
        listed
    }

    fn list(&self, ids: &[&str]) {
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        fs::write(self.site.dir.path().join("no.csv"), format!("person_id\n{text}")).expect("written");
    }

    fn table(&self) -> PathBuf {
        self.site.dir.path().join("table.csv")
    }

    fn snapshot(&self) -> PathBuf {
        self.site.agent.home.snapshot_path(&self.site.study.digest)
    }

    /// One person less in the source.
    fn remove(&self, start: &str) {
        let table = fs::read_to_string(self.table()).expect("there");
        let less: String =
            table.lines().filter(|row| !row.starts_with(start)).map(|row| format!("{row}\n")).collect();
        assert!(less.len() < table.len());
        fs::write(self.table(), less).expect("written");
    }

    /// What comes before a round is paid for.
    async fn check(&mut self) -> Result<(), TaskError> {
        let study = Arc::clone(&self.site.study);
        self.site.agent.check_columns(&study).await
    }

    async fn examples(&mut self) -> Result<Arc<Loaded>, TaskError> {
        self.site.agent.examples(&self.held, &Begun::new()).await
    }

    /// A round's check, and its examples.
    async fn round(&mut self) -> Arc<Loaded> {
        self.check().await.unwrap_or_else(|error| panic!("{error}"));
        self.examples().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// From a table without these people.
    fn without(&self, ids: &[&str]) -> Loaded {
        let table = fs::read_to_string(self.table()).expect("there");
        let stays = |row: &&str| !ids.iter().any(|id| row.split(',').next() == Some(id));
        let kept: String = table.lines().filter(stays).map(|row| format!("{row}\n")).collect();
        let path = self.site.dir.path().join("without.csv");
        fs::write(&path, kept).expect("written");
        let key = SplitKey::from_bytes(*self.site.agent.home.split_key().expect("made"));
        load_tolerant(&path, &self.site.study, &key).expect("a table").0
    }

    /// The same home, the program started again.
    fn restarted(mut self) -> Self {
        let (home, path) = (self.site.agent.home.clone(), self.table());
        let config = home.config().expect("valid");
        drop(self.site.agent);
        self.site.agent = Agent::open(home, &config, Some(path), clock).expect("opens");
        self.held = self.site.agent.hold(Arc::clone(&self.site.study));
        self
    }
}

fn same(a: &Loaded, b: &Loaded) -> bool {
    a.training == b.training && a.evaluation == b.evaluation
}

#[tokio::test]
async fn who_opts_out_is_in_no_later_round_and_in_this_one_still() {
    let mut listed = Listed::new();
    let all = listed.round().await;
    assert!(same(&all, &listed.without(&[])));
    for ids in [&["p3"][..], &["p3", "p8", "p11"], &["nobody here"], &["p0"]] {
        let before = listed.round().await;
        listed.list(ids);
        assert!(same(&before, &listed.examples().await.expect("read")), "not before the next round");
        let expected = listed.without(ids);
        assert!(same(&*listed.round().await, &expected), "{ids:?}");
    }
    // A list that was cleared brings everybody back, and the table was never read again.
    fs::remove_file(listed.table()).expect("there");
    listed.list(&[]);
    assert!(same(&*listed.round().await, &all));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_refused_before_anything_is_spent() {
    let mut listed = Listed::new();
    let list = listed.site.dir.path().join("no.csv");
    for text in [None, Some("id\np1\n"), Some("person_sha256\nsecret\n")] {
        match text {
            Some(text) => fs::write(&list, text).expect("written"),
            None => fs::remove_file(&list).expect("there"),
        }
        let Err(TaskError::Refused(refusal)) = listed.check().await else { panic!("{text:?}") };
        assert_eq!(refusal.rule, "opt_out.list");
        assert!(refusal.why.contains("no.csv") && !refusal.why.contains("secret"), "{}", refusal.why);
        assert!(!listed.snapshot().exists(), "no data were touched");
    }
    listed.list(&["p3"]);
    assert!(same(&*listed.round().await, &listed.without(&["p3"])));
}

#[tokio::test]
async fn examples_outlive_the_program_and_their_source() {
    let mut listed = Listed::new();
    let first = listed.round().await;
    let bytes = fs::read(listed.snapshot()).expect("frozen");
    fs::write(listed.table(), format!("{HEADER}\nothers,30,25,F,0,1\n")).expect("written");
    let mut listed = listed.restarted();
    assert!(same(&*listed.round().await, &first), "the source has changed, the cohort has not");
    fs::remove_file(listed.table()).expect("there");
    let mut listed = listed.restarted();
    assert!(listed.site.agent.check_table().is_ok(), "nothing waits for the source");
    assert!(same(&*listed.round().await, &first));
    assert_eq!(fs::read(listed.snapshot()).expect("frozen"), bytes, "written once");
}

/// Changed, cut off, under another key, of another split key, expired: never used. Without the source there is nothing then;
/// with it, what it has now.
#[tokio::test]
async fn a_snapshot_that_is_not_sound_is_extracted_again() {
    type Spoil = fn(&Listed);
    let cases: [(&str, Spoil); 6] = [
        ("the end changed", |listed| {
            let mut bytes = fs::read(listed.snapshot()).expect("frozen");
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(listed.snapshot(), bytes).expect("written");
        }),
        ("cut off", |listed| {
            let bytes = fs::read(listed.snapshot()).expect("frozen");
            fs::write(listed.snapshot(), &bytes[..bytes.len() / 2]).expect("written");
        }),
        ("another home's key", |listed| {
            let key = listed.site.agent.home.dir().join("identity/snapshot.key");
            files::write(&key, hex::encode([5; 32]).as_bytes()).expect("written");
        }),
        ("no key", |listed| {
            fs::remove_file(listed.site.agent.home.dir().join("identity/snapshot.key")).expect("there");
        }),
        ("another split key", |listed| {
            let key = listed.site.agent.home.dir().join("identity/split.key");
            files::write(&key, hex::encode([5; 32]).as_bytes()).expect("written");
        }),
        ("dropped", |listed| fs::remove_file(listed.snapshot()).expect("frozen")),
    ];
    for (what, spoil) in cases {
        let mut listed = Listed::new();
        listed.round().await;
        spoil(&listed);
        let table = fs::read_to_string(listed.table()).expect("there");
        fs::remove_file(listed.table()).expect("there");
        let mut listed = listed.restarted();
        let unread = listed.examples().await.err().expect("no list was read yet").to_string();
        assert!(unread.starts_with("opt_out.list"), "{unread}");
        listed.site.agent.refresh_opt_outs(IdForm::Text).await.expect("a list");
        assert!(matches!(listed.examples().await, Err(TaskError::Local(_))), "{what}");
        // The source has one person less by now.
        fs::write(listed.table(), table).expect("written");
        listed.remove("p5,");
        assert!(same(&*listed.round().await, &listed.without(&[])), "{what}");
        // And kept.
        fs::remove_file(listed.table()).expect("there");
        let found = listed.round().await;
        assert!(same(&*listed.restarted().round().await, &found), "{what}");
    }
}

#[tokio::test]
async fn an_expired_snapshot_is_extracted_again_while_the_program_runs() {
    let mut listed = Listed::new();
    listed.round().await;
    listed.remove("p5,");
    let frozen = listed.round().await;
    assert!(!same(&frozen, &listed.without(&[])), "frozen");
    // Longer ago than the policy's days, by the agent's clock.
    listed.site.agent = {
        let home = listed.site.agent.home.clone();
        let (config, path) = (home.config().expect("valid"), listed.table());
        drop(listed.site.agent);
        Agent::open(home, &config, Some(path), || clock().plus_ms(91 * 24 * 3600 * 1000)).expect("opens")
    };
    assert!(!listed.snapshot().exists(), "removed at the start");
    listed.held = listed.site.agent.hold(Arc::clone(&listed.site.study));
    assert!(same(&*listed.round().await, &listed.without(&[])));
    // It ends while the program runs, too.
    listed.site.agent = {
        let home = listed.site.agent.home.clone();
        let (config, path) = (home.config().expect("valid"), listed.table());
        drop(listed.site.agent);
        Agent::open(home, &config, Some(path), jumping).expect("opens")
    };
    listed.held = listed.site.agent.hold(Arc::clone(&listed.site.study));
    let before = listed.round().await;
    listed.remove("p6,");
    assert!(same(&*listed.round().await, &before));
    DAYS.store(200, Ordering::Relaxed);
    assert!(same(&*listed.round().await, &listed.without(&[])));
    assert!(!same(&before, &listed.without(&[])));
}

static DAYS: AtomicU64 = AtomicU64::new(100);

fn jumping() -> Time {
    clock().plus_ms(DAYS.load(Ordering::Relaxed) * 24 * 3600 * 1000)
}

#[tokio::test]
async fn commitments_are_fresh_in_each_round_and_the_end_removes_what_was_frozen() {
    let mut listed = Listed::new();
    let mut seen = Vec::new();
    for round in 0..3 {
        listed.check().await.expect("fine");
        if round == 2 {
            listed.list(&["p3"]);
        }
        let began = Instant::now();
        let (reserve, _, made) = listed.site.compute(round).await;
        let study = Arc::clone(&listed.site.study);
        commit(&mut listed.site.agent, &study, vec![(reserve, made.expect("made"))], began)
            .await
            .expect("committed");
        let entries = listed.site.agent.store.entries_from(reserve + 1, 1 << 20).expect("whole");
        let bodies: Vec<Body> =
            entries.iter().map(|bytes| Entry::from_bytes(bytes).expect("an entry").body).collect();
        let [Body::CohortVersion { cohort, opt_outs, source, queries, .. }, Body::Commit { .. }] = bodies[..]
        else {
            panic!("{bodies:?}")
        };
        seen.extend([cohort, opt_outs, source, queries]);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 12);
    // One root for each time that examples were read: nothing changed between the first two rounds.
    let nonces = fs::read_to_string(listed.snapshot().with_file_name("nonces")).expect("kept");
    assert_eq!(nonces.lines().count(), 1, "the list changed after the last check");
    super::super::round::forget(&listed.site.agent, &listed.site.study.digest).expect("forgotten");
    assert!(!listed.snapshot().exists());
}
