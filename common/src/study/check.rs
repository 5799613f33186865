//! What a study will cost and what it can hope to show, before anybody's data are touched: computed
//! from the file alone, so the consortium, a hospital and a panel all see the same figures.

pub(super) mod secure;
mod time;
mod warnings;
mod words;

pub use secure::SecurePrediction;

use super::earmarks::{earmarks, events_of};
use super::{Mode, Predicted, RosterSite, Study};
use crate::evaluation::normal::quantile;
use crate::id::SiteName;
use crate::ledger::entry::{Account, Earmark};
use crate::ledger::hospitals::worst_in_sums;
use crate::privacy::accountant::{self, Accountant, epsilon_by};
use crate::privacy::mechanism::Event;
use time::{Held, held};

/// AUROC that sizes are predicted for.
const ASSUMED_AUROC: f64 = 0.75;
/// The share of examples with the outcome of a prediction of which the file says none.
const ASSUMED_OUTCOME_SHARE: f64 = 0.1;

/// Costs and sizes of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The δ of every ε here.
    pub delta: f64,
    /// What every ε here is computed by, but one.
    pub accountant: Accountant,
    /// What a training person pays in all.
    pub epsilon_training_account: f64,
    /// What an evaluation person pays in all.
    pub epsilon_evaluation_account: f64,
    /// The larger of the two accounts by RDP: what a hospital's cap over studies counts for this one where it is the
    /// first, so the least that such a cap must be.
    pub epsilon_rdp: f64,
    /// What a person known to two of the hospitals pays, at the worst mix of roles: in distributed mode for
    /// being in the same sums twice.
    pub epsilon_two_hospitals: f64,
    /// The same at three.
    pub epsilon_three_hospitals: f64,
    /// Inputs of the model.
    pub inputs: usize,
    /// Parameters of the model.
    pub parameters: usize,
    /// Noise of one averaged step, or of one secure sum's, ÷ the largest that its signal can be: its expected length, all
    /// sites taking part. The signal is at most the clip norm, of which the share of examples is left that is not held out
    /// by time.
    pub step_noise: f64,
    /// What secure sums ask for and cost, in distributed mode.
    pub secure: Option<SecurePrediction>,
    /// Site by site.
    pub sites: Vec<SitePrediction>,
    /// Grouping by grouping.
    pub groupings: Vec<GroupingPrediction>,
    /// The share of examples that are held out by time, if index days are spread evenly over the accrual; none where
    /// nothing is held out.
    pub held_out_share: Option<f64>,
    /// Attributes of which it is only counted how often they are recorded.
    pub completeness: Vec<CompletenessPrediction>,
    /// The shares of examples with the outcome that the groupings were predicted for, prediction by prediction.
    pub outcome_shares: Vec<OutcomeShare>,
    /// What somebody should look at before publishing the study.
    pub warnings: Vec<String>,
}

/// How many examples of a prediction are taken to have the outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeShare {
    /// As [`Predicted::name`].
    pub prediction: String,
    /// Within (0, 1).
    pub share: f64,
    /// The study file says so (`prevalence_public`); else it is whoever asked, or a guess.
    pub is_published: bool,
}

/// What one site brings.
#[derive(Debug, Clone, PartialEq)]
pub struct SitePrediction {
    /// Who.
    pub name: SiteName,
    /// As published.
    pub people_public: u64,
    /// Expected training people whose examples are trained on: none of those that are held out by time.
    pub training_people: f64,
    /// Expected evaluation people.
    pub evaluation_people: f64,
    /// Expected people of one private step, of those.
    pub step_people: f64,
    /// Noise of this site's step alone ÷ the largest that its signal can be; none in distributed mode, where no step of
    /// one site is ever seen.
    pub step_noise: Option<f64>,
}

/// Whether a grouping will say anything.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupingPrediction {
    /// `overall`, `sex`, `sex*age_band`.
    pub name: String,
    /// Groups, `unknown` included.
    pub groups: usize,
    /// σ of a cell at one site, in people; in distributed mode the least of the sum over all sites.
    pub noise_multiplier: f64,
    /// Expected standard error of AUROC in a group of average size, from the noise alone.
    pub error_of_noise: f64,
    /// The same from the number of people alone.
    pub error_of_sampling: f64,
    /// Wider than the study's own limit: groups of average size will read "too few people to say".
    pub too_few_people_to_say: bool,
    /// The interval would be all of 0 to 1, so that no AUROC is given even of everybody.
    pub interval_says_nothing: bool,
}

