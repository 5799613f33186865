//! The budget over all sites, and site by site what left, when, to whom, under which approval.

use super::page::minute;
use super::table::table;
use super::{Audited, Sound};
use crate::budget::words;
use crate::figures::{bytes, left};
use consilium_common::ledger::budget::SiteBudget;
use consilium_common::ledger::bundle::SiteReport;
use consilium_common::ledger::bundle::trace::{OutputLine, SumLine};
use consilium_common::ledger::entry::{Account, Role};
use consilium_common::ledger::key_loss::SplitKey;
use consilium_common::ledger::rules::Slot;
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::report::figures::epsilon_short;
use consilium_common::report::html::{Html, all, fill, text};
use consilium_common::study::{Mode, earmarks};
use std::collections::BTreeMap;

pub(super) fn budget(audited: &Audited<'_>) -> Html {
    let Some(Sound { budget, .. }) = audited.sound else { return Html::default() };
    let some = |value: Option<f64>| text(value.map_or_else(|| "–".to_owned(), epsilon_short));
    let row = |site: &SiteBudget| {
        vec![
            text(site.name.as_str()),
            text(epsilon_short(site.epsilon_training)),
            text(epsilon_short(site.epsilon_evaluation)),
            fill("<b>{}</b>", &[&epsilon_short(site.epsilon_person_max)]),
            some(site.epsilon_two_hospitals),
            some(site.epsilon_three_hospitals),
            text(epsilon_short(site.epsilon_training_earmarked.max(site.epsilon_evaluation_earmarked))),
            text(site.epsilon_per_study_cap.to_string()),
            text(site.steps.to_string()),
        ]
    };
    let total = vec![
        text("All hospitals, at most"),
        text(""),
        text(""),
        fill("<b>{}</b>", &[&epsilon_short(budget.epsilon_person_max)]),
        some(budget.epsilon_two_hospitals),
        some(budget.epsilon_three_hospitals),
        text(""),
        text(""),
        text(""),
    ];
    let over_all = budget.sites.iter().map(|site| {
        vec![
            text(site.name.as_str()),
            text(epsilon_short(site.epsilon_total_charged)),
            text(site.epsilon_total_cap.to_string()),
            text(left(site.epsilon_total_left)),
            text(site.caps_delta.to_string()),
        ]
    });
    fill(
        "<section id=\"budget\"><h2>What it cost</h2>\
         <p>ε at δ = {}, by {} accounting, recomputed from the burnt events in each ledger: no figure that anybody \
         wrote down is believed. What was reserved counts as spent, whether or not anything came of it.</p>{}\
         <p class=\"quiet\">“If everything were used” prices the whole declared list, spare attempts included. A \
         person known to several hospitals pays more{}; shown is the worst mix of roles and of hospitals.</p>\
         <h3>Over all studies on the same people</h3>{}\
         <p class=\"quiet\">ε of everything charged, by Rényi accounting (rdp), at the hospital’s own δ and at the order \
         that its filter fixed before the first release; so it may exceed the figures above. Only the hospital’s own policy file can raise \
         a cap, and each change is an entry in its ledger.</p></section>",
        &[
            &budget.delta.to_string(),
            &budget.accountant,
            &table(
                &[
                    "Hospital",
                    "ε, training people",
                    "ε, evaluation people",
                    "ε of a person, at most",
                    "… known to two",
                    "… to three",
                    "If everything were used",
                    "Cap on one study",
                    "Steps",
                ],
                budget.sites.iter().map(row).chain([total]),
            ),
            &match audited.study.privacy.mode {
                Mode::Local => ": at each of them",
                Mode::Distributed { .. } => {
                    ", since they are in the same sums several times, under one noise"
                }
            },
            &table(&["Hospital", "Charged", "Cap", "Left", "δ of the policy"], over_all),
        ],
    )
}

pub(super) fn each(audited: &Audited<'_>) -> Html {
    all(audited.report.sites.iter().map(|site| one(audited, site)))
}

fn cosigned(site: &SiteReport) -> String {
    let coordinator = site.cosigned.map(|time| format!("by the coordinator, {}", minute(time)));
    let sites = site.witnesses.iter().map(|witness| format!("by {witness}"));
    let all: Vec<String> = coordinator.into_iter().chain(sites).collect();
    if all.is_empty() { "no".to_owned() } else { all.join("; ") }
}

