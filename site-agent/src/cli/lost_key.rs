//! `ledger lost-key`.

use super::Clock;
use super::args::{LostKeyCommand, Split};
use super::output::Output;
use super::recover::copy;
use crate::disk::OsDisk;
use crate::failure::Failure;
use crate::files::{self, FileError};
use crate::home::Home;
use crate::key_loss::{Request, endorsement_file, read_endorsement};
use consilium_common::key::PublicKey;
use consilium_common::ledger::key_loss::{Endorsement, SplitKey};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) fn run(
    home: &Home,
    command: &LostKeyCommand,
    output: &Output,
    clock: Clock,
) -> Result<(), Failure> {
    match command {
        LostKeyCommand::Request { split_key, out, from } => {
            request(home, *split_key, out, from.as_deref(), output)
        }
        LostKeyCommand::Show { request } => show(home, request, output),
        LostKeyCommand::Endorse { request, key, out } => endorse(home, request, key, out, output),
        LostKeyCommand::Finish { request, endorsements } => {
            finish(home, request, endorsements, output, clock)
        }
    }
}

fn request(
    home: &Home,
    split: Split,
    out: &Path,
    from: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let split = match split {
        Split::Kept => SplitKey::Kept,
        Split::Lost => SplitKey::Lost,
    };
    let (site, key) = (home.config()?.site, home.ledger_key()?);
    let request = Request::new(&site, copy(home, from)?, key.public(), split)?;
    write_new(out, &request.to_bytes(&key))?;
    let (needed, members) = quorum(&request);
    let human = format!(
        "{}\n\
         Send {} to these hospitals, and read the new key to each of them on the telephone. At least {needed} of them \
         have to answer:\n  {}\n\
         Each: site-agent ledger lost-key show FILE, then endorse.\n\
         Next, with their answers: site-agent ledger lost-key finish {} ENDORSEMENT…",
        words(&request),
        out.display(),
        members.join("\n  "),
        out.display()
    );
    output.result(&human, &said(&request))
}

fn show(home: &Home, path: &Path, output: &Output) -> Result<(), Failure> {
    let request = Request::read(path)?;
    let human = words(&request);
    output.result(&human, &said(&request))?;
    request.check(home, &home.config()?.site)?;
    Ok(())
}

fn endorse(home: &Home, path: &Path, told: &PublicKey, out: &Path, output: &Output) -> Result<(), Failure> {
    let request = Request::read(path)?;
    let endorsement = request.endorse(home, &home.config()?.site, told)?;
    let site = &request.loss().site;
    write_new(out, &endorsement_file(endorsement))?;
    let human = format!(
        "{}\n\
         This hospital vouches for the new key of {site}: send {} there.\n\
         When {site} has gone on, and the studies that are open here with it are over, put it into [known_sites] of {}:\n  {site} = \"{told}\"",
        words(&request),
        out.display(),
        home.policy_path().display(),
    );
    output.result(&human, &said(&request))
}

fn finish(
    home: &Home,
    path: &Path,
    endorsements: &[PathBuf],
    output: &Output,
    clock: Clock,
) -> Result<(), Failure> {
    let request = Request::read(path)?;
    let read = endorsements.iter().map(|path| read_endorsement(path));
    let endorsements: Vec<Endorsement> = read.collect::<Result<_, _>>()?;
    let done = request.finish(home, &OsDisk, endorsements, clock())?;
    let (site, new) = (&request.loss().site, &request.loss().new);
    let entry = done.after - 1;
    let aside =
        done.aside.as_ref().map_or_else(String::new, |path| format!("\nold folder:  {}", path.display()));
    let human = format!(
        "key:         {new}\n\
         entries:     {}, the last of which says that the key was lost; studies that were open are charged in whole \
         and closed{aside}\n\
         Back up {} now. Every other hospital puts the new key into [known_sites] of its site-policy.toml, once the studies that it has \
         open with this one are over:\n  \
         {site} = \"{new}\"\n\
         Next: site-agent budget, then site-agent serve",
        done.after,
        home.dir().join("identity").display(),
    );
    let json =
        json!({ "site": site, "key": new, "entry": entry, "entries": done.after, "old_folder": done.aside });
    output.result(&human, &json)
}

/// How many have to vouch, and who may.
fn quorum(request: &Request) -> (usize, Vec<String>) {
    let quorum = request.quorum();
    let members = quorum.members().iter().map(|(site, key)| format!("{site} {key}")).collect();
    (quorum.needed().expect("a request has a quorum"), members)
}

fn words(request: &Request) -> String {
    let loss = request.loss();
    let open = request.state().studies().filter(|(_, record)| record.closed.is_none());
    let open: Vec<&str> = open.map(|(_, record)| record.study_id.as_str()).collect();
    let open = if open.is_empty() { "none".to_owned() } else { open.join(", ") };
    let split = match loss.split {
        SplitKey::Kept => "kept: everybody keeps their role",
        SplitKey::Lost => {
            "lost: what training people and what evaluation people had paid adds up from now on"
        }
    };
    format!(
        "site:        {}\n\
         ledger:      {}, {} entries\n\
         lost key:    {}\n\
         new key:     {}\n\
         split key:   {split}\n\
         open here:   {open} (charged in whole, and closed)",
        loss.site,
        request.state().origin(),
        loss.size,
        loss.old,
        loss.new,
    )
}

fn said(request: &Request) -> Value {
    let (loss, quorum) = (request.loss(), request.quorum());
    json!({
        "site": loss.site,
        "dataset": loss.dataset,
        "entries": loss.size,
        "lost_key": loss.old,
        "key": loss.new,
        "split_key": loss.split,
        "needed": quorum.needed(),
        "members": quorum.members(),
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::input(format!("{}: it exists already; give a new name", path.display())));
    }
    files::write(path, bytes).map_err(|error: FileError| Failure::input(error.to_string()))
}
