//! The coordinator itself and its sites.

use super::output::{Output, table};
use super::{Format, HomeArgs};
use crate::clock::now;
use crate::home::{Config, Home};
use crate::operator::{CommandError, dial};
use crate::store::Store;
use clap::{Args, Subcommand};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::PublicKey;
use consilium_common::time::Time;
use consilium_common::tls;
use consilium_proto::v1 as wire;
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// `init`.
#[derive(Args)]
#[command(
    after_help = "Example: coordinator init --home consortium --host coordinator.example --listen 0.0.0.0:8443"
)]
pub(super) struct InitArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// A host name or address that agents dial; the first is put into invites. May be repeated.
    #[arg(long = "host", default_values = ["localhost", "127.0.0.1"])]
    hosts: Vec<String>,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: String,
    /// The port that agents dial, where it is not the one of --listen.
    #[arg(long)]
    public_port: Option<u16>,
}

/// `serve`.
#[derive(Args)]
#[command(after_help = "Example: coordinator serve --home consortium")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// Listen here instead of where the configuration says.
    #[arg(long)]
    listen: Option<String>,
}

/// `site`.
#[derive(Subcommand)]
pub(super) enum SiteCommand {
    /// Make a one-time invite for a site; hand it over as you would a password.
    #[command(
        after_help = "Examples:\n  coordinator site invite st-elsewhere --home consortium --out st-elsewhere.invite\n  \
        coordinator site invite st-elsewhere --home consortium --out again.invite --lost-key-for ed25519:5c0f…\n\n\
        --lost-key-for lets a hospital in whose ledger key is lost, under the fingerprint of its new home, compared by \
        telephone. The new key signs nothing until other hospitals have vouched for it (docs/OPERATIONS.md)."
    )]
    Invite {
        /// The site's name on the roster.
        site: String,
        /// The file to write (readable by you only). It holds a secret.
        #[arg(long)]
        out: PathBuf,
        /// How long it is valid.
        #[arg(long, default_value_t = 72)]
        valid_hours: u32,
        /// The new ledger key of a hospital that has lost its own.
        #[arg(long, value_name = "KEY")]
        lost_key_for: Option<PublicKey>,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// List the sites.
    #[command(after_help = "Example: coordinator site list --home consortium")]
    List {
        #[command(flatten)]
        home: HomeArgs,
    },
    /// No longer accept a site's certificate, from the next call on.
    #[command(after_help = "Example: coordinator site revoke st-elsewhere --home consortium")]
    Revoke {
        /// Which site.
        site: String,
        #[command(flatten)]
        home: HomeArgs,
    },
}

pub(super) fn init(args: &InitArgs, out: Output) -> Result<(), CommandError> {
    let host = args.hosts.first().cloned().unwrap_or_else(|| "localhost".into());
    args.listen.parse::<std::net::SocketAddr>().map_err(|_| {
        CommandError::input(format!(
            "--listen {:?}: expected an address and a port, as 127.0.0.1:8443",
            args.listen
        ))
    })?;
    let config = Config {
        schema: "coordinator/1".into(),
        listen: args.listen.clone(),
        host,
        public_port: args.public_port,
    };
    let home = Home::create(&args.home.home, config, &args.hosts, now())?;
    let key = home.signing_key()?.public();
    let authority = authority_fingerprint(&home)?;
    let folder = home.folder.display().to_string();
    out.print(&json!({"home": folder, "key": key, "authority": authority}), || {
        format!(
            "A coordinator was made in {folder}.\n\
             Its signing key:           {key}\n\
             Its certificate authority: {authority}\n\
             Next: coordinator serve --home {folder}"
        )
    })
}

fn authority_fingerprint(home: &Home) -> Result<Digest, CommandError> {
    let pem = home.read("identity/ca.crt")?;
    let certificates = tls::certificates_from_pem(pem.as_bytes()).map_err(CommandError::fault)?;
    Ok(tls::fingerprint(&certificates[0]))
}

