//! TLS: what is believed and what is not, both ways, and what a password is shown to.

use super::super::super::People;
use super::super::super::tests::hospital::hospital;
use super::super::config::Transport;
use super::super::session::Session;
use super::super::tls::Tls;
use super::super::{Config, Database, InvalidDatabase};
use super::cluster::Cluster;
use super::{READER, model, script};
use crate::files;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::path::Path;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// A certificate and its key, PEM: for a server at `names`, or of a role.
fn signed(by: &Authority, names: &[&str], role: Option<&str>, is_over: bool) -> (String, String) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().expect("a name")),
        })
        .collect();
    if let Some(role) = role {
        params.distinguished_name.push(DnType::CommonName, role);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }
    if is_over {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, by).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn who_is_believed() {
    let settings = ["password_encryption = 'scram-sha-256'"];
    let Some(cluster) = Cluster::start(&settings) else { return };
    cluster.sql(&script("cdm", &hospital(5, 5), &|column| model(column).to_owned()));
    cluster.sql(&format!("ALTER ROLE {READER} PASSWORD 'open sesame';"));
    let dir = tempfile::tempdir().expect("folder");
    let (ours, other) = (authority("Hospital CA"), authority("Another CA"));
    for (name, text) in [
        ("ca.pem", ours.pem()),
        ("other.pem", other.pem()),
        ("password", "open sesame\n".to_owned()),
        ("wrong", "x".to_owned()),
    ] {
        files::write(&dir.path().join(name), text.as_bytes()).expect("written");
    }
    let good = signed(&ours, &[], Some(READER), false);
    let strange = signed(&other, &[], Some(READER), false);
    let someone = signed(&ours, &[], Some("someone"), false);
    for (name, (certificate, key)) in [("good", &good), ("strange", &strange), ("someone", &someone)] {
        files::write(&dir.path().join(format!("{name}.crt")), certificate.as_bytes()).expect("written");
        files::write(&dir.path().join(format!("{name}.key")), key.as_bytes()).expect("written");
    }

    let rules = |ssl: &str| {
        cluster.write("pg_hba.conf", &format!("local all all trust\n{ssl}\n"));
        cluster.restart();
    };
    let config = |host: &str, more: &str| {
        let text = format!(
            "[postgres]\nhost = '{host}'\nport = {}\ndatabase = 'postgres'\nuser = '{READER}'\nschema = 'cdm'\n{more}",
            cluster.port()
        );
        Config::parse(&text, dir.path(), None).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    };
    let check = |host: &str, more: &str, expected: Result<(), &str>| {
        let found = Database::open(&config(host, more));
        match (found, expected) {
            (Ok(database), Ok(())) => assert_eq!(People::read(&database).expect("reads").persons.len(), 5),
            (Err(error @ InvalidDatabase::Unreachable { .. }), Err(part)) => {
                let message = error.to_string();
                assert!(message.contains(part), "{host} {more}: expected {part}, found {message}");
                assert!(!message.contains("sesame"), "{message}");
            }
            (Ok(_), Err(part)) => panic!("{host} {more}: expected {part}, connected"),
            (Err(error), _) => panic!("{host} {more}: {error}"),
        }
    };
    const WITH_PASSWORD: &str = "password_file = 'password'\n";
    let with = |more: &str| format!("{WITH_PASSWORD}{more}");

    // Without TLS at the server: refused, and with it the password; unless the file says so of this very machine.
    rules("host all all 127.0.0.1/32 scram-sha-256");
    check("127.0.0.1", &with("ca = 'ca.pem'"), Err("; switch TLS on at the server (ssl = on"));
    check("127.0.0.1", &with("ca = 'ca.pem'"), Err("server does not support TLS; "));
    check(
        "127.0.0.1",
        &with("ca = 'ca.pem'"),
        Err("sslmode = \"disable\" in source.toml is for this machine's own"),
    );
    check("localhost", &with("sslmode = 'disable'"), Ok(()));
    check("127.0.0.1", "sslmode = 'disable'\npassword_file = 'wrong'", Err("password authentication failed"));
    check("127.0.0.1", "sslmode = 'disable'", Err("password"));

    let serve = |certificate: &(String, String)| {
        cluster.write("server.crt", &certificate.0);
        cluster.write("server.key", &certificate.1);
        cluster.write("root.crt", &ours.pem());
        rules("hostssl all all 127.0.0.1/32 scram-sha-256");
    };
    cluster.append("postgresql.conf", "ssl = on\nssl_ca_file = 'root.crt'\n");
    serve(&signed(&ours, &["localhost", "127.0.0.1"], None, false));
    check("localhost", &with("ca = 'ca.pem'"), Ok(()));
    check("127.0.0.1", &with("ca = 'ca.pem'"), Ok(()));
    check("localhost", &with("ca = 'other.pem'"), Err("UnknownIssuer"));
    check(
        "localhost",
        &with("ca = 'other.pem'"),
        Err("; the file that ca names in source.toml does not hold"),
    );
    // A hospital's authority that the operating system does not know.
    check("localhost", WITH_PASSWORD, Err("UnknownIssuer"));
    check("localhost", WITH_PASSWORD, Err(": name their certificate's file (PEM) with ca in source.toml"));
    check("localhost", "ca = 'ca.pem'\npassword_file = 'wrong'", Err("password authentication failed"));
    check("localhost", &with("sslmode = 'disable'"), Err("no pg_hba.conf entry"));

    // SCRAM over this very connection: the server checks what we bound it to.
    let bound = config("localhost", &with("ca = 'ca.pem'"));
    let tls = Tls::new(&bound.transport).expect("certificates");
    Session::connect_bound(&bound, &tls, Some("open sesame")).unwrap_or_else(|error| panic!("{error}"));

    rules("hostssl all all 127.0.0.1/32 cert");
    check("localhost", "ca = 'ca.pem'", Err("connection requires a valid client certificate"));
    check("localhost", "ca = 'ca.pem'\nclient_cert = 'good.crt'\nclient_key = 'good.key'", Ok(()));
    check(
        "localhost",
        "ca = 'ca.pem'\nclient_cert = 'strange.crt'\nclient_key = 'strange.key'",
        Err("UnknownCA"),
    );
    check(
        "localhost",
        "ca = 'ca.pem'\nclient_cert = 'someone.crt'\nclient_key = 'someone.key'",
        Err("certificate authentication failed"),
    );

    serve(&signed(&ours, &["omop.hospital.example"], None, false));
    check("localhost", &with("ca = 'ca.pem'"), Err("not valid for name"));
    check("localhost", &with("ca = 'ca.pem'"), Err("; write as host in source.toml a name that is in"));
    serve(&signed(&ours, &["localhost"], None, true));
    check("localhost", &with("ca = 'ca.pem'"), Err("expired"));
    check("127.0.0.1", &with("ca = 'ca.pem'"), Err("invalid peer certificate"));
}

