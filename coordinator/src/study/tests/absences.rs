//! Who is missing, who said what, and what people are told to do next.

use super::*;
use consilium_common::protocol::DeclineReason;
use consilium_common::study::secure::Summed;

const TABLE: &str = "data.table";

fn names(sites: &[&str]) -> Vec<SiteName> {
    sites.iter().map(|site| name(site)).collect()
}

fn present(sites: &[&str]) -> BTreeSet<SiteName> {
    sites.iter().map(|site| name(site)).collect()
}

/// Whom a study waits for, and that people are told so.
fn check(state: &StudyState, there: &[&str], s: i64, missing: &[&str], said: &[&str]) {
    let outlook = state.outlook(&present(there), &BTreeMap::new(), time(s));
    assert_eq!(outlook.missing, names(missing), "{}", outlook.next);
    for part in said {
        assert!(outlook.next.contains(part), "{part:?} is not in {:?}", outlook.next);
    }
}

/// Four hospitals, three of which a secure sum needs.
fn distributed() -> StudyState {
    let roster = SITES.map(|site| RosterSite {
        name: name(site),
        key: key(site).public(),
        people_public: 1000,
        weight: 1 << 16,
    });
    let template = include_str!("../../../../docs/studies/synthetic-selfharm-distributed.toml");
    let template = template.replacen("quorum           = 5", "quorum           = 3", 1);
    let text = fill(&template, &roster, None).expect("valid").text;
    let state = approved(StudyState::new(parse(text.as_bytes()).expect("valid")), &SITES);
    let events = state.decide_start(sign_start(state.study.digest), digest("m"), time(2)).expect("enough");
    with(state, events)
}

fn declined(state: StudyState, site: &str, rule: &str) -> StudyState {
    let events = state.decide_decline(&name(site), rule, time(3)).expect("takes part");
    assert_eq!(events.len(), 1, "{events:?}");
    with(state, events)
}

#[test]
fn before_the_start() {
    let id = published().study.id.to_string();
    check(
        &published(),
        &[],
        1,
        &SITES,
        &["ashford, brackley, corby and dunmore: read it", "0 of at least 3"],
    );
    let two = approved(published(), &["ashford", "brackley"]);
    check(
        &two,
        &[],
        1,
        &["corby", "dunmore"],
        &["corby and dunmore: read it and decide", "site-agent study show"],
    );
    let three = approved(two.clone(), &["corby"]);
    let start = format!("`coordinator study start {id}`");
    check(&three, &[], 1, &["dunmore"], &[&start, "3 of at least 3", "dunmore did not decide yet"]);
    check(&approved(three, &["dunmore"]), &[], 1, &[], &[&start, "4 of at least 3"]);
    let mut no = two;
    for site in ["corby", "dunmore"] {
        let reason = DeclineReason::Capacity;
        let signed = approval(&no, site, Decision::Decline { reason }, site);
        let events = no.decide_approval(&name(site), signed, time(1)).expect("on the roster");
        no = with(no, events);
    }
    check(&no, &[], 1, &[], &["publish a new version: 2 of at least 3 sites approved, and too few are left"]);
    let years = 80 * 365 * 24 * 3600;
    check(&published(), &[], years, &SITES, &["publish a new version: this one was valid until"]);
}

#[test]
fn in_rounds() {
    let state = updated(started(&SITES), 0, &["ashford"]);
    let others = ["brackley", "corby", "dunmore"];
    check(
        &state,
        &[],
        3,
        &others,
        &["send the update of round 1", "1 of at least 3", "opened again, at most 20 times"],
    );
    let quorum = updated(state, 0, &["brackley", "corby"]);
    check(&quorum, &[], 3, &["dunmore"], &["dunmore: send", "goes on without who is missing"]);
    let events = quorum.decide_close_round(0, digest("model 1"), time(5));
    check(&with(quorum, events), &[], 5, &SITES, &["send the update of round 2"]);
    let waiting = BTreeMap::from([(name("corby"), "no other site".to_owned())]);
    let said = started(&SITES).outlook(&BTreeSet::new(), &waiting, time(3)).next;
    assert!(
        said.contains("corby cannot go on before another site's agent cosigns: start one more"),
        "{said}"
    );
}

#[test]
fn in_secure_sums() {
    let state = distributed();
    check(
        &state,
        &[],
        3,
        &SITES,
        &["start the agent (`site-agent serve`): 0 of at least 3", "after 21 more failures"],
    );
    check(
        &state,
        &["ashford", "corby"],
        3,
        &["brackley", "dunmore"],
        &["brackley and dunmore: start", "An attempt waits"],
    );
    check(
        &state,
        &["ashford", "brackley", "corby"],
        3,
        &["dunmore"],
        &["nobody has to act", "dunmore may come back"],
    );
    check(&state, &SITES, 3, &[], &["nobody has to act: 4 of at least 3", "coordinator study watch"]);
}