fn one(audited: &Audited<'_>, site: &SiteReport) -> Html {
    let ledger = site.ledger.as_ref();
    let facts = fill(
        "<dl class=\"facts\"><dt>Ledger</dt><dd>{}</dd><dt>Entries</dt><dd>{}</dd><dt>Cosigned</dt><dd>{}</dd>\
         <dt>Written by</dt><dd>{}, as it says of itself</dd>{}{}</dl>",
        &[
            &ledger.map_or_else(|| "could not be replayed".to_owned(), |ledger| ledger.origin()),
            &ledger.map_or_else(|| "–".to_owned(), |ledger| ledger.size().to_string()),
            &cosigned(site),
            &site.history.software.as_deref().unwrap_or("–"),
            &key_changes(site),
            &lost_keys(site),
        ],
    );
    let left = match audited.sound {
        Some(sound) => left_the_building(audited, sound, site),
        None => Html::default(),
    };
    fill(
        "<section class=\"site\"><h2>{}</h2>{}{}<h3>What was refused</h3>{}<h3>The hospital’s policy</h3>{}</section>",
        &[&site.name.as_str(), &facts, &left, &refusals(site), &policies(site)],
    )
}

/// Nothing for the many ledgers that have one key.
fn key_changes(site: &SiteReport) -> Html {
    all(site.history.keys.iter().map(|change| {
        fill(
            "<dt>Key changed</dt><dd>{}, entry {}, signed by the old and the new key: from <code>{}</code> to \
             <code>{}</code></dd>",
            &[&minute(change.time), &change.entry, &change.old.to_string(), &change.new.to_string()],
        )
    }))
}

/// Nor for those whose key was never lost.
fn lost_keys(site: &SiteReport) -> Html {
    all(site.history.lost_keys.iter().map(|loss| {
        let by = loss.endorsed.iter().map(|(by, _)| by.as_str()).collect::<Vec<_>>().join(", ");
        let roles = match loss.split {
            SplitKey::Kept => "",
            SplitKey::Lost => " People’s roles were drawn anew: what both roles had paid adds up.",
        };
        fill(
            "<dt>Key lost</dt><dd>{}, entry {}: <code>{}</code>. {} vouch for the new key <code>{}</code>. Studies that \
             were open are charged in whole.{}</dd>",
            &[
                &minute(loss.time),
                &loss.entry,
                &loss.old.to_string(),
                &by,
                &loss.new.to_string(),
                &roles,
            ],
        )
    }))
}

fn left_the_building(audited: &Audited<'_>, sound: &Sound, site: &SiteReport) -> Html {
    let approval = audited.report.decisions.iter().find(|decision| decision.site == site.name);
    let under = approval.map_or_else(String::new, |approval| {
        let by = if approval.approver.is_empty() { "no name given" } else { &approval.approver };
        format!("{by}, {}", approval.time.day())
    });
    let mut outputs: Vec<&OutputLine> =
        sound.outputs.iter().filter(|output| output.site == site.name).collect();
    outputs.sort_by_key(|output| output.commit);
    let so_far = spent_until(audited, site);
    let marks = earmarks(audited.study);
    let what = |slot: Slot| match slot {
        Slot::Round(round) => format!("update of round {}", u64::from(round) + 1),
        Slot::Grouping(index) => {
            let name =
                usize::try_from(index).ok().and_then(|index| marks.get(index)).map(|mark| mark.name.as_str());
            let name = name.unwrap_or("?");
            let what = if audited.study.is_completeness(name) { "how often recorded:" } else { "histogram" };
            format!("{what} “{name}”")
        }
    };
    let spent = |reserve: u64| {
        let spent = so_far.get(&reserve).copied().unwrap_or_default();
        spent.map(|epsilon| text(epsilon_short(epsilon)))
    };
    let plain = outputs.iter().map(|output| {
        let [training, evaluation] = spent(output.reserve);
        vec![
            text(minute(output.committed.unwrap_or(output.reserved))),
            text(what(output.slot)),
            text(bytes(output.bytes)),
            text(format!("{} and {}", output.reserve, output.commit)),
            training,
            evaluation,
        ]
    });
    // Masked vectors, those that ended in no sum included: they left as well.
    let sums = |slot: Slot, attempt: u32, session| {
        let of_it = |sum: &&SumLine| sum.slot == slot && sum.attempt == attempt && sum.session == session;
        sound.sums.iter().find(of_it).filter(|sum| sum.survivors.iter().any(|line| line.site == site.name))
    };
    let masked = site.ledger.iter().flat_map(|ledger| ledger.masked(&audited.study.digest));
    let masked = masked.map(|(entry, masked)| {
        let slot =
            if masked.earmark == 0 { Slot::Round(masked.step) } else { Slot::Grouping(masked.earmark) };
        let end = match sums(slot, masked.attempt, masked.session) {
            Some(sum) => format!("in the sum of {} sites", sum.survivors.len() + sum.lost.len()),
            None => "in no sum".to_owned(),
        };
        let [training, evaluation] = spent(masked.reserve);
        vec![
            text(minute(masked.time)),
            text(format!("masked {}, attempt {}", what(slot), u64::from(masked.attempt) + 1)),
            text(end),
            text(format!("{} and {entry}", masked.reserve)),
            training,
            evaluation,
        ]
    });
    let rows: Vec<_> = plain.chain(masked).collect();
    let to_whom = match audited.study.privacy.mode {
        Mode::Local => {
            "To the coordinator, which averages the updates and passes the averages on to the sites. Every line \
             carries noise; no record and no exact count left."
        }
        Mode::Distributed { .. } => {
            "To the coordinator, behind masks that cancel only in the sum over all sites of an attempt: it can read \
             the sums and nothing of one site. Every sum carries noise; no record and no exact count left."
        }
    };
    let mechanisms = all(marks.iter().map(|mark| {
        fill(
            "<li>{}: {}, declared {} times, paid by {}</li>",
            &[
                &mark.name,
                &words(&mark.event),
                &mark.event.count(),
                &match mark.account {
                    Account::Training => "training people",
                    Account::Evaluation => "evaluation people",
                    Account::Both => "everybody",
                },
            ],
        )
    }));
    fill(
        "<h3>What left the hospital</h3>\
         <p>{} Under the hospital’s approval by {}.</p>{}\
         <p class=\"quiet\">Entries: the reserve before the data were read, and the commit to the exact bytes. ε so \
         far: by Rényi accounting (rdp), an upper bound, some per cent above the figures under “What it cost” where \
         these are by pld; failed attempts included.</p>\
         <details open><summary>The mechanisms</summary><ul>{}</ul></details>",
        &[
            &to_whom,
            &under,
            &table(
                &[
                    "When",
                    "What",
                    "Size, or where it ended",
                    "Entries",
                    "ε so far, training people",
                    "ε so far, evaluation people",
                ],
                rows,
            ),
            &mechanisms,
        ],
    )
}

