//! `init` and `enroll`.

use super::output::Output;
use super::{Clock, connect, in_runtime};
use crate::enroll;
use crate::failure::Failure;
use crate::home::{Home, SOFTWARE, entropy};
use crate::ledger::{Genesis, LedgerStore};
use consilium_common::id::SiteName;
use consilium_common::protocol::invite::{INVITE_BYTES_MAX, Invite};
use serde_json::json;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

pub(super) fn init(dir: &Path, site: &SiteName, output: &Output, clock: Clock) -> Result<(), Failure> {
    let was_there = dir.exists();
    let was_empty = !was_there || std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    make(dir, site, output, clock).inspect_err(|_| {
        // What is in it now is this try's: left there, it would refuse the next one.
        if was_empty {
            clear(dir, was_there);
        }
    })
}

/// Takes away what a failed `init` has written into a folder that was new or empty.
fn clear(dir: &Path, was_there: bool) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
    if !was_there {
        let _ = std::fs::remove_dir(dir);
    }
}

fn make(dir: &Path, site: &SiteName, output: &Output, clock: Clock) -> Result<(), Failure> {
    let made = Home::create(dir, site.clone())?;
    let policy = made.home.policy()?;
    let dataset = hex::encode(&entropy()?[..8]);
    let genesis = Genesis {
        site: site.clone(),
        dataset: dataset.clone(),
        software: SOFTWARE.into(),
        caps: policy.caps,
    };
    LedgerStore::create(&made.home.ledger_dir(), made.home.ledger_key()?, None, genesis, clock())?;
    made.home.finish(site)?;
    let human = format!(
        "site:         {site}\n\
         home:         {}\n\
         fingerprint:  {}\n\n\
         Give the fingerprint to the consortium, and read it to the other hospitals by telephone.\n\
         Look at {} before the first study.\n\
         Next: site-agent enroll INVITE --home {}",
        dir.display(),
        made.own.key,
        made.home.policy_path().display(),
        dir.display(),
    );
    let json = json!({ "site": site, "home": dir, "key": made.own.key, "dataset": dataset });
    output.result(&human, &json)
}

pub(super) fn enroll(home: &Home, invite: &str, output: &Output, clock: Clock) -> Result<(), Failure> {
    let invite = Invite::parse(&read_invite(invite, &mut std::io::stdin())?)?;
    in_runtime(async {
        let coordinator = enroll::enroll(home, &invite, clock()).await?;
        // The new certificate must really open the door.
        let (_, hello) = connect(home, &home.config()?).await?;
        let human = format!(
            "enrolled {} with {} ({})\ncoordinator's key: {}\nNext: site-agent doctor --home {}",
            invite.site,
            coordinator.address,
            hello.software,
            coordinator.key,
            home.dir().display()
        );
        let json = json!({
            "site": invite.site,
            "address": coordinator.address,
            "coordinator": coordinator.key,
        });
        output.result(&human, &json)
    })?
}

/// The invite's text, from a file or standard input. An argument that is the invite itself is
/// refused and not repeated: by then the secret is in the process list and the shell's history.
fn read_invite(argument: &str, stdin: &mut impl std::io::Read) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let limit = INVITE_BYTES_MAX as u64 + 1;
    let read = if argument == "-" {
        stdin.take(limit).read_to_string(&mut text)
    } else if looks_like_an_invite(argument) {
        return Err(Failure::input(
            "INVITE is the name of a file, or - for standard input; the invite's text on the command line is seen \
             by every user of this machine: ask the consortium for a new one",
        ));
    } else {
        std::fs::File::open(argument).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) if argument == "-" => Err(Failure::input(format!("standard input: {error}"))),
        Err(error) => Err(Failure::input(format!("{argument}: {error}"))),
    }
}

fn looks_like_an_invite(argument: &str) -> bool {
    argument.contains('{') || argument.contains("secret") || argument.contains("invite/1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_on_the_command_line_is_refused_and_not_repeated() {
        fn check(argument: &str, expected: Result<&str, &str>) {
            match (read_invite(argument, &mut &b"from stdin"[..]), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text.as_str(), expected),
                (Err(failure), Err(expected)) => {
                    assert_eq!(failure.kind.exit_code(), 2);
                    assert!(failure.message.contains(expected), "{failure}");
                    assert!(!failure.message.contains("q6ur"), "{failure}");
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
        check("-", Ok("from stdin"));
        check(r#"{"schema":"invite/1","secret":"q6urq6ur"}"#, Err("command line"));
        check("secret=q6urq6ur", Err("command line"));
        check("/nowhere/invite.json", Err("/nowhere/invite.json"));
    }

    #[test]
    fn a_failed_init_clears_its_own_and_nothing_else() {
        let dir = tempfile::tempdir().expect("folder");
        let site: SiteName = "st-elsewhere".parse().expect("name");
        let output = Output::new(super::super::args::Format::Json);
        let (own, theirs) = (dir.path().join("own"), dir.path().join("theirs"));
        std::fs::create_dir(&theirs).expect("made");
        std::fs::write(theirs.join("kept"), "").expect("written");
        assert!(init(&theirs, &site, &output, crate::testing::now).is_err());
        assert!(theirs.join("kept").exists());
        std::fs::create_dir_all(own.join("identity")).expect("made");
        std::fs::write(own.join("agent.toml"), "").expect("written");
        clear(&own, true);
        assert!(own.exists() && std::fs::read_dir(&own).expect("there").next().is_none());
        clear(&own, false);
        assert!(!own.exists());
        init(&own, &site, &output, crate::testing::now).expect("made");
    }

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("invite.json");
        std::fs::write(&path, " ".repeat(2 * INVITE_BYTES_MAX)).expect("written");
        let text = read_invite(path.to_str().expect("text"), &mut std::io::empty()).expect("read");
        assert_eq!(text.len(), INVITE_BYTES_MAX + 1);
        assert!(Invite::parse(&text).is_err());
    }
}
