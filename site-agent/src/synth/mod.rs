//! Synthetic hospitals: seeded, bit-reproducible, with a known truth.
//!
//! `site-agent synth` invents mental-health services whose people resemble real ones only in shape:
//! each site has its own case mix, missing values and recording habits, while one risk model, written
//! down in `truth.json`, rules everywhere. A site alone therefore learns its own habits; sites
//! together learn the model. No real record, and no distribution fitted to one, is in here.
//!
//! Promised, for four sites or more with 2,000 people or more: the AUROC of the true risks is within
//! 0.75 to 0.80, and the prevalence of the outcome differs at least threefold between sites. A draw
//! that misses this by chance is drawn again (rare from 6,000 people on); `truth.json` says which
//! draw it is.
//!
//! Every person is written twice, as a row of a plain table and as OMOP CDM 5.4 records (CSV or Parquet), and the two
//! agree person by person; MEDS is written from those records. A second outcome, readmission, has its own true risk. What the table does not say, how a
//! site codes and what its notes say, is drawn from streams of its own, so that it can grow and the table stays.
//! Invariant: the same arguments give the same bytes, on every platform.
//!
//! ```text
//! profile, coding (a site's people and habits) → person (who) → course (when) → table, truth, omop, notes
//! ```

mod cell;
mod chance;
mod coding;
mod course;
mod files;
mod folders;
mod meds;
mod notes;
mod omop;
mod parquet_file;
mod person;
mod profile;
mod risk;
mod table;
mod truth;
mod vocabulary;

pub use folders::Form;

use crate::data::omop::meds::MedsExportError;
use chance::{Chances, Draw};
use clap::Args;
use coding::Coding;
use course::Course;
use folders::Folders;
use profile::SiteProfile;
use serde::Serialize;
use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Most sites: one for each letter.
pub const SITES_MAX: u64 = 26;
/// Fewest people in all.
pub const PEOPLE_MIN: u64 = 100;
/// Most people in all.
pub const PEOPLE_MAX: u64 = 10_000_000;

/// Fewest sites, and fewest people over them, for which the figures below are promised.
const PROMISE_SITES: u64 = 4;
const PROMISE_PEOPLE: u64 = 2000;
/// Highest prevalence of a site over the lowest, at least.
const PREVALENCE_RATIO_MIN: f64 = 3.0;
/// AUROC of the true risks over everybody: 0.75 to 0.80, less the width of its bins.
const TRUE_AUROC: std::ops::RangeInclusive<f64> = 0.7505..=0.7995;
/// Draws of one seed.
const DRAWS_MAX: u64 = 64;

