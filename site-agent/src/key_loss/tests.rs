//! Three hospitals, of which the first has lost its home.

use super::*;
use crate::disk::OsDisk;
use crate::ledger::Genesis;
use crate::policy::DEFAULT;
use crate::testing::{approval, key, now, site, study};
use crate::witness::{Foreign, Said};
use consilium_common::id::Digest;
use consilium_common::ledger::checkpoint::Checkpoint;
use consilium_common::ledger::entry::{Account, Body, Earmark, Participant, Role};
use consilium_common::privacy::mechanism::Event;
use consilium_common::protocol::Decision;
use tempfile::TempDir;

const SURVEY: Event = Event::Gaussian { noise_multiplier: 9.0, count: 2 };

/// A home as `init` makes it, for hospital `i`, which knows these others.
fn home(dir: &TempDir, name: &str, i: usize, known: &[(usize, PublicKey)]) -> Home {
    let home = Home::create(&dir.path().join(name), site(i)).expect("made").home;
    let lines: String = known.iter().map(|(i, key)| format!("{} = \"{key}\"\n", site(*i))).collect();
    let policy = DEFAULT.replacen("[known_sites]\n", &format!("[known_sites]\n{lines}"), 1);
    files::write(&home.policy_path(), policy.as_bytes()).expect("written");
    let caps = home.policy().expect("valid").caps;
    let genesis = Genesis { site: site(i), dataset: format!("fresh-{i}"), software: "test".into(), caps };
    LedgerStore::create(&home.ledger_dir(), own(&home), None, genesis, now()).expect("made");
    home.finish(&site(i)).expect("finished");
    home
}

fn own(home: &Home) -> SecretKey {
    home.ledger_key().expect("made")
}

/// The hospitals, and the lost ledger as others kept it.
struct Hospitals {
    dir: TempDir,
    /// The first one's new home.
    new: Home,
    /// The two others'.
    others: [Home; 2],
    entries: Vec<Vec<u8>>,
}

impl Hospitals {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let lost = key(0).public();
        let others = [1, 2].map(|i| home(&dir, &format!("other-{i}"), i, &[(0, lost)]));
        let new = home(&dir, "new", 0, &[]);
        let entries = Self::ledger(&dir, &others.each_ref().map(|home| own(home).public()));
        Self { dir, new, others, entries }
    }

    /// A study that is open, with a release burnt.
    fn ledger(dir: &TempDir, others: &[PublicKey]) -> Vec<Vec<u8>> {
        let study = study(&[]);
        let path = dir.path().join("lost");
        let caps = crate::testing::policy(&[]).caps;
        let genesis = Genesis { site: site(0), dataset: "d1".into(), software: "test".into(), caps };
        let mut store = LedgerStore::create(&path, key(0), None, genesis, now()).expect("made");
        let other = |(i, key): (usize, &PublicKey)| Participant { site: site(i + 1), key: *key };
        let own = Participant { site: site(0), key: key(0).public() };
        let open = Body::StudyOpen {
            study: study.digest,
            study_id: study.id.clone(),
            approval: approval(&study, 0, Decision::Approve),
            participants: std::iter::once(own).chain(others.iter().enumerate().map(other)).collect(),
            delta: 1e-6,
            earmarks: vec![Earmark { name: "overall".into(), account: Account::Evaluation, event: SURVEY }],
        };
        store.append(open, now()).expect("legal");
        let model = Digest::of(b"model");
        let release = Body::Release { study: study.digest, earmark: 0, first: 0, count: 1, model };
        store.append(release, now()).expect("legal");
        store.entries_from(0, usize::MAX).expect("readable")
    }

    fn note(&self, entries: &[Vec<u8>], signer: &SecretKey) -> Note {
        let tree = Tree::of(entries);
        let origin = rules::replay(&self.entries).expect("legal").origin();
        Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(signer)
    }

    fn asked_with(&self, split: SplitKey) -> Result<Request, KeyLossError> {
        let copy = (self.note(&self.entries, &key(0)), self.entries.clone());
        Request::new(&site(0), copy, own(&self.new).public(), split)
    }

    /// The request as the others read it.
    fn asked(&self) -> Request {
        let request = self.asked_with(SplitKey::Lost).expect("two others");
        self.read(&request.to_bytes(&own(&self.new))).expect("a request")
    }

    fn read(&self, bytes: &[u8]) -> Result<Request, KeyLossError> {
        let path = self.dir.path().join("request");
        files::write(&path, bytes).expect("written");
        Request::read(&path)
    }

    /// Another hospital's answer, as it comes back.
    fn answer(&self, request: &Request, i: usize) -> Endorsement {
        let told = own(&self.new).public();
        let endorsement = request.endorse(&self.others[i - 1], &site(i), &told).expect("it may");
        let path = self.dir.path().join(format!("endorsement-{i}"));
        files::write(&path, &endorsement_file(endorsement)).expect("written");
        read_endorsement(&path).expect("an endorsement")
    }

    /// What hospital `i` says of a checkpoint of the first one's ledger, which it knows `known` entries of.
    fn cosigns(&self, i: usize, note: &Note, known: u64, entries: &[Vec<u8>]) -> Said {
        let mut witness = Witness::open(Arc::new(OsDisk), &self.others[i - 1], &site(i)).expect("opens");
        let proof = Tree::of(entries).consistency_proof(known, note.checkpoint.size).unwrap_or_default();
        let foreign = Foreign { site: site(0), note: note.to_string(), old_size: known, proof };
        witness.consider(&[foreign], now()).expect("the disk is there").remove(0).said
    }
}