/// How well it will be known of how many people an attribute is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletenessPrediction {
    /// The attribute.
    pub name: String,
    /// Counts of the release: `recorded`, `refused`, …
    pub states: usize,
    /// As in [`GroupingPrediction`].
    pub noise_multiplier: f64,
    /// Standard error of a count over all sites, people; noise is all there is to it.
    pub error_people: f64,
}

/// Predicts costs and sizes for outcomes that as many examples have as the file says of each prediction
/// (`prevalence_public`), and 1 in 10 where it says nothing. Else as [`predict`].
///
/// # Panics
/// Only for a `Study` that [`super::parse()`] did not make.
#[must_use]
pub fn predict_as_published(study: &Study) -> Prediction {
    let share = |predicted: Predicted| OutcomeShare {
        share: predicted.prevalence_public.unwrap_or(ASSUMED_OUTCOME_SHARE),
        is_published: predicted.prevalence_public.is_some(),
        prediction: predicted.name,
    };
    predict_for(study, study.predicted().into_iter().map(share).collect())
}

/// Predicts costs and sizes for outcomes that `outcome_share` of all examples have, whatever the prediction (a public guess,
/// within (0, 1)).
///
/// Sizes are rough: groups are taken to be of equal size, index days to be spread evenly over the accrual (where
/// later examples are held out; `overall` is then judged by its smaller group), and the AUROC to be 0.75. The noise's part
/// of the standard error linearises the AUROC in the cells of its histogram, where the mean square
/// of (rank − AUROC) over bins of equal mass is 1/12 + (AUROC − 1/2)²; the people's part is Hanley
/// & McNeil 1982.
///
/// # Panics
/// Only for a `Study` that [`super::parse()`] did not make.
#[must_use]
pub fn predict(study: &Study, outcome_share: f64) -> Prediction {
    let share = outcome_share.clamp(1e-6, 1.0 - 1e-6);
    let of = |predicted: Predicted| OutcomeShare { prediction: predicted.name, share, is_published: false };
    predict_for(study, study.predicted().into_iter().map(of).collect())
}

fn predict_for(study: &Study, outcome_shares: Vec<OutcomeShare>) -> Prediction {
    let list = earmarks(study);
    let training = events_of(&list, Account::Training);
    let evaluation = events_of(&list, Account::Evaluation);
    let by = |accountant, events: &[Event]| {
        epsilon_by(accountant, events, study.privacy.delta).expect("parse refuses what cannot be priced")
    };
    let spent = |events: &[Event]| by(Accountant::CHARGED, events);
    let parameters = study.architecture().parameters();
    let held = held(study);
    let trained = held.as_ref().map_or(1.0, |held| 1.0 - held.share());
    let site = |site| site_prediction(study, site, parameters, trained);
    let sites: Vec<_> = study.sites.iter().map(site).collect();
    let sums = secure::prediction(study);
    let step_noise = match &sums {
        None => averaged_noise(study, &sites),
        Some(_) => secure::step_noise(study) / trained,
    };
    let groupings = groupings(study, &list, &outcome_shares, &sites);
    let mut prediction = Prediction {
        delta: study.privacy.delta,
        accountant: Accountant::CHARGED,
        epsilon_training_account: spent(&training),
        epsilon_evaluation_account: spent(&evaluation),
        epsilon_rdp: by(Accountant::Rdp, &training).max(by(Accountant::Rdp, &evaluation)),
        epsilon_two_hospitals: epsilon_at_hospitals(study, 2),
        epsilon_three_hospitals: epsilon_at_hospitals(study, 3),
        inputs: study.architecture().inputs,
        parameters,
        step_noise,
        secure: sums,
        sites,
        groupings,
        held_out_share: held.as_ref().map(Held::share),
        completeness: completeness(study, &list),
        outcome_shares,
        warnings: Vec::new(),
    };
    prediction.warnings = warnings::warnings(study, &prediction);
    prediction
}

/// What a person known to `hospitals` of the sites pays at the worst mix of roles: each hospital fixes
/// roles by its own key, so the person may train at one and evaluate at another.
///
/// # Privacy
/// In local mode sites draw their noise apart, so the losses of one person's records at several sites
/// compose. In distributed mode they are all in the same sums, under one noise: see
/// [`worst_in_sums`]; every site is taken to use up its list in the same attempts.
///
/// # Panics
/// Only for a `Study` that [`super::parse()`] did not make.
#[must_use]
pub fn epsilon_at_hospitals(study: &Study, hospitals: usize) -> f64 {
    let list = earmarks(study);
    if let Mode::Distributed { .. } = study.privacy.mode {
        let uses = |earmark: usize, _| list[earmark].event.count();
        let hospitals = u32::try_from(hospitals).unwrap_or(u32::MAX);
        return worst_in_sums(&list, hospitals, uses, |events| {
            epsilon_by(Accountant::CHARGED, events, study.privacy.delta)
        })
        .expect("parse refuses what cannot be priced");
    }
    let training = events_of(&list, Account::Training);
    let evaluation = events_of(&list, Account::Evaluation);
    (0..=hospitals)
        .map(|trains| {
            let events = [training.repeat(trains), evaluation.repeat(hospitals - trains)].concat();
            accountant::epsilon(&events, study.privacy.delta).expect("parse refuses what cannot be priced")
        })
        .fold(0.0, f64::max)
}

