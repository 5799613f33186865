//! The main job on one machine, with nothing faked: a coordinator process and one agent process
//! per hospital, real certificates, approvals, ledgers and noise. Only the references beside the
//! result (each site alone, everybody pooled, without noise) are computed in this process, from
//! tables that are the user's to read, and are marked as not released.

mod caps;
mod hospitals;
mod process;
mod progress;

use crate::cli::{Mode, Output, Source, Template};
use crate::home::Home;
use crate::operator::CommandError;
use crate::results::Extras;
use crate::simulate;
use crate::study::StudyEvent;
use caps::Caps;
use clap::Args;
use consilium_common::secagg::{Refusal, SITES_MIN};
use consilium_common::study::secure::Summed;
use consilium_common::study::{self, Filled, RosterSite, Study};
use hospitals::{Hospital, hospitals_in};
use process::{Running, program, run as run_program};
use progress::Progress;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The ε cap where neither --epsilon nor --study says another.
const EPSILON: f64 = 3.0;

/// `demo`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  coordinator demo
  coordinator demo --privacy distributed
  coordinator demo --sites 8 --people 16000 --epsilon 1 --out results
  coordinator demo --study docs/studies/synthetic-psychosis.toml
  coordinator demo --data hospitals --study docs/studies/heart-disease.toml --epsilon 3")]
pub struct DemoArgs {
    /// How many synthetic hospitals.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=26))]
    sites: u32,
    /// How many synthetic people in all.
    #[arg(long, default_value_t = 12_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    people: u64,
    /// Seed of the synthetic hospitals (never of noise).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A folder with one folder per hospital, each with a table.csv or with OMOP tables, and a bindings.toml where the
    /// study has bindings: the hospital's answer, which it signs. EVERY table in it is read here for the references: give
    /// only data that are yours to read.
    #[arg(long, requires = "study")]
    data: Option<PathBuf>,
    /// The study file. Its roster is filled in with the sites of this run.
    #[arg(long)]
    study: Option<PathBuf>,
    /// No person pays more than this in all; the noise is calibrated to it.
    #[arg(long, allow_negative_numbers = true, value_parser = crate::cli::epsilon)]
    epsilon: Option<f64>,
    /// Who is trusted with what; local without it, or what the study file says. A file of the other mode is
    /// changed to the asked one, and what changes is said.
    #[arg(long, value_enum)]
    privacy: Option<Mode>,
    /// Where results go: a new or empty folder.
    #[arg(long, default_value = "consilium-demo")]
    out: PathBuf,
}

/// Runs the demo.
///
/// # Errors
/// Bad input, a refusal, or a program that failed; each says which.
pub async fn run(args: DemoArgs, out: Output) -> Result<(), CommandError> {
    let template = template(&args)?;
    template.check(hospitals_to_come(&args))?;
    prepare_folder(&args.out)?;
    let work = working_folder()?;
    let say = Progress::new(out);
    // Dropping the work ends every process that it started.
    let done = tokio::select! {
        done = train_and_report(&args, &template, out, &work, &say) => done,
        () = crate::cli::stopped() => Err(CommandError::Refused("stopped by a signal".into())),
    };
    match &done {
        // Tables and un-noised examples are in it: it goes.
        Ok(()) => std::fs::remove_dir_all(&work).map_err(CommandError::fault)?,
        Err(_) => say.warn(&format!("what it worked on, logs included, is kept in {}", work.display())),
    }
    done
}