#[track_caller]
fn refuses<T>(said: Result<T, KeyLossError>, rule: &str) {
    let said = said.err().unwrap_or_else(|| panic!("not refused by {rule}")).to_string();
    assert!(said.contains(rule), "{rule}: {said}");
}

#[test]
fn a_ledger_goes_on_by_the_others_word() {
    let hospitals = Hospitals::new();
    assert!(matches!(
        hospitals.cosigns(1, &hospitals.note(&hospitals.entries, &key(0)), 0, &hospitals.entries),
        Said::Cosigned(_)
    ));
    let request = hospitals.asked();
    assert_eq!((request.loss().old, request.loss().new), (key(0).public(), own(&hospitals.new).public()));
    assert_eq!(request.quorum().needed(), Some(2));
    let answers: Vec<_> = [2, 1].map(|i| hospitals.answer(&request, i)).into();
    let done = request.finish(&hospitals.new, &OsDisk, answers, now()).expect("a quorum");
    assert_eq!((done.after, done.unfinished), (4, 1));
    let aside = done.aside.expect("the ledger that init began");
    assert!(aside.join("entries").exists());

    let store = LedgerStore::open(&hospitals.new.ledger_dir(), own(&hospitals.new), None).expect("sound");
    let state = store.state();
    assert_eq!(state.keys().collect::<Vec<_>>(), [key(0).public(), own(&hospitals.new).public()]);
    let record = state.study(&study(&[]).digest).expect("opened");
    assert_eq!((record.closed.as_deref(), &record.burnt[..]), (Some("key_lost"), &[2][..]));
    // Its split key is gone as well.
    assert_eq!(state.charged(Role::Training), [SURVEY]);
    assert_eq!(store.entries_from(0, usize::MAX).expect("readable")[..3], hospitals.entries);

    // The others believe the new key once their policy names it, and only what continues the past.
    let entries = store.entries_from(0, usize::MAX).expect("readable");
    let said = |known| hospitals.cosigns(1, store.checkpoint(), known, &entries);
    assert!(matches!(said(3), Said::Refused { rule, .. } if rule == "witness.checkpoint"));
    let path = hospitals.others[0].policy_path();
    let policy = std::fs::read_to_string(&path).expect("there");
    let (old, new) = (key(0).public().to_string(), own(&hospitals.new).public().to_string());
    files::write(&path, policy.replacen(&old, &new, 1).as_bytes()).expect("written");
    assert!(matches!(said(3), Said::Cosigned(_)));
    // Once it has gone on, nothing takes its place again.
    drop(store);
    let request = hospitals.asked();
    let answers = [1, 2].map(|i| hospitals.answer_anew(&request, i)).into();
    refuses(request.finish(&hospitals.new, &OsDisk, answers, now()), "has studies or another key");
}

