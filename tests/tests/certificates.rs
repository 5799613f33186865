//! A certificate that has ended: the coordinator refuses it, and the hospital is told since when and what to do.

use base64::Engine as _;
use consilium_common::time::Time;
use consilium_tests::Federation;
use coordinator::ca::Authority;
use rcgen::{CertificateParams, KeyPair};
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A certificate for the site's own key as the coordinator's authority made it 400 days ago: site certificates last
/// 398.
fn replace_by_an_expired_one(federation: &Federation, site: &str) {
    let identity = |name: &str| {
        std::fs::read_to_string(format!("{}/identity/{name}", federation.coordinator_home()))
            .expect("made by init")
    };
    let authority = Authority::load(&identity("ca.crt"), &identity("ca.key")).expect("made by init");
    let home = format!("{}/identity", federation.home(site));
    let key = std::fs::read_to_string(format!("{home}/tls.key")).expect("enrolled");
    let key = KeyPair::from_pem(&key).expect("a key");
    let request = CertificateParams::default().serialize_request(&key).expect("a request");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let then = i64::try_from(now).expect("before the year 3000") - 400 * DAY_MS;
    let then = Time::from_unix_ms(then).expect("a time");
    let ended = authority.site(&site.parse().expect("a name"), request.der(), then).expect("issued");
    let body = base64::engine::general_purpose::STANDARD.encode(&ended);
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    std::fs::write(format!("{home}/tls.crt"), pem).expect("writes");
}

#[test]
fn an_expired_certificate_is_refused_and_explained() {
    let federation = Federation::enrolled(2, 200);
    let site = "ashford";
    let _ = federation.agent(site, ["study", "list"]).ok();
    replace_by_an_expired_one(&federation, site);

    // The coordinator refuses it whatever the agent thinks of it, and its log says why.
    federation.agent(site, ["study", "list"]).refused(3, "certificate has ended: ask the consortium");
    assert!(federation.log("coordinator").contains("expired"), "{}", federation.log("coordinator"));

    // Since when, and what to do; `serve` does not even start.
    let data = federation.table(site);
    let doctor = federation.agent(site, ["doctor", "--data", &data]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    let serve = federation.agent(site, ["serve", "--data", &data]);
    serve.refused(1, "certificate: for ashford, ended 20");
    for said in [doctor.out + &doctor.err, serve.err] {
        assert!(said.contains("ended 20") && said.contains("site-agent enroll INVITE"), "{said}");
    }

    // A new invite is the way back.
    federation.enroll(site);
    let _ = federation.agent(site, ["study", "list"]).ok();
}

/// Approvals: of exact bytes, by somebody, with keys that the hospital itself has compared.
#[test]
fn an_approval_needs_a_name_and_known_keys() {
    let federation = Federation::enrolled(2, 200);
    let quick = [("rounds", "1"), ("local_steps", "1")];
    let digest = federation.publish(&federation.study("3", &quick));
    let approve = |more: &[&str]| {
        let mut args = vec!["study", "approve", &digest];
        args.extend(more);
        federation.agent("ashford", args)
    };
    approve(&[]).refused(2, "--approver");
    approve(&["--approver", " "]).refused(2, "--approver");

    let path = format!("{}/site-policy.toml", federation.home("ashford"));
    let policy = std::fs::read_to_string(&path).expect("made by init");
    let without = policy.lines().filter(|line| !line.starts_with("brackley")).collect::<Vec<_>>().join("\n");
    std::fs::write(&path, without).expect("writes");
    let said = approve(&["--approver", "guardian"]);
    said.refused(1, "policy.known_sites: asked brackley with ed25519:");
    assert!(
        said.err.contains("write under [known_sites] in site-policy.toml: brackley = \"ed25519:"),
        "{said:?}"
    );
    assert_eq!(federation.status(&digest)["sites"][0]["decision"], "undecided");

    std::fs::write(&path, policy).expect("writes");
    let said = approve(&["--approver", "guardian"]).ok();
    for what in ["version 1.0.0", "Self-harm within 365 days", &digest, "guardian", "ashford, brackley"] {
        assert!(said.contains(what), "{what}: {said}");
    }

    // A second version under the same id: which one to start is not the coordinator's guess.
    let other = federation.publish(&federation.study("3", &[quick[0], quick[1], ("version", "\"1.0.1\"")]));
    let said = federation.coordinator(["study", "start", "synthetic-selfharm"]);
    said.refused(1, "study.several");
    assert!(said.err.contains(&digest) && said.err.contains(&other), "{said:?}");
    federation.coordinator(["study", "start", &digest]).refused(1, "approv");
}
