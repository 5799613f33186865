//! Is this agent ready? Each check is one line, with what to do where it is not.

use crate::connect::{Dialer, EXPIRED_ADVICE};
use crate::data::{
    self,
    opt_out::{IdForm, OptOuts},
};
use crate::files;
use crate::home::{Config, Home, HomeError, entropy};
use crate::ledger_view::LedgerView;
use crate::link::Link;
use consilium_common::time::Time;
use consilium_common::tls;
use std::path::Path;
use std::time::Instant;

/// A clock that is further off than this cannot tell whether a study is valid.
const SKEW_MAX_MS: u64 = 60_000;
/// A certificate that ends within this is worth a line now.
const EXPIRY_WARNING_MS: i64 = 30 * 24 * 3600 * 1000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, and what to do.
    pub found: String,
}

/// Looks at everything that serving needs; goes on after each cross, so that one run shows all.
pub async fn examine(home: &Home, data: Option<&Path>, clock: fn() -> Time) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut note = |name, result: Result<String, String>| {
        let (ok, found) = match result {
            Ok(found) => (true, found),
            Err(found) => (false, found),
        };
        checks.push(Check { name, ok, found });
        ok
    };

    let config = home.config();
    note("configuration", config.as_ref().map(|c| format!("site {}", c.site)).map_err(ToString::to_string));
    note("policy", policy(home));
    note("keys", keys(home));
    note("disk", writable(home));
    note("ledger", ledger(home));
    note("opt-out lists", opt_outs(home));
    let config = config.ok();
    note("data", readable(data.or(config.as_ref().and_then(|c| c.data.as_deref()))));
    if note("certificate", certificate(home, clock()))
        && let Some(config) = config
    {
        match dialer(home, &config) {
            Err(error) => {
                note("connection", Err(error.to_string()));
            }
            Ok(dialer) => connection(home, &config, &dialer, clock, note).await,
        }
    }
    checks
}

/// How this agent reaches its coordinator.
///
/// # Errors
/// Not enrolled, or an identity that cannot be used.
pub fn dialer(home: &Home, config: &Config) -> Result<Dialer, HomeError> {
    let coordinator = home.coordinator(config)?;
    let identity = home.tls_identity()?;
    let tls = tls::client_config(&identity.authority, Some((identity.chain, identity.key)))?;
    Ok(Dialer::new(coordinator.address, config.proxy.as_ref(), tls))
}

async fn connection(
    home: &Home,
    config: &Config,
    dialer: &Dialer,
    clock: fn() -> Time,
    mut note: impl FnMut(&'static str, Result<String, String>) -> bool,
) {
    let way = dialer.proxy().map_or_else(|| "directly".into(), |proxy| format!("through {proxy}"));
    match Link::open(dialer).await {
        Err(error) => {
            note("connection", Err(format!("{error} ({way})")));
        }
        Ok((_, hello)) => {
            note("connection", Ok(format!("{} {way}, {}", dialer.address(), hello.software)));
            let known = home.coordinator(config).is_ok_and(|coordinator| coordinator.key == hello.key);
            let other = format!("{} is not the key of enrolment; enrol again if that is right", hello.key);
            note("coordinator's key", if known { Ok(hello.key.to_string()) } else { Err(other) });
            let skew_ms = clock().unix_ms().abs_diff(hello.time.unix_ms());
            let found = format!("{}.{:03} s from the coordinator's", skew_ms / 1000, skew_ms % 1000);
            note("clock", if skew_ms <= SKEW_MAX_MS { Ok(found) } else { Err(found + "; set the clock") });
            if let Ok(view) = LedgerView::read(home) {
                let own = view.state.size();
                let found = format!("{} of {own} entries", hello.cosigned_size);
                let rolled_back = format!("{found}: this disk holds an old copy");
                note("cosigned", if hello.cosigned_size <= own { Ok(found) } else { Err(rolled_back) });
            }
        }
    }
}

fn policy(home: &Home) -> Result<String, String> {
    let policy = home.policy().map_err(|e| e.to_string())?;
    let caps = &policy.caps;
    Ok(format!(
        "at most epsilon {} over all studies, {} in one; {} known sites",
        caps.epsilon_total,
        caps.epsilon_per_study,
        policy.known_sites.len()
    ))
}

fn opt_outs(home: &Home) -> Result<String, String> {
    let wanted = home.policy().map_err(|e| e.to_string())?.opt_outs;
    let ids = IdForm::at(home.config().ok().and_then(|config| config.data).as_deref());
    OptOuts::default().refresh(&wanted, ids, Instant::now()).map_err(|e| e.to_string())?;
    let names: Vec<&str> = wanted.iter().map(|list| list.name.as_str()).collect();
    Ok(if names.is_empty() {
        "none in site-policy.toml".into()
    } else {
        format!("{}: readable", names.join(", "))
    })
}

fn keys(home: &Home) -> Result<String, String> {
    let key = home.ledger_key().map_err(|e| e.to_string())?;
    home.split_key().map_err(|e| e.to_string())?;
    Ok(format!("fingerprint {}", key.public()))
}

fn writable(home: &Home) -> Result<String, String> {
    let probe = home.outbox_dir().join(".doctor");
    let bytes = entropy().map_err(|e| e.to_string())?;
    files::create_private_folder(&home.outbox_dir()).map_err(|e| e.to_string())?;
    files::write(&probe, &bytes[..]).map_err(|e| e.to_string())?;
    let read = files::read(&probe, 1024).map_err(|e| e.to_string());
    std::fs::remove_file(&probe).map_err(|e| e.to_string())?;
    if read? == bytes[..] { Ok("writable".into()) } else { Err("what was written came back changed".into()) }
}

fn ledger(home: &Home) -> Result<String, String> {
    let view = LedgerView::read(home).map_err(|e| e.to_string())?;
    Ok(format!("{} entries, all in order", view.state.size()))
}

fn readable(path: Option<&Path>) -> Result<String, String> {
    let path = path.ok_or("none given; set `data` in agent.toml")?;
    let table = data::main_file(path);
    match std::fs::File::open(&table) {
        Ok(_) => Ok(format!("{} can be read", table.display())),
        Err(error) => Err(format!("{}: {error}", table.display())),
    }
}

/// This site's certificate, and until when it is valid; an error when it is not.
pub(crate) fn certificate(home: &Home, now: Time) -> Result<String, String> {
    let identity = home.tls_identity().map_err(|e| e.to_string())?;
    let leaf = identity.chain.first().ok_or("tls.crt holds no certificate; enrol again")?;
    let site = tls::site_of(leaf).map_err(|e| e.to_string())?;
    let (from, until) = tls::validity_unix_ms(leaf).map_err(|e| e.to_string())?;
    let text = Time::from_unix_ms(until).map_err(|e| e.to_string())?;
    let left = until.saturating_sub(now.unix_ms());
    if left < 0 {
        Err(format!("for {site}, ended {text}: {EXPIRED_ADVICE}"))
    } else if now.unix_ms() < from {
        Err("not valid yet: is this machine's clock right?".into())
    } else if left < EXPIRY_WARNING_MS {
        Ok(format!("for {site}, ends soon: {text}; ask the consortium for a new invite"))
    } else {
        Ok(format!("for {site} until {text}"))
    }
}