async fn train_and_report(
    args: &DemoArgs,
    template: &Template,
    out: Output,
    work: &Path,
    say: &Progress,
) -> Result<(), CommandError> {
    let started = Instant::now();
    let agent = program("site-agent")?;
    let own = std::env::current_exe().map_err(CommandError::fault)?;
    let source = source(template);

    // 1. Hospitals.
    let mut hospitals = match &args.data {
        Some(data) => {
            say.warn(&format!(
                "every table in {} is read here for the references beside the result",
                data.display()
            ));
            hospitals_in(&agent, data, source, work).await?
        }
        None => {
            say.step("making synthetic hospitals");
            let folder = work.join("hospitals");
            let (sites, people, seed) =
                (args.sites.to_string(), args.people.to_string(), args.seed.to_string());
            let arguments = ["synth".as_ref(), "--out".as_ref(), folder.as_os_str()];
            let more = ["--sites", &sites, "--people", &people, "--seed", &seed, "--no-notes"];
            run_program(&agent, arguments.into_iter().chain(more.iter().map(std::ffi::OsStr::new))).await?;
            hospitals_in(&agent, &folder, source, work).await?
        }
    };

    // 2. The coordinator, and each site enrolled by its own invite.
    say.step("starting the coordinator; enrolling each site by a one-time invite");
    let home_folder = work.join("coordinator");
    let home_text = home_folder.display().to_string();
    run_program(&own, ["init", "--home", &home_text, "--listen", "127.0.0.1:0", "--host", "127.0.0.1"])
        .await?;
    let home = Home::open(&home_folder)?;
    let logs = work.join("logs");
    let mut coordinator =
        Running::start("coordinator", &own, ["serve", "--home", &home_text], logs.join("coordinator.log"))?;
    wait_for(&home, &mut coordinator).await?;
    for hospital in &hospitals {
        enroll(&agent, &home, hospital, work).await?;
    }
    let roster = roster(&home, &hospitals).await?;

    // 3. The study: published, and approved by each site.
    say.step("publishing the study; each site checks it against its policy");
    let epsilon = args.epsilon.or((args.study.is_none()).then_some(EPSILON));
    let Filled { text, choices } = template.fill(&roster, epsilon)?;
    for choice in choices {
        say.step(&format!("the study file for this run: {choice}"));
    }
    let study_path = work.join("study.toml");
    std::fs::write(&study_path, &text).map_err(CommandError::fault)?;
    let digest = crate::cli::publish(&home, text.clone().into_bytes(), &study_path).await?;
    let parsed = study::parse(text.as_bytes()).map_err(|m| CommandError::input(m.to_string()))?;
    introduce(&hospitals, &roster, &parsed)?;
    for hospital in &hospitals {
        check_table(&agent, hospital, &study_path, &parsed).await?;
        let agent_home = hospital.home.display().to_string();
        let mut arguments =
            ["study", "approve", &digest, "--home", &agent_home, "--approver", "demo"].to_vec();
        let answer = answer_to(&parsed, hospital);
        arguments.extend(answer.iter().map(String::as_str));
        match run_program(&agent, arguments).await {
            Ok(_) => {}
            Err(CommandError::Refused(why)) => {
                say.warn(&format!("{} stays out: {why}", hospital.name));
                let arguments = ["study", "decline", &digest, "--home", &agent_home, "--reason", "policy"];
                run_program(&agent, arguments).await?;
            }
            Err(error) => return Err(error),
        }
    }

    // 4. Training and evaluation.
    let mut agents = Vec::new();
    for hospital in &hospitals {
        let (agent_home, data) = (hospital.home.display().to_string(), hospital.data.display().to_string());
        let log = logs.join(format!("{}.log", hospital.name));
        let arguments = ["serve", "--home", &agent_home, "--data", &data];
        agents.push(Running::start(hospital.name.as_str(), &agent, arguments, log)?);
    }
    let participants = crate::cli::start(&home, &digest).await?;
    say.step(&format!("training with {}", participants.join(", ")));
    let ended =
        follow(&home, &digest, parsed.privacy.training.rounds, say, &mut agents, &mut coordinator).await?;
    if !ended.starts_with("finished") {
        return Err(CommandError::Refused(format!("the study ended: {ended}")));
    }
    let bundle = crate::cli::bundle_of(&home, &digest).await?;
    let coordinator_peak = coordinator.peak_mib();
    let agent_peak = agents.iter().filter_map(Running::peak_mib).reduce(f64::max);
    for running in agents {
        running.stop().await;
    }
    coordinator.stop().await;

    // 5. References, in this process.
    say.step("computing the references without privacy (not released)");
    hospitals.retain(|hospital| participants.iter().any(|p| p == hospital.name.as_str()));
    let examples = work.join("examples");
    std::fs::create_dir_all(&examples).map_err(CommandError::fault)?;
    for hospital in &hospitals {
        export_examples(&agent, hospital, &study_path, &parsed, &examples).await?;
    }
    let references = simulate::references(&parsed, &simulate::load(&parsed, &examples)?, Some(&bundle))?;

    // 6. Results.
    let extras = Extras {
        references,
        wall_s: started.elapsed().as_secs_f64(),
        coordinator_peak_mib: coordinator_peak,
        agent_peak_mib: agent_peak,
    };
    let written = crate::results::write(&bundle, &args.out, Some(extras), None)?;
    say.finish();
    out.print(&written.json, || {
        format!(
            "{}\n\nIn {}: report.html, metrics.json, model.safetensors, model.json, bundle/\n\
             Check it: {} verify {}",
            written.text,
            args.out.display(),
            program("auditor").unwrap_or_else(|_| "auditor".into()).display(),
            args.out.join("bundle").display()
        )
    })
}