/// Where `trained` is the share of examples that are not held out by time.
fn site_prediction(study: &Study, site: &RosterSite, parameters: usize, trained: f64) -> SitePrediction {
    #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
    let (people, parameters) = (site.people_public as f64, parameters as f64);
    let training_people = study.training_people(site);
    // The denominator stays that of all training people, and the signal is the less.
    let step_people = study.denominator(site) * trained;
    SitePrediction {
        name: site.name.clone(),
        people_public: site.people_public,
        training_people: training_people * trained,
        evaluation_people: people - training_people,
        step_people,
        step_noise: (study.privacy.mode == Mode::Local)
            .then(|| study.privacy.training.noise_multiplier * parameters.sqrt() / step_people),
    }
}

/// Noise of the average of the sites' steps, as [`Prediction::step_noise`].
fn averaged_noise(study: &Study, sites: &[SitePrediction]) -> f64 {
    let weights: f64 = study.sites.iter().map(|site| f64::from(site.weight)).sum();
    let noise = |(site, prediction): (&RosterSite, &SitePrediction)| {
        (f64::from(site.weight) / weights * prediction.step_noise.unwrap_or(0.0)).powi(2)
    };
    study.sites.iter().zip(sites).map(noise).sum::<f64>().sqrt()
}

fn groupings(
    study: &Study,
    list: &[Earmark],
    outcome_shares: &[OutcomeShare],
    sites: &[SitePrediction],
) -> Vec<GroupingPrediction> {
    let people: f64 = sites.iter().map(|site| site.evaluation_people).sum();
    let (together, fewest) = time::evaluated_shares(study);
    let reach = quantile(f64::midpoint(1.0, study.evaluation.level));
    let names = study.groupings();
    let own = || std::iter::once(&[][..]).chain(study.subgroups.groups.iter().map(Vec::as_slice));
    let asked = outcome_shares.iter().flat_map(|of| own().map(|attributes| (attributes, of.share)));
    type Asked<'a> = (&'a [String], f64);
    type Declared<'a> = (u32, &'a Earmark);
    let predict =
        |((name, (attributes, outcome_share)), (index, earmark)): ((String, Asked<'_>), Declared<'_>)| {
            let values =
                |name: &String| study.attribute(name).map_or(1, |attribute| attribute.values.count());
            let (groups, people) = match attributes {
                [] => (study.split.validations().len(), people * fewest),
                crossed => (crossed.iter().map(values).product(), people * together),
            };
            // People with an unknown value are few; the listed values share the rest.
            let listed: usize = attributes.iter().map(|name| values(name).saturating_sub(1).max(1)).product();
            let noise_multiplier = noise_of(earmark);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let (bins, listed) = ((study.evaluation.bin_edges.len() + 1) as f64, listed as f64);
            let with = people / listed * outcome_share;
            let without = people / listed - with;
            let rank_variance = 1.0 / 12.0 + (ASSUMED_AUROC - 0.5).powi(2);
            let cell_variance = secure::cell_variance(study, index, noise_multiplier);
            let error_of_noise =
                (cell_variance * bins * rank_variance * (with.powi(-2) + without.powi(-2))).sqrt();
            let error_of_sampling = hanley_mcneil(with, without);
            let error = error_of_noise.hypot(error_of_sampling);
            GroupingPrediction {
                name,
                groups,
                noise_multiplier,
                error_of_noise,
                error_of_sampling,
                too_few_people_to_say: error > study.subgroups.max_standard_error,
                // Both ends are cut at 0 and 1; the lower is the farther.
                interval_says_nothing: reach * error >= ASSUMED_AUROC,
            }
        };
    names.into_iter().zip(asked).zip((1..).zip(&list[1..])).map(predict).collect()
}

fn noise_of(earmark: &Earmark) -> f64 {
    match earmark.event {
        Event::Gaussian { noise_multiplier, .. } => noise_multiplier,
        _ => unreachable!("a grouping is released with Gaussian noise"),
    }
}