/// What training and evaluation people had paid right after each reserve or release, by its index.
fn spent_until(audited: &Audited<'_>, site: &SiteReport) -> BTreeMap<u64, [f64; 2]> {
    let (Some(ledger), delta) = (&site.ledger, audited.study.privacy.delta) else { return BTreeMap::new() };
    let marks = earmarks(audited.study);
    let mut burnt = vec![0_u64; marks.len()];
    let mut spent = BTreeMap::new();
    let study = &audited.study.digest;
    let burns = ledger.burns(study).map(|(index, burn)| (index, burn.earmark, burn.count));
    let blocks = ledger.blocks(study).map(|(index, block)| (index, block.earmark, block.count));
    for (index, earmark, count) in burns.chain(blocks) {
        burnt[earmark as usize] += count;
        let of = |role: Role| {
            let events: Vec<_> = marks
                .iter()
                .zip(&burnt)
                .filter(|(mark, count)| mark.account.is_paid_by(role) && **count > 0)
                .map(|(mark, count)| mark.event.with_count(*count))
                .collect();
            epsilon_by(Accountant::Rdp, &events, delta)
                .expect("the ledger was replayed: its events are priced")
        };
        spent.insert(index, Role::ALL.map(of));
    }
    spent
}

fn refusals(site: &SiteReport) -> Html {
    if site.history.refusals.is_empty() {
        return Html::raw("<p>No request, as far as the ledger goes back.</p>");
    }
    let rows = site.history.refusals.iter().map(|refused| {
        let study = refused.study.map_or_else(|| "–".to_owned(), |study| study.short());
        vec![
            text(refused.time.day().to_string()),
            fill("<code>{}</code>", &[&refused.rule]),
            text(study),
            text(refused.count.to_string()),
            text(refused.entry.to_string()),
        ]
    });
    table(&["Day", "Rule that refused", "Study", "Requests", "Entry"], rows)
}

fn policies(site: &SiteReport) -> Html {
    let rows = site.history.policies.iter().map(|policy| {
        let caps = &policy.caps;
        vec![
            text(minute(policy.time)),
            text(caps.epsilon_per_study.to_string()),
            text(caps.epsilon_total.to_string()),
            text(caps.delta.to_string()),
            text(caps.noise_multiplier_min.to_string()),
            text(caps.sampling_rate_max.to_string()),
            text(caps.steps_max.to_string()),
            fill("<code>{}</code>", &[&caps.policy.short()]),
        ]
    });
    let heads = [
        "From",
        "ε, one study",
        "ε, all studies",
        "δ",
        "Least noise",
        "Largest sample",
        "Most steps",
        "Policy file",
    ];
    table(&heads, rows)
}
