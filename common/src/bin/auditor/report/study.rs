//! What was approved, by whom, and who is protected.

use super::Audited;
use super::lay::paragraphs;
use super::page::minute;
use super::table::table;
use consilium_common::protocol::{Decision, Replaced};
use consilium_common::report::figures::{grouped, one_in};
use consilium_common::report::html::{Html, all, fill, text};
use consilium_common::study::bindings::{SideBySide, side_by_side};
use consilium_common::study::describe::held_out;
use consilium_common::study::{Mode, SplitBy};

pub(super) fn section(audited: &Audited<'_>) -> Html {
    all([approved(audited), protected(audited)])
}

fn approved(audited: &Audited<'_>) -> Html {
    let (report, study) = (audited.report, audited.study);
    let (intended, governance) = (&study.intended_use, &study.governance);
    let decisions = report.decisions.iter().map(|approval| {
        let word = match approval.decision {
            Decision::Approve => "approved".to_owned(),
            Decision::Decline { reason } => {
                let reason = serde_json::to_value(reason).expect("a plain name");
                format!("declined ({})", reason.as_str().unwrap_or_default())
            }
        };
        let took_part = report.sites.iter().any(|site| site.name == approval.site);
        let by = if approval.approver.is_empty() { "no name given" } else { &approval.approver };
        vec![
            text(approval.site.as_str()),
            text(word),
            signed_by(by, approval.replaces.as_ref()),
            text(minute(approval.time)),
            text(if took_part { "yes" } else { "no" }),
        ]
    });
    let outside = governance.approvals.iter().map(|approval| {
        vec![
            text(&approval.kind),
            text(&approval.reference),
            text(approval.expires.map_or_else(|| "–".to_owned(), |day| day.to_string())),
            text(approval.changed.as_deref().unwrap_or("–")),
        ]
    });
    let outside = if governance.approvals.is_empty() {
        Html::raw("<p>The study’s file names none.</p>")
    } else {
        table(&["By", "Reference", "Until", "What it changed"], outside)
    };
    let never = all(intended.prohibited.iter().map(|use_| fill("<li>{}</li>", &[use_])));
    fill(
        "<section id=\"approved\"><h2>What was approved, and by whom</h2>\
         <div class=\"quote\">{}</div>\
         <p><strong>For:</strong> {}</p><p><strong>Never for:</strong></p><ul>{}</ul>\
         <p>{} answers for it; purpose “{}”; valid {} to {}. Started by the coordinator at {}.</p>\
         <p class=\"quiet\">Every approval is a signature over this exact file: <code>{}</code></p>\
         <h3>Decisions of the hospitals, signed</h3>{}{}\
         <h3>Approvals by others, as the study’s file names them</h3>{}</section>",
        &[
            &paragraphs(&governance.lay_summary),
            &intended.statement,
            &never,
            &governance.sponsor,
            &governance.permitted_purpose,
            &governance.valid_from.to_string(),
            &governance.valid_until.to_string(),
            &report.started.map_or_else(|| "–".to_owned(), minute),
            &study.digest.to_string(),
            &table(&["Hospital", "Decision", "Signed by", "When", "Took part"], decisions),
            &bindings(audited),
            &outside,
        ],
    )
}

/// How the hospitals that approved fill in what the study asks of each, side by side and word for word.
fn bindings(audited: &Audited<'_>) -> Html {
    let approved: Vec<(&str, Option<&str>)> = audited
        .report
        .decisions
        .iter()
        .filter(|approval| approval.decision == Decision::Approve)
        .map(|approval| (approval.site.as_str(), approval.bindings.as_deref()))
        .collect();
    let all_bindings = side_by_side(audited.study, &approved);
    if all_bindings.is_empty() {
        return Html::default();
    }
    let one = |row: &SideBySide| {
        let sites = row.sites.iter().map(|(site, words)| vec![text(site), text(words)]);
        let sites = table(&["Hospital", "Fills it in as"], sites);
        fill("<p><code>{}</code>: {}</p>{}", &[&row.binding, &row.asked, &sites])
    };
    let word_for_word = |(site, text): &(&str, Option<&str>)| {
        text.map(|text| {
            fill("<details><summary>{}, word for word</summary><pre>{}</pre></details>", &[site, &text])
        })
    };
    fill(
        "<h3>What each hospital filled in, signed with its approval</h3>{}{}",
        &[&all(all_bindings.iter().map(one)), &all(approved.iter().filter_map(word_for_word))],
    )
}

/// Who signed, and in whose place.
fn signed_by(by: &str, replaced: Option<&Replaced>) -> Html {
    let Some(before) = replaced else { return text(by) };
    let word = if before.decision == Decision::Approve { "approved" } else { "declined" };
    let whom = if before.approver.is_empty() { "no name given" } else { &before.approver };
    fill(
        "{}<br><span class=\"quiet\">before: {} by {}, {}</span>",
        &[&by, &word, &whom, &minute(before.time)],
    )
}

fn protected(audited: &Audited<'_>) -> Html {
    let study = audited.study;
    let roles = match study.split.by {
        SplitBy::SiteHash => {
            "A person trains or evaluates, never both: the role comes from the hospital’s own secret key and is \
             the same in every study. A person pays the larger of the two accounts."
        }
        SplitBy::Column { .. } => {
            "The role comes from a column of the table. Nothing keeps people in one role over several studies, \
             so everybody is charged for both accounts."
        }
    };
    let against = match study.privacy.mode {
        Mode::Local => {
            "everybody outside the hospital: each hospital’s own noise suffices, so that neither the \
                        coordinator nor another hospital has to be trusted"
                .to_owned()
        }
        Mode::Distributed { colluding } => format!(
            "everybody outside the hospital, the coordinator together with up to {colluding} of the other hospitals \
             included (n_C): hospitals add shares of one noise, and the coordinator can read sums over at least {} of \
             them (t)",
            study.privacy.training.quorum
        ),
    };
    let rows = study.sites.iter().map(|site| {
        vec![
            text(site.name.as_str()),
            text(grouped(site.people_public as f64)),
            text(format!("{:.2}", f64::from(site.weight) / 65_536.0)),
        ]
    });
    let held_out = held_out(study).map(|words| {
        fill("<dt>Held out by time</dt><dd>{}; agents do this, and no ledger proves it</dd>", &[&words])
    });
    fill(
        "<section id=\"who\"><h2>Who is protected</h2>\
         <dl class=\"facts\"><dt>Unit</dt><dd>one person at one hospital, with all their records and visits together</dd>\
         <dt>Neighbours</dt><dd>add or remove one person</dd>\
         <dt>Against whom</dt><dd>{}</dd>\
         <dt>Over what</dt><dd>everything that the hospital sends for the study; the hospital’s cap over all studies \
         on the same people is in its own section</dd>\
         <dt>δ</dt><dd>{}</dd><dt>Two accounts</dt><dd>{}</dd>{}</dl>{}</section>",
        &[
            &against,
            &one_in(study.privacy.delta),
            &roles,
            &all(held_out),
            &table(&["Hospital", "People, as published", "Weight in the average"], rows),
        ],
    )
}