#[test]
fn files_that_are_no_certificates() {
    let dir = tempfile::tempdir().expect("folder");
    let ours = authority("Hospital CA");
    let (certificate, key) = signed(&ours, &[], Some(READER), false);
    let (_, other_key) = signed(&ours, &[], Some(READER), false);
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, text) in [
        ("ca.pem", ours.pem().as_str()),
        ("a.crt", &certificate),
        ("a.key", &key),
        ("b.key", &other_key),
        ("none", "x"),
        ("junk", junk),
    ] {
        files::write(&dir.path().join(name), text.as_bytes()).expect("written");
    }
    #[track_caller]
    fn check(folder: &Path, ca: &str, identity: Option<(&str, &str)>, expected: Result<(), &str>) {
        let identity = identity.map(|(certificate, key)| (folder.join(certificate), folder.join(key)));
        let found = Tls::new(&Transport::VerifyFull { ca: Some(folder.join(ca)), identity }).map(|_| ());
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{ca}: {found:?}"),
        }
    }
    let check = |ca, identity, expected| check(dir.path(), ca, identity, expected);
    check("ca.pem", Some(("a.crt", "a.key")), Ok(()));
    check("none", None, Err("none: expected certificates in PEM, found none"));
    check("junk", None, Err("junk: a certificate that cannot be an authority"));
    check("absent", None, Err("absent: "));
    check("ca.pem", Some(("a.crt", "b.key")), Err("b.key: "));
    check("ca.pem", Some(("none", "a.key")), Err("none: certificates: expected PEM"));
    check("ca.pem", Some(("a.crt", "none")), Err("none: private key: expected PEM"));
}