pub(super) async fn serve(args: ServeArgs, out: Output) -> Result<(), CommandError> {
    start_log(out.format);
    let mut home = Home::open(&args.home.home)?;
    if let Some(listen) = args.listen {
        home.config.listen = listen;
    }
    let ready_file = home.path("address");
    let ready = |address: &consilium_common::protocol::invite::Address| {
        if let Err(error) = std::fs::write(&ready_file, address.to_string()) {
            tracing::warn!("{}: {error}", ready_file.display());
        }
        tracing::info!("agents dial {address}");
    };
    let stop = async {
        stopped().await;
        tracing::info!("stopping");
    };
    use crate::serve::ServeError as E;
    let result = crate::serve::serve(home, ready, stop).await.map_err(|error| match error {
        E::Home(error) => error.into(),
        E::Listen { .. } => CommandError::input(error),
        E::AlreadyRunning(_) => CommandError::Refused(error.to_string()),
        _ => CommandError::fault(error),
    });
    let _ = std::fs::remove_file(args.home.home.join("address"));
    result
}

/// Resolves when the process is asked to end: Ctrl-C or SIGTERM.
pub(crate) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! { _ = tokio::signal::ctrl_c() => {}, _ = terminate.recv() => {} }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

fn start_log(format: Format) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second log in one process is refused; the first goes on.
    let _ = match format {
        Format::Json => log.json().try_init(),
        Format::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}

