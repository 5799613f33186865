//! A hostile site on the wire: it has a certificate of its own, and tries to be more than itself.

use consilium_common::id::{Digest, SiteName};
use consilium_common::model::blob::{self, UpdateHeader};
use consilium_common::protocol::{Decision, Task};
use consilium_common::signed::Signed;
use consilium_common::study::{self, Study};
use consilium_common::time::Time;
use consilium_common::tls;
use consilium_proto::v1::HelloRequest;
use consilium_proto::v1::federation_client::FederationClient;
use consilium_tests::Federation;
use site_agent::approval;
use site_agent::connect::Dialer;
use site_agent::home::Home;
use site_agent::link::{Link, OutputOf};
use std::path::Path;
use tonic::transport::Channel;

const MUTANTS: &str = "site-agent 0.1.0+mutants";

fn dialer(federation: &Federation, site: &str) -> Dialer {
    let home = Home::open(Path::new(&federation.home(site))).expect("made by init");
    let config = home.config().expect("made by init");
    let identity = home.tls_identity().expect("enrolled");
    let address = home.coordinator(&config).expect("enrolled").address;
    let identity = tls::client_config(&identity.authority, Some((identity.chain, identity.key)));
    Dialer::new(address, None, identity.expect("enrolled"))
}

async fn link(federation: &Federation, site: &str) -> Link {
    Link::open(&dialer(federation, site)).await.expect("the coordinator answers").0
}

async fn raw(federation: &Federation, site: &str) -> FederationClient<Channel> {
    FederationClient::new(dialer(federation, site).channel().await.expect("the coordinator answers"))
}

fn update(study: &Study, site: &str, round: u32, model: Digest, parameters: usize) -> Vec<u8> {
    let header = UpdateHeader {
        schema: "update/1".into(),
        study: study.digest,
        round,
        model,
        site: site.parse().expect("a name"),
        parameters,
    };
    blob::encode(&header, &vec![7; parameters])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_acts_as_itself_once_and_in_time() {
    let federation = Federation::enrolled(3, 360);
    let file = federation.study("3", &[("rounds", "3"), ("deadline_s", "60")]);
    let bytes = std::fs::read(&file).expect("written");
    let study = study::parse(&bytes).expect("valid");
    let digest = federation.publish(&file);

    // Another site's approval, signed with one's own key, or with the right key for another site.
    let mallory = Home::open(Path::new(&federation.home("ashford"))).expect("made by init");
    let key = mallory.ledger_key().expect("made by init");
    let now: Time = "2027-01-01T00:00:00Z".parse().expect("a time");
    let victim: SiteName = "brackley".parse().expect("a name");
    let mut ashford = link(&federation, "ashford").await;
    let forged = approval::sign(&study, &victim, Decision::Approve, "", now, &key);
    let refused = ashford.submit_approval(&forged).await.expect_err("not its own").to_string();
    assert!(refused.contains("study.approval"), "{refused}");
    let mut bent =
        approval::sign(&study, &"ashford".parse().expect("a name"), Decision::Approve, "", now, &key);
    bent.statement = bent.statement.replace("approve", "Approve");
    let bent: Signed<_> = bent;
    assert!(ashford.submit_approval(&bent).await.is_err(), "changed after it was signed");

    // A build that can break its promises says so, and is refused.
    let mut broken = raw(&federation, "brackley").await;
    let told = broken.hello(HelloRequest { software: MUTANTS.into() }).await;
    let refused = told.expect_err("a build for tests").to_string();
    assert!(refused.contains("agent.software"), "{refused}");

    federation.approve(&digest);
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    let Some(Task::Train { round: 0, model, .. }) = ashford.next_task().await.expect("answers") else {
        panic!("round 0 is open")
    };
    let parameters = study.architecture().parameters();
    let round = |n| OutputOf::Round(n);
    let tries = [
        ("in another's name", update(&study, "brackley", 0, model, parameters), 0, "update.invalid"),
        ("of another shape", update(&study, "ashford", 0, model, parameters + 1), 0, "update.invalid"),
        (
            "for another model",
            update(&study, "ashford", 0, Digest::of(b"x"), parameters),
            0,
            "update.invalid",
        ),
        ("for a round to come", update(&study, "ashford", 1, model, parameters), 1, ""),
        ("that is no update", b"{}\n".to_vec(), 0, "update.invalid"),
    ];
    for (what, bytes, n, rule) in tries {
        let refused =
            ashford.submit_output(&study.digest, &round(n), bytes).await.expect_err(what).to_string();
        assert!(refused.contains(rule), "{what}: {refused}");
    }

    // The same bytes again give the same receipt; other bytes never replace them.
    let good = update(&study, "ashford", 0, model, parameters);
    let first = ashford.submit_output(&study.digest, &round(0), good.clone()).await.expect("taken");
    let again = ashford.submit_output(&study.digest, &round(0), good).await.expect("taken");
    let output = |receipt: &Signed<consilium_common::protocol::Receipt>| {
        receipt.verify(&receipt.key).expect("signed").output
    };
    assert_eq!(output(&first), output(&again));
    let mut other = update(&study, "ashford", 0, model, parameters);
    let last = other.len() - 1;
    other[last] ^= 1;
    let refused =
        ashford.submit_output(&study.digest, &round(0), other).await.expect_err("too late").to_string();
    assert!(refused.contains("round.duplicate"), "{refused}");

    // A checkpoint that nobody's ledger key signed, and a ledger before its time.
    let note =
        "consilium/ledger/ashford/x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— a AAAAAAAA\n";
    let refused = ashford.cosign(0, &[], note.into(), vec![]).await.expect_err("not signed").to_string();
    assert!(refused.contains("witness.checkpoint"), "{refused}");
    let refused = ashford.submit_ledger(&study.digest, vec![]).await.expect_err("too early").to_string();
    assert!(refused.contains("study.phase"), "{refused}");
    assert_eq!(federation.status(&digest)["detail"]["answered"], serde_json::json!(["ashford"]));
}