/// The study file to fill in: the shipped one or the given one, of the asked mode.
fn template(args: &DemoArgs) -> Result<Template, CommandError> {
    if let Some(path) = &args.study {
        return Template::read(path, args.privacy);
    }
    if args.privacy == Some(Mode::Distributed) && args.sites < SITES_MIN as u32 {
        let refusal = Refusal::Sites { found: args.sites as usize };
        return Err(CommandError::input(format!(
            "--privacy distributed with --sites {}: {refusal}",
            args.sites
        )));
    }
    Ok(Template::shipped(Source::Table, args.privacy))
}

/// How many hospitals there will be; none where their folder cannot be read, which is said when it is.
fn hospitals_to_come(args: &DemoArgs) -> Option<usize> {
    let Some(data) = &args.data else { return Some(args.sites as usize) };
    let entries = std::fs::read_dir(data).ok()?;
    Some(entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir()).count())
}

/// What the study reads. Where the file does not say, that is a mistake, which is named where it is filled in.
fn source(template: &Template) -> Source {
    let document: Option<toml::Table> = template.text().parse().ok();
    let formats = document.as_ref().and_then(|d| d.get("data")?.get("format")?.as_array());
    match formats {
        Some(formats) if !formats.iter().any(|format| format.as_str() == Some("table")) => Source::Omop,
        _ => Source::Table,
    }
}

/// Makes OUT.
fn prepare_folder(out: &Path) -> Result<(), CommandError> {
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CommandError::input(format!(
            "{} is not empty: give a new folder with --out, or remove it",
            out.display()
        )));
    }
    std::fs::create_dir_all(out).map_err(|error| CommandError::input(format!("{}: {error}", out.display())))
}

/// Where the processes live meanwhile: a folder of this user's only, with a path short enough for a
/// socket.
fn working_folder() -> Result<PathBuf, CommandError> {
    let mut unique = [0_u8; 6];
    getrandom::fill(&mut unique).map_err(|_| CommandError::fault("the operating system gave no entropy"))?;
    let path = std::env::temp_dir().join(format!("consilium-{}", hex::encode(unique)));
    crate::home::make_private_folder(&path)?;
    std::fs::create_dir(path.join("logs")).map_err(CommandError::fault)?;
    path.canonicalize().map_err(CommandError::fault)
}