pub(super) async fn doctor(args: &HomeArgs, out: Output) -> Result<(), CommandError> {
    let mut checks: Vec<(&str, Result<String, String>)> = Vec::new();
    let home = Home::open(&args.home);
    let said = |home: &Home| format!("{} listens on {}", home.config.host, home.config.listen);
    checks.push(("folder", home.as_ref().map(said).map_err(ToString::to_string)));
    if let Ok(home) = &home {
        let running = dial(home).await.is_ok();
        checks.push(("keys", home.signing_key().map(|k| k.public().to_string()).map_err(|e| e.to_string())));
        checks.push(("authority", home.authority().map(|_| "loads".into()).map_err(|e| e.to_string())));
        checks.push(("server certificate", certificate_check(home)));
        let socket = home.check_socket().map(|()| home.socket().display().to_string());
        checks.push(("operator socket", socket.map_err(|e| e.to_string())));
        checks.push(("store", Store::open(&home.folder).map(|_| "opens".into()).map_err(|e| e.to_string())));
        checks.push((
            "port",
            match (running, std::net::TcpListener::bind(&home.config.listen)) {
                (true, _) => Ok("a coordinator is running here".into()),
                (false, Ok(_)) => Ok("free".into()),
                (false, Err(error)) => Err(format!("{}: {error}", home.config.listen)),
            },
        ));
    }
    let failed = checks.iter().filter(|(_, result)| result.is_err()).count();
    let json: Vec<_> = checks
        .iter()
        .map(|(name, result)| json!({"check": name, "ok": result.is_ok(), "detail": result.as_ref().unwrap_or_else(|e| e)}))
        .collect();
    out.print(&json!(json), || {
        let lines = checks.iter().map(|(name, result)| match result {
            Ok(detail) => format!("✓ {name}: {detail}"),
            Err(why) => format!("✗ {name}: {why}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    if failed == 0 {
        Ok(())
    } else {
        Err(CommandError::Refused(format!("{failed} of {} checks failed", checks.len())))
    }
}

fn certificate_check(home: &Home) -> Result<String, String> {
    let pem = home.read("identity/server.crt").map_err(|e| e.to_string())?;
    let chain = tls::certificates_from_pem(pem.as_bytes()).map_err(|e| e.to_string())?;
    let (from, until) = tls::validity_unix_ms(&chain[0]).map_err(|e| e.to_string())?;
    let until_time = Time::from_unix_ms(until).map_err(|e| e.to_string())?;
    if (from..=until).contains(&now().unix_ms()) {
        Ok(format!("valid until {}", until_time.day()))
    } else {
        Err(format!("not valid today (until {})", until_time.day()))
    }
}

pub(super) async fn site(command: SiteCommand, out: Output) -> Result<(), CommandError> {
    match command {
        SiteCommand::Invite { site, out: path, valid_hours, lost_key_for, home } => {
            let site: SiteName = site.parse().map_err(CommandError::input)?;
            let home = Home::open(&home.home)?;
            invite(&home, &site, &path, valid_hours, lost_key_for).await?;
            let path = path.display().to_string();
            out.print(&json!({"site": site, "invite": path, "valid_hours": valid_hours}), || {
                format!(
                    "An invite for {site} is in {path}, valid for {valid_hours} hours and one use.\n\
                     It holds a secret: hand it over as you would a password. An earlier invite for {site} no \
                     longer works.\n\
                     At the site: site-agent enroll {path}"
                )
            })
        }
        SiteCommand::List { home } => {
            let sites = sites(&Home::open(&home.home)?).await?;
            let json: Vec<_> = sites
                .iter()
                .map(|s| {
                    let last_seen = Time::from_unix_ms(s.last_seen_unix_ms).ok().filter(|t| t.unix_ms() != 0);
                    json!({"name": s.name, "state": s.state, "key": s.ledger_key,
                           "certificate": s.certificate_fingerprint, "last_seen": last_seen})
                })
                .collect();
            out.print(&json!(json), || {
                let rows = sites.iter().map(|s| {
                    let seen = Time::from_unix_ms(s.last_seen_unix_ms).ok().filter(|t| t.unix_ms() != 0);
                    let seen = seen.map_or("-".into(), |t| t.to_string());
                    vec![s.name.clone(), s.state.clone(), seen, s.ledger_key.clone()]
                });
                table(
                    &["site", "state", "last seen", "ledger key (compare it with the hospital itself)"],
                    rows,
                )
            })
        }
        SiteCommand::Revoke { site, home } => {
            let mut operator = dial(&Home::open(&home.home)?).await?;
            operator.revoke_site(wire::RevokeSiteRequest { site: site.clone() }).await?;
            out.print(&json!({"site": site, "state": "revoked"}), || {
                format!(
                    "{site} is revoked: its certificate is refused from now on. A new invite lets it back in."
                )
            })
        }
    }
}

/// Makes an invite in a file that only its owner can read; for a hospital that has lost its ledger key, with the new
/// one.
///
/// # Errors
/// No coordinator answers, or the file exists or cannot be written.
pub(crate) async fn invite(
    home: &Home,
    site: &SiteName,
    path: &Path,
    valid_hours: u32,
    lost_key_for: Option<PublicKey>,
) -> Result<(), CommandError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut operator = dial(home).await?;
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CommandError::input(format!("--out {}: it exists already; give a new name", path.display()))
        }
        _ => CommandError::input(format!("--out {}: {error}", path.display())),
    })?;
    let lost_key_for = lost_key_for.map(|key| key.to_string()).unwrap_or_default();
    let request = wire::CreateInviteRequest { site: site.to_string(), valid_hours, lost_key_for };
    let made = operator.create_invite(request).await;
    let invite = match made {
        Ok(made) => made.into_inner().invite,
        Err(status) => {
            let _ = std::fs::remove_file(path);
            return Err(status.into());
        }
    };
    file.write_all(invite.as_bytes())
        .map_err(|error| CommandError::fault(format!("{}: {error}", path.display())))
}

/// Every site that the coordinator knows.
///
/// # Errors
/// No coordinator answers.
pub(crate) async fn sites(home: &Home) -> Result<Vec<wire::list_sites_response::Site>, CommandError> {
    Ok(dial(home).await?.list_sites(wire::ListSitesRequest {}).await?.into_inner().sites)
}