impl Hospitals {
    /// As [`Self::answer`], of a hospital that has seen the ledger go on: it vouches for no other past.
    fn answer_anew(&self, request: &Request, i: usize) -> Endorsement {
        if i == 1 {
            let told = own(&self.new).public();
            refuses(request.endorse(&self.others[0], &site(1), &told), "witness.rollback");
        }
        request.loss().endorsed(site(i), &own(&self.others[i - 1]))
    }
}

#[test]
fn what_a_hospital_looks_at_before_it_vouches() {
    let hospitals = Hospitals::new();
    let (request, told) = (hospitals.asked(), own(&hospitals.new).public());
    let [first, second] = &hospitals.others;
    refuses(request.endorse(first, &site(1), &key(7).public()), "key_loss.fingerprint");
    refuses(request.endorse(&hospitals.new, &site(0), &told), "key_loss.own");
    // A hospital that the ledger does not name; one that it names by another key.
    let stranger = home(&hospitals.dir, "stranger", 1, &[(0, key(0).public())]);
    refuses(request.endorse(&stranger, &"elsewhere".parse().expect("a name"), &told), "key_loss.member");
    refuses(request.endorse(&stranger, &site(1), &told), "key_loss.member");
    // One whose policy knows the hospital by another key, or not at all.
    let policy = std::fs::read_to_string(first.policy_path()).expect("there");
    let (lost, other) = (key(0).public().to_string(), key(8).public().to_string());
    let knows = |to: &str| files::write(&first.policy_path(), policy.replacen(&lost, to, 1).as_bytes());
    knows(&other).expect("written");
    refuses(request.endorse(first, &site(1), &told), "key_loss.known_sites");
    knows(&told.to_string()).expect("written");
    request.endorse(first, &site(1), &told).expect("it has put the new key there already");
    files::write(&first.policy_path(), DEFAULT.as_bytes()).expect("written");
    refuses(request.endorse(first, &site(1), &told), "key_loss.known_sites");
    knows(&lost).expect("written");
    request.endorse(first, &site(1), &told).expect("as it was");

    // What it has cosigned: more than the copy has, or something else.
    let mut longer = hospitals.entries.clone();
    longer.push(b"one more".to_vec());
    assert!(matches!(hospitals.cosigns(1, &hospitals.note(&longer, &key(0)), 0, &longer), Said::Cosigned(_)));
    refuses(request.endorse(first, &site(1), &told), "witness.rollback");
    let forked = [hospitals.entries[0].clone(), b"another".to_vec()];
    assert!(matches!(hospitals.cosigns(2, &hospitals.note(&forked, &key(0)), 0, &forked), Said::Cosigned(_)));
    refuses(request.endorse(second, &site(2), &told), "witness.fork");
}