#[test]
fn at_the_end() {
    let state = started(&["ashford", "brackley", "corby"]);
    let state = with(state.clone(), state.decide_stop("by the consortium", time(4)).expect("running"));
    let state = with(state.clone(), state.decide_ledger(&name("ashford"), time(5)).expect("closing"));
    check(
        &state,
        &[],
        5,
        &["brackley", "corby"],
        &["brackley and corby: hand in the ledger", "the study ends without"],
    );
    let Some(Due::Append(events)) = state.due(time(1000)) else { panic!("over") };
    check(&with(state, events), &[], 1000, &[], &["`coordinator study report", "--out DIR`"]);
    let never = published();
    let never = with(never.clone(), never.decide_stop("by the consortium", time(4)).expect("published"));
    check(&never, &[], 5, &[], &["it ended before it started"]);
}

/// A table that cannot be used is mended by somebody, and costs nobody anything: the site is named with its rule, the
/// others do not wait for it, and it is asked again.
#[test]
fn a_table_to_mend_stops_no_round() {
    let sites = ["ashford", "brackley", "corby"];
    let state = declined(started(&sites), "corby", TABLE);
    let again = state.decide_decline(&name("corby"), TABLE, time(4));
    assert_eq!(again, Ok(vec![]), "said before: the log does not grow");
    assert!(state.task_for(&name("corby")).is_some(), "asked again");
    check(&state, &[], 4, &sites, &["corby must mend its table first"]);
    let said = state.absent[&name("corby")].words();
    assert!(said.starts_with("declined by data.table: "), "{said}");
    // Two of the three that are needed: by another rule the study would stop here.
    let state = updated(state, 0, &["ashford", "brackley"]);
    assert_eq!(state.due(time(4)), None, "until the deadline it may be mended");
    let Some(Due::Append(events)) = state.due(time(62)) else { panic!("due") };
    assert!(matches!(events[..], [StudyEvent::RoundReopened { .. }]), "{events:?}");
    // Mended: it counts, and nothing is said of it any more.
    let state = updated(state, 0, &["corby"]);
    assert_eq!(state.absent, BTreeMap::new());
    assert!(matches!(state.due(time(4)), Some(Due::Aggregate { .. })));
    // With enough others a round does not wait for it.
    let state = declined(started(&SITES), "dunmore", TABLE);
    assert!(matches!(updated(state, 0, &sites).due(time(4)), Some(Due::Aggregate { .. })));
}

#[test]
fn a_table_to_mend_is_no_strike() {
    let mut state = declined(distributed(), "corby", TABLE);
    for _ in 0..10 {
        assert_eq!(state.decide_decline(&name("corby"), TABLE, time(4)), Ok(vec![]));
    }
    let open = state.summing().expect("open");
    assert_eq!((open.unready.len(), open.declined.len()), (1, 0));
    assert_eq!(state.check_joins(&name("corby")), Ok(()));
    check(&state, &["ashford", "brackley"], 4, &["corby", "dunmore"], &["corby must mend its table first"]);
    // Once it is in a sum that is over.
    let closed =
        ClosedSum { attempt: 0, survivors: names(&["ashford", "brackley", "corby"]), sum: digest("sum") };
    let events = state.decide_sum(closed, Some(digest("model 1")), time(5)).expect("open");
    state = with(state, events);
    assert!(state.summing().expect("open").unready.is_empty() && state.absent.is_empty());
    // Any other refusal is as it was.
    let state = declined(state, "corby", "policy.steps_max");
    assert!(state.summing().expect("open").declined.contains(&name("corby")));
    assert_eq!(state.absent[&name("corby")].words(), "declined by policy.steps_max");
}

#[test]
fn who_leaves_is_named_and_nothing_more() {
    let mut state = distributed();
    for attempt in 0..10 {
        let events = state.decide_left(&name("dunmore"), time(4)).expect("takes part");
        assert!(matches!(events[..], [StudyEvent::SiteLeft { earmark: 0, step: 0, .. }]), "{events:?}");
        state = with(state, events);
        let said = format!("left during round 1, attempt {}", attempt + 1);
        assert_eq!(state.absent[&name("dunmore")].words(), said);
        let events = state.decide_failed(Failure::Setup, false, time(5)).expect("open");
        state = with(state, events);
    }
    assert!(state.summing().expect("open").declined.is_empty(), "it is asked as often as it comes");
    assert_eq!(state.decide_left(&name("zebra"), time(6)), Err(StudyRefusal::NotTakingPart(name("zebra"))));
    // Nothing is open: nothing to be in the middle of.
    let over = with(state.clone(), state.decide_stop("by the consortium", time(6)).expect("running"));
    assert_eq!(over.decide_left(&name("dunmore"), time(7)), Ok(vec![]));
    // What the log holds is what is shown after a restart, and what it says is read back.
    let left = Absence::Left { earmark: Summed::Grouping(2).earmark(), step: 2, attempt: 0, time: time(1) };
    assert_eq!(left.words(), "left during grouping 2, attempt 1");
    let json = serde_json::to_value(&left).expect("plain data");
    assert_eq!(serde_json::from_value::<Absence>(json).expect("the same"), left);
}