/// `site-agent synth`: invents hospitals to try Consilium on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  site-agent synth --out hospitals --sites 6 --people 6000 --seed 1\n  \
    site-agent synth --out hospitals --people 1000000 --form parquet --no-notes\n  \
    site-agent synth --out hospitals --form parquet --meds\n\n\
    Each site gets hospitals/SITE/table.csv (one row per person), the same people in\n\
    hospitals/SITE/omop/ (OMOP CDM 5.4), and hospitals/SITE/truth.csv (each person's true risks).\n\
    With --meds the records are in hospitals/SITE/meds/ as well (MEDS 0.4, without notes), as\n\
    `site-agent data export --meds` writes them from the OMOP tables: a study gives the same examples.\n\
    hospitals/truth.json holds the true risk models and what they can reach. Beside the notes lie\n\
    notes_truth.csv (what each note says) and canaries.txt (the names in them, which nobody has).")]
pub struct SynthArgs {
    /// A new or empty folder to write into
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How many sites, 1 to 26
    #[arg(long, value_name = "K", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=SITES_MAX))]
    pub sites: u64,
    /// How many people over all sites, 100 to 10000000
    #[arg(long, value_name = "N", default_value_t = 6000, value_parser = clap::value_parser!(u64).range(PEOPLE_MIN..=PEOPLE_MAX))]
    pub people: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The form of the OMOP tables
    #[arg(long, value_enum, default_value_t)]
    pub form: Form,
    /// Write the records as MEDS 0.4 too, in SITE/meds beside the OMOP tables
    #[arg(long)]
    pub meds: bool,
    /// Leave the notes out
    #[arg(long)]
    pub no_notes: bool,
}

/// What was written: the same figures as in `truth.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The folder.
    pub out: PathBuf,
    /// The seed.
    pub seed: u64,
    /// Which draw of the seed, from 0.
    pub draw: u64,
    /// Each site, in the order of their names.
    pub sites: Vec<truth::Figures>,
    /// Everybody.
    pub overall: truth::Figures,
    /// Everybody who was discharged from a psychiatric stay, if anybody was: readmission within 30 days.
    pub readmission: Option<truth::Figures>,
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The arguments ask for something out of range.
    #[error("{what}: expected {low} to {high}, came {found}")]
    OutOfRange {
        /// Which argument.
        what: &'static str,
        /// Smallest allowed.
        low: u64,
        /// Largest allowed.
        high: u64,
        /// What came.
        found: u64,
    },
    /// The folder holds something already, and is left as it is.
    #[error("{}: expected a new or empty folder, came one that holds something", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The OMOP tables were not written out as MEDS.
    #[error(transparent)]
    Meds(#[from] MedsExportError),
}

impl SynthError {
    /// Whether other arguments would help (exit code 2), rather than another disk (exit code 4).
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        matches!(self, Self::OutOfRange { .. } | Self::NotEmpty { .. })
    }

    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Writes the hospitals. People are written as they are drawn, so memory does not grow with them; as MEDS, where that is
/// asked for, within the limits of [`Reading`](crate::data::omop::Reading).
///
/// # Errors
/// Arguments out of range, a folder that is not empty, or a failing disk.
pub fn run(args: &SynthArgs) -> Result<Summary, SynthError> {
    let sites = plan(args.sites, args.people)?;
    std::fs::create_dir_all(&args.out).map_err(SynthError::io(&args.out))?;
    let mut holds = std::fs::read_dir(&args.out).map_err(SynthError::io(&args.out))?;
    if holds.next().is_some() {
        return Err(SynthError::NotEmpty { path: args.out.clone() });
    }
    let draw = kept_draw(&sites, args.seed);
    let mut overall = Tallies::default();
    let mut figures = Vec::new();
    for (site, tallies) in sites.iter().zip(each(&sites, |site| write_site(args, site, draw))) {
        let tallies = tallies?;
        overall.self_harm.merge(&tallies.self_harm);
        overall.readmission.merge(&tallies.readmission);
        figures.push(tallies.self_harm.figures(site.profile.name));
    }
    if args.meds {
        // One site after another: an export takes every core by itself, and its memory once.
        sites.iter().try_for_each(|site| meds::write(&args.out.join(site.profile.name)))?;
    }
    let summary = Summary {
        out: args.out.clone(),
        seed: args.seed,
        draw: draw.attempt,
        sites: figures,
        overall: overall.self_harm.figures("overall"),
        readmission: overall.readmission.has_people().then(|| overall.readmission.figures("overall")),
    };
    truth::write_json(&args.out.join("truth.json"), &sites, &summary)?;
    Ok(summary)
}

/// Who had which outcome.
#[derive(Default)]
struct Tallies {
    self_harm: truth::Tally,
    readmission: truth::Tally,
}

/// One site of the plan.
#[derive(Debug, Clone)]
struct PlannedSite {
    /// Position in the order of names, from 0.
    ordinal: u64,
    /// Who is treated there, and how they are written down.
    profile: SiteProfile,
    /// How their records are written.
    coding: Coding,
    /// How many people.
    people: u64,
}

/// Who is how large: everybody gets one person, and the rest are shared by weight, so that the sum
/// is exact and nobody is empty.
fn plan(sites: u64, people: u64) -> Result<Vec<PlannedSite>, SynthError> {
    let check = |what, low, high, found| {
        if (low..=high).contains(&found) {
            Ok(())
        } else {
            Err(SynthError::OutOfRange { what, low, high, found })
        }
    };
    check("--sites", 1, SITES_MAX, sites)?;
    check("--people", PEOPLE_MIN, PEOPLE_MAX, people)?;
    let profiles: Vec<SiteProfile> = (0..sites).map(profile::of_site).collect();
    let weights: u64 = profiles.iter().map(|p| p.weight).sum();
    let shared = people - sites;
    let mut up_to = 0;
    let mut given = 0;
    Ok(profiles
        .into_iter()
        .zip(0..)
        .map(|(profile, ordinal)| {
            up_to += profile.weight;
            let share = shared * up_to / weights - given;
            given += share;
            PlannedSite { ordinal, profile, coding: coding::of_site(ordinal), people: 1 + share }
        })
        .collect())
}

/// The first draw that keeps the promise; the first of all where none is made, or where 64 draws miss.
fn kept_draw(sites: &[PlannedSite], seed: u64) -> Draw {
    let first = Draw { seed, attempt: 0 };
    let people: u64 = sites.iter().map(|site| site.people).sum();
    if (sites.len() as u64) < PROMISE_SITES || people < PROMISE_PEOPLE {
        return first;
    }
    let mut draws = (0..DRAWS_MAX).map(|attempt| Draw { seed, attempt });
    draws.find(|draw| keeps_promise(sites, *draw)).unwrap_or(first)
}

fn keeps_promise(sites: &[PlannedSite], draw: Draw) -> bool {
    let of_sites = each(sites, |site| {
        let mut tally = truth::Tally::default();
        person::people(site, draw).for_each(|person| tally.add(person.risk, person.outcome));
        tally
    });
    let mut overall = truth::Tally::default();
    let (mut lowest, mut highest) = (1.0_f64, 0.0_f64);
    for (site, tally) in sites.iter().zip(&of_sites) {
        let prevalence = tally.figures(site.profile.name).prevalence;
        (lowest, highest) = (lowest.min(prevalence), highest.max(prevalence));
        overall.merge(tally);
    }
    let auroc = overall.figures("overall").auroc_true_risk;
    highest >= PREVALENCE_RATIO_MIN * lowest && auroc.is_some_and(|auroc| TRUE_AUROC.contains(&auroc))
}

/// What comes of each site, in their order. Threads share the sites; every site has its own streams of chance and its own
/// files, so that the number of threads changes no byte.
fn each<T: Send>(sites: &[PlannedSite], work: impl Fn(&PlannedSite) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(sites.len());
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(site) = sites.get(at) else { break done };
            done.push((at, work(site)));
        }
    };
    let mut done: Vec<(usize, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.flatten().collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn write_site(args: &SynthArgs, site: &PlannedSite, draw: Draw) -> Result<Tallies, SynthError> {
    let folder = args.out.join(site.profile.name);
    let folders = Folders::create(&folder, args.form)?;
    let mut table = table::create(&folder)?;
    let mut risks = truth::create_csv(&folder)?;
    let mut database = omop::Database::create(&folders, &site.profile, site.coding.clone())?;
    let mut notes =
        (!args.no_notes).then(|| omop::Notes::create(&folder, &folders, &site.coding)).transpose()?;
    let mut chances = Chances::new(draw, site.ordinal);
    let mut tallies = Tallies::default();
    for person in person::people(site, draw) {
        let course = Course::draw(&person, &site.coding, &mut chances.history, &mut chances.stays);
        table::write(&mut table, &person)?;
        truth::write_csv(&mut risks, &person, &course)?;
        let who = omop::Who { person: &person, course: &course };
        let visits = database.write(who, &mut chances)?;
        notes.as_mut().map_or(Ok(()), |notes| notes.write(who, &visits, &mut chances.notes))?;
        tallies.self_harm.add(person.risk, person.outcome);
        if let Some(stay) = &course.stay {
            tallies.readmission.add(stay.risk, stay.readmitted);
        }
    }
    table.finish()?;
    risks.finish()?;
    database.finish()?;
    notes.map_or(Ok(()), omop::Notes::finish)?;
    Ok(tallies)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>9} {:>9} {:>11} {:>15}",
            "site", "people", "outcomes", "prevalence", "best AUROC"
        )?;
        for row in self.sites.iter().chain([&self.overall]) {
            let auroc = row.auroc_true_risk.map_or("-".to_owned(), |value| format!("{value:.3}"));
            let percent = 100.0 * row.prevalence;
            writeln!(
                f,
                "{:<12} {:>9} {:>9} {percent:>10.1}% {auroc:>15}",
                row.name, row.people, row.outcomes
            )?;
        }
        write!(f, "written to {} (seed {}); invented people, nobody's records", self.out.display(), self.seed)
    }
}

#[cfg(test)]
mod tests;