/// Whatever file comes: nothing in it is believed.
#[test]
fn a_request_that_is_none() {
    let hospitals = Hospitals::new();
    let request = hospitals.asked_with(SplitKey::Kept).expect("two others");
    let text = String::from_utf8(request.to_bytes(&own(&hospitals.new))).expect("JSON");
    let read = |text: &str| hospitals.read(text.as_bytes());
    read(&text).expect("a request");
    let check = |from: &str, to: &str, rule: &str| {
        assert!(text.contains(from), "{from}");
        refuses(read(&text.replacen(from, to, 1)), rule);
    };
    check("key-loss/1", "key-loss/2", "expected schema");
    check("{\"schema\"", "{\"more\":1,\"schema\"", "not a request");
    check("\\\"split\\\":\\\"kept\\\"", "\\\"split\\\":\\\"lost\\\"", "ledger.key_by_new");
    check("genesis", "genes1s", "key_loss.copy");
    refuses(read("{}"), "not a request");
    // A statement for another place, by the new key; and a ledger that somebody else signed.
    let of = |edit: &dyn Fn(&mut KeyLoss), signer: &SecretKey| {
        let mut loss = request.loss().clone();
        edit(&mut loss);
        let file = RequestFile {
            schema: REQUEST_SCHEMA.into(),
            statement: Signed::new(&loss, &own(&hospitals.new)),
            checkpoint: hospitals.note(&hospitals.entries, signer).to_string(),
            entries: hospitals.entries.iter().map(|e| String::from_utf8(e.clone()).expect("JSON")).collect(),
        };
        hospitals.read(&serde_json::to_vec(&file).expect("plain"))
    };
    of(&|_| {}, &key(0)).expect("a request");
    refuses(of(&|loss| loss.size += 1, &key(0)), "ledger.key_statement");
    refuses(of(&|loss| loss.site = site(1), &key(0)), "key_loss.site");
    refuses(of(&|loss| loss.old = key(5).public(), &key(0)), "ledger.key_statement");
    refuses(of(&|loss| loss.new = key(5).public(), &key(0)), "ledger.key_by_new");
    refuses(of(&|loss| loss.new = key(0).public(), &key(0)), "ledger.key_reused");
    refuses(of(&|_| {}, &own(&hospitals.new)), "key_loss.copy");

    // One other hospital cannot vouch alone.
    let two = tempfile::tempdir().expect("a folder");
    let entries = Hospitals::ledger(&two, &[key(1).public()]);
    let copy = (hospitals.note(&entries, &key(0)), entries);
    refuses(Request::new(&site(0), copy, key(5).public(), SplitKey::Kept), "ledger.key_quorum");
}

#[test]
fn too_few_or_others_do_not_finish_it() {
    let hospitals = Hospitals::new();
    let request = hospitals.asked();
    let [one, two] = [1, 2].map(|i| hospitals.answer(&request, i));
    let finish = |home: &Home, answers: &[&Endorsement]| {
        request.finish(home, &OsDisk, answers.iter().map(|answer| (*answer).clone()).collect(), now())
    };
    refuses(finish(&hospitals.new, &[]), "ledger.key_quorum");
    refuses(finish(&hospitals.new, &[&one]), "ledger.key_quorum");
    refuses(finish(&hospitals.new, &[&one, &one]), "ledger.key_endorsed");
    let stranger = request.loss().endorsed("elsewhere".parse().expect("a name"), &key(6));
    refuses(finish(&hospitals.new, &[&one, &stranger]), "ledger.key_member");
    let forged = request.loss().endorsed(site(2), &key(6));
    refuses(finish(&hospitals.new, &[&one, &forged]), "ledger.key_endorsed");
    // An answer to another request of the same home.
    let kept = hospitals
        .asked_with(SplitKey::Kept)
        .expect("two others")
        .loss()
        .endorsed(site(2), &own(&hospitals.others[1]));
    refuses(finish(&hospitals.new, &[&one, &kept]), "ledger.key_statement");
    refuses(finish(&hospitals.others[0], &[&one, &two]), "key_loss.home");
    let store = LedgerStore::open(&hospitals.new.ledger_dir(), own(&hospitals.new), None).expect("sound");
    assert_eq!(store.state().dataset(), "fresh-0", "nothing was written");
    refuses(finish(&hospitals.new, &[&one, &two]), "another process");
    drop(store);
    finish(&hospitals.new, &[&two, &one]).expect("a quorum, in whatever order");
}