async fn wait_for(home: &Home, coordinator: &mut Running) -> Result<(), CommandError> {
    for _ in 0..200 {
        coordinator.check()?;
        if home.path("address").exists() && crate::operator::dial(home).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(CommandError::fault("the coordinator did not start within 10 s"))
}

async fn enroll(agent: &Path, home: &Home, hospital: &Hospital, work: &Path) -> Result<(), CommandError> {
    let agent_home = hospital.home.display().to_string();
    run_program(agent, ["init", "--home", &agent_home, "--site", hospital.name.as_str()]).await?;
    let invite = work.join(format!("{}.invite", hospital.name));
    crate::cli::invite(home, &hospital.name, &invite, 1, None).await?;
    run_program(agent, ["enroll", &invite.display().to_string(), "--home", &agent_home]).await?;
    std::fs::remove_file(&invite).map_err(CommandError::fault)
}

/// The roster of this run. A row count is public here because the tables are the user's own.
async fn roster(home: &Home, hospitals: &[Hospital]) -> Result<Vec<RosterSite>, CommandError> {
    let sites = crate::cli::sites(home).await?;
    let mut roster = Vec::new();
    for hospital in hospitals {
        let enrolled = sites.iter().find(|site| site.name == hospital.name.as_str());
        let key = enrolled.map(|site| site.ledger_key.parse()).transpose().map_err(CommandError::fault)?;
        let key = key.ok_or_else(|| CommandError::fault(format!("{} is not enrolled", hospital.name)))?;
        roster.push(RosterSite {
            name: hospital.name.clone(),
            key,
            people_public: hospital.people,
            weight: 1,
        });
    }
    crate::cli::weigh_by_people(&mut roster);
    Ok(roster)
}

/// What hospitals do by telephone: each site's policy lists the others' keys. The person's column is
/// the study's: whoever runs the demo on their own tables wrote it there; so do they allow notes where the study reads
/// them. The caps are the study's too: see [`Caps`].
fn introduce(hospitals: &[Hospital], roster: &[RosterSite], study: &Study) -> Result<(), CommandError> {
    let Caps { epsilon_per_study, epsilon_total, delta } = Caps::of(study).map_err(CommandError::input)?;
    for hospital in hospitals {
        let path = hospital.home.join("site-policy.toml");
        let text = std::fs::read_to_string(&path).map_err(CommandError::fault)?;
        let mut policy: toml_edit::DocumentMut = text.parse().map_err(CommandError::fault)?;
        let known = policy["known_sites"].or_insert(toml_edit::table());
        for site in roster {
            known[site.name.as_str()] = toml_edit::value(site.key.to_string());
        }
        policy["data"].or_insert(toml_edit::table())["person_id"] = toml_edit::value(study.person_id());
        policy["allow"].or_insert(toml_edit::table())["notes"] = toml_edit::value(study.notes().is_some());
        let caps = policy["caps"].or_insert(toml_edit::table());
        caps["epsilon_per_study"] = toml_edit::value(epsilon_per_study);
        caps["epsilon_total"] = toml_edit::value(epsilon_total);
        caps["delta"] = toml_edit::value(delta);
        std::fs::write(&path, policy.to_string()).map_err(CommandError::fault)?;
    }
    Ok(())
}

async fn follow(
    home: &Home,
    digest: &str,
    rounds: u32,
    say: &Progress,
    agents: &mut [Running],
    coordinator: &mut Running,
) -> Result<String, CommandError> {
    let bar = say.bar(rounds.into());
    let ended = std::cell::RefCell::new(String::new());
    let watching = crate::cli::watch(home, digest, |event| {
        match event {
            StudyEvent::RoundClosed { round, .. } => bar.round(*round + 1, rounds),
            StudyEvent::TaskDeclined { site, rule, .. } => {
                say.warn(&format!("{site} declined a task: {rule}"))
            }
            StudyEvent::RoundReopened { round, .. } => {
                say.warn(&format!("round {}: no quorum by the deadline, open again", round + 1));
            }
            StudyEvent::AttemptFailed { earmark, step, .. } => {
                let what = Summed::of_earmark(*earmark).words(*step);
                say.warn(&format!("{what}: too few hospitals answered, tried again"));
            }
            StudyEvent::SiteDropped { site, rule, .. } => say.warn(&format!("{site} was dropped: {rule}")),
            StudyEvent::SiteLeft { site, earmark, step, attempt, .. } => {
                let what = Summed::of_earmark(*earmark).attempt_words(*step, *attempt);
                say.warn(&format!("{site} left during {what}"));
            }
            StudyEvent::EvaluationOpened { .. } => say.step("evaluating on people who were never trained on"),
            StudyEvent::Ended { reason, .. } => ended.borrow_mut().clone_from(reason),
            _ => {}
        }
        Ok(())
    });
    let mut watching = Box::pin(watching);
    loop {
        tokio::select! {
            result = watching.as_mut() => {
                result?;
                break;
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                coordinator.check()?;
                for agent in agents.iter_mut() {
                    agent.check()?;
                }
            }
        }
    }
    drop(watching);
    bar.finish();
    Ok(ended.into_inner())
}

/// A table that does not fit the study would keep its site silent, and everybody waiting.
async fn check_table(
    agent: &Path,
    hospital: &Hospital,
    study: &Path,
    parsed: &Study,
) -> Result<(), CommandError> {
    let (home, data, study) = (
        hospital.home.display().to_string(),
        hospital.data.display().to_string(),
        study.display().to_string(),
    );
    let arguments = ["data", "check", "--study", &study, "--data", &data, "--home", &home].map(str::to_owned);
    run_program(agent, arguments.into_iter().chain(answer_to(parsed, hospital))).await.map(drop)
}

async fn export_examples(
    agent: &Path,
    hospital: &Hospital,
    study: &Path,
    parsed: &Study,
    folder: &Path,
) -> Result<(), CommandError> {
    let (home, data, study) = (
        hospital.home.display().to_string(),
        hospital.data.display().to_string(),
        study.display().to_string(),
    );
    let file = folder.join(format!("{}.examples", hospital.name)).display().to_string();
    let arguments =
        ["data", "export", "--examples", "--study", &study, "--data", &data, "--home", &home, "--out", &file]
            .map(str::to_owned);
    run_program(agent, arguments.into_iter().chain(answer_to(parsed, hospital))).await.map(drop)
}

/// What a hospital answers to the study's bindings, as arguments of its agent; nothing of a study that asks for none.
fn answer_to(study: &Study, hospital: &Hospital) -> Vec<String> {
    if study.bindings().is_empty() { Vec::new() } else { hospital.bindings_arguments() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_study_reads() {
        fn check(data: &str, expected: Source) {
            assert_eq!(
                source(&Template::Own {
                    text: format!("schema = \"study/1\"\n{data}"),
                    choices: Vec::new(),
                    given: None,
                }),
                expected,
                "{data}"
            );
        }
        check("[data]\nformat = [\"table\"]", Source::Table);
        check("[data]\nformat = [\"omop-cdm-5.4\"]", Source::Omop);
        check("[data]\nformat = [\"omop-cdm-5.4\", \"omop-cdm-5.3\"]", Source::Omop);
        check("", Source::Table);
        check("[data", Source::Table);
    }
}
