//! An enrolled home with a study approved in it, made without any command: its keys are the test's.

use super::{SITES, site};
use consilium_common::id::Digest;
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::protocol::{Approval, Decision, Start};
use consilium_common::signed::Signed;
use consilium_common::study::Study;
use consilium_common::time::Time;
use coordinator::ca::{Authority, Identity};
use rcgen::{CertificateParams, KeyPair};
use site_agent::approval;
use site_agent::home::{Coordinator, Home, SOFTWARE};
use site_agent::ledger::{Genesis, LedgerStore};
use std::path::Path;
use std::time::SystemTime;
use tokio::net::TcpListener;

use crate::scripted::{HOST, server_tls};

/// A port of this machine, and the authority that everybody's certificates come from.
pub struct Gate {
    /// Where agents connect to.
    pub listener: TcpListener,
    /// The server's side.
    pub tls: rustls::ServerConfig,
    /// What an agent is told of the coordinator at enrolment.
    pub told: Coordinator,
    authority: Authority,
    pem: String,
    today: Time,
}

impl Gate {
    /// Opens a port for the coordinator that signs with `key`.
    ///
    /// # Panics
    /// There is no port.
    pub async fn open(key: PublicKey) -> Self {
        // Certificates are checked against the machine's clock.
        let today = now();
        let ca = Authority::create("test", today).expect("made");
        let authority = Authority::load(&ca.certificate, &ca.key).expect("loads");
        let Identity { certificate, key: server_key } =
            authority.server(&[HOST.into()], today).expect("made");
        let tls = server_tls(&ca.certificate, &certificate, &server_key);
        let listener = TcpListener::bind((HOST, 0)).await.expect("a port");
        let address = format!("https://{HOST}:{}", listener.local_addr().expect("bound").port());
        let told = Coordinator {
            schema: "coordinator/1".into(),
            address: address.parse().expect("an address"),
            key,
        };
        Self { listener, tls, told, authority, pem: ca.certificate, today }
    }
}

/// The machine's time.
///
/// # Panics
/// It is before 1970.
#[must_use]
pub fn now() -> Time {
    let ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    Time::from_unix_ms(i64::try_from(ms).expect("far off")).expect("far off")
}

/// The keys of the first `sites` hospitals.
#[must_use]
pub fn keys_of(sites: usize) -> Vec<SecretKey> {
    (1..=sites).map(|site| SecretKey::from_seed(&[u8::try_from(site).expect("a few"); 32])).collect()
}

/// What a home is made of, beside the folder.
pub struct Enrolled<'a> {
    /// The study's exact bytes.
    pub text: &'a str,
    /// The same, parsed.
    pub study: &'a Study,
    /// Everybody's, in the roster's order; the first is the home's own.
    pub keys: &'a [SecretKey],
    /// How many hospitals the home knows the keys of, itself included.
    pub known: usize,
    /// When everything was signed.
    pub signed: Time,
}

impl Enrolled<'_> {
    /// An approval by the site at this place of the roster.
    #[must_use]
    pub fn approval(&self, at: usize) -> Signed<Approval> {
        let site = SITES[at].parse().expect("a name");
        approval::sign(self.study, &site, Decision::Approve, "A. Bird", self.signed, &self.keys[at])
    }

    /// The signed start with the approvals of the first `sites`.
    #[must_use]
    pub fn start(&self, sites: usize, key: &SecretKey) -> Vec<u8> {
        let start = Start {
            study: self.study.digest,
            approvals: (0..sites).map(|at| self.approval(at)).collect(),
            time: self.signed,
            coordinator: key.public(),
        };
        serde_json::to_vec(&Signed::new(&start, key)).expect("plain data")
    }

    /// Makes the home. The roster's keys are fixed, and so is the key that decides who trains.
    ///
    /// # Panics
    /// The disk says no.
    #[must_use]
    pub fn home(&self, folder: &Path, gate: &Gate) -> Home {
        let home = Home::create(folder, site()).expect("made").home;
        for (name, byte) in [("ledger.key", 1_u8), ("split.key", 7)] {
            let path = home.dir().join("identity").join(name);
            std::fs::write(path, hex::encode([byte; 32])).expect("written");
        }
        let mut known = "[known_sites]\n".to_owned();
        for (name, key) in SITES.iter().zip(self.keys).take(self.known).skip(1) {
            known += &format!("{name} = \"{}\"\n", key.public());
        }
        let mut policy = std::fs::read_to_string(home.policy_path()).expect("made");
        let wide = [
            ("[known_sites]\n", known.as_str()),
            ("epsilon_total = 10.0", "epsilon_total = 200.0"),
            ("epsilon_per_study = 8.0", "epsilon_per_study = 100.0"),
        ];
        for (from, to) in wide {
            assert!(policy.contains(from), "the default policy holds {from}");
            policy = policy.replacen(from, to, 1);
        }
        std::fs::write(home.policy_path(), policy).expect("written");
        let caps = home.policy().expect("a policy").caps;
        let genesis = Genesis { site: site(), dataset: "d1".into(), software: SOFTWARE.into(), caps };
        let key = own_key();
        drop(
            LedgerStore::create(&home.ledger_dir(), key, Some(gate.told.key), genesis, self.signed)
                .expect("made"),
        );
        home.finish(&site()).expect("finished");
        let pair = KeyPair::generate().expect("a key");
        let request = CertificateParams::default().serialize_request(&pair).expect("a request");
        let leaf = gate.authority.site(&site(), request.der(), gate.today).expect("signed");
        let root = consilium_common::tls::certificates_from_pem(gate.pem.as_bytes()).expect("PEM");
        home.keep_identity(&pair.serialize_pem(), &[leaf], &root[0], &gate.told).expect("kept");
        keep(&home, self.text, self.study.digest, &self.approval(0));
        home
    }
}

fn keep(home: &Home, text: &str, study: Digest, yes: &Signed<Approval>) {
    approval::keep_study(home, study, text.as_bytes()).expect("kept");
    approval::keep_decision(home, &study, yes).expect("kept");
}

/// The key of every home's ledger.
#[must_use]
pub fn own_key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}