fn completeness(study: &Study, list: &[Earmark]) -> Vec<CompletenessPrediction> {
    let counted = (0..).zip(list).filter(|(_, earmark)| study.is_completeness(&earmark.name));
    let predict = |(index, earmark): (u32, &Earmark)| {
        let noise_multiplier = noise_of(earmark);
        CompletenessPrediction {
            name: earmark.name.clone(),
            states: study.attribute(&earmark.name).map_or(0, |attribute| attribute.values.count()),
            noise_multiplier,
            error_people: secure::cell_variance(study, index, noise_multiplier).sqrt(),
        }
    };
    counted.map(predict).collect()
}

/// Standard error of an AUROC from people alone (Hanley & McNeil, Radiology 1982;143:29–36).
fn hanley_mcneil(with: f64, without: f64) -> f64 {
    let (with, without) = (with.max(1.0), without.max(1.0));
    let auroc = ASSUMED_AUROC;
    let (q1, q2) = (auroc / (2.0 - auroc), 2.0 * auroc * auroc / (1.0 + auroc));
    let square = auroc * auroc;
    let pairs = auroc * (1.0 - auroc) + (with - 1.0) * (q1 - square) + (without - 1.0) * (q2 - square);
    (pairs / (with * without)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::parse::tests::{COLUMN_SPLIT, EXAMPLE, parsed};

    #[test]
    fn costs_are_the_accountants() {
        let prediction = predict(&parsed(EXAMPLE), 0.1);
        let total = parsed(EXAMPLE).privacy.person_total_max;
        assert!(prediction.epsilon_training_account <= total);
        assert!(prediction.epsilon_evaluation_account <= total);
        let list = earmarks(&parsed(EXAMPLE));
        let training = events_of(&list, Account::Training);
        let evaluation = events_of(&list, Account::Evaluation);
        for mix in [training.repeat(2), evaluation.repeat(2), [training, evaluation].concat()] {
            let spent = accountant::epsilon(&mix, prediction.delta).expect("valid");
            assert!(spent <= prediction.epsilon_two_hospitals, "{spent}");
        }
        assert!(prediction.epsilon_two_hospitals > total);
        let spent = prediction.epsilon_training_account.max(prediction.epsilon_evaluation_account);
        assert!(prediction.epsilon_rdp > 1.01 * spent, "{} and {spent}", prediction.epsilon_rdp);
        assert!(prediction.epsilon_three_hospitals > prediction.epsilon_two_hospitals);
        let both = predict(&parsed(&COLUMN_SPLIT), 0.1);
        assert_eq!(both.epsilon_training_account, both.epsilon_evaluation_account);
    }

    /// Four standard errors of the reference simulation: true AUROC 0.75, 5 % with the outcome, 20
    /// bins, one site, the classic Gaussian σ = √(2 ln(1.25/δ))/ε at δ = 1e-6 and ε = 1.
    #[test]
    fn errors_follow_a_simulation() {
        fn check(with: f64, simulated: f64) {
            let sigma = (2.0 * (1.25e6_f64).ln()).sqrt();
            let rank_variance = 1.0 / 12.0 + (ASSUMED_AUROC - 0.5).powi(2);
            let predicted =
                sigma * (20.0 * rank_variance).sqrt() * (with.powi(-2) + (19.0 * with).powi(-2)).sqrt();
            assert!((0.6..1.7).contains(&(predicted / simulated)), "{with}: {predicted} for {simulated}");
        }
        check(100.0, 0.100);
        check(200.0, 0.048);
        check(500.0, 0.018);
        check(2000.0, 0.005);
    }

    /// The formula by hand: A = 0.75, Q1 = 0.6, Q2 = 0.6429.
    #[test]
    fn sampling_errors() {
        fn check(with: f64, expected: f64) {
            let error = hanley_mcneil(with, 19.0 * with);
            assert!((error - expected).abs() < 1e-6, "{with}: {error}");
        }
        check(10.0, 0.090_938);
        check(50.0, 0.040_597);
        check(250.0, 0.018_149);
    }

    #[test]
    fn small_groups_will_say_nothing() {
        let study = parsed(EXAMPLE);
        let verdicts = |share| {
            predict(&study, share).groupings.iter().map(|g| g.too_few_people_to_say).collect::<Vec<_>>()
        };
        assert!(!verdicts(0.2)[0], "overall is shown");
        assert!(verdicts(0.0005).iter().all(|&too_few| too_few), "nine events say nothing");
        let text = predict(&study, 0.0005).to_string();
        assert!(text.contains("sex: 3 groups") && text.contains("too few people to say"), "{text}");
    }
}
