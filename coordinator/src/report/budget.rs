//! What each person paid, site by site.

use super::ReportData;
use super::figures::{self, Bar};
use crate::metrics::SitePrivacy;
use consilium_common::report::figures::{epsilon_short, one_in, trimmed};
use consilium_common::report::html::{Html, all, fill};
use consilium_common::study::{Mode, SplitBy};

pub(super) fn section(data: &ReportData) -> Html {
    let bars: Vec<Bar> = data.metrics.privacy.sites.iter().flat_map(|site| bars(data, site)).collect();
    let accounts = match data.study.split.by {
        SplitBy::SiteHash => Html::raw(
            "<p>A person’s role, training or evaluation, is fixed for the whole dataset, the same in every \
             study. Nobody has both, so a person pays the larger of the two, not the sum.</p>",
        ),
        SplitBy::Column { .. } => Html::raw(
            "<p>This study takes a person’s role from a column of the table. Nothing keeps people in one \
             role over several studies, so everybody is charged for both.</p>",
        ),
    };
    fill(
        "<section id=\"budget\"><h2>Privacy budget, site by site</h2>\
         <p>ε at δ = {}, recomputed from the events in each site’s ledger. A reserved event counts as spent \
         even if nothing came of it.</p>{}\
         <figure>{}<figcaption>{}</figcaption></figure>{}</section>",
        &[&one_in(data.metrics.privacy.delta), &accounts, &figures::budget(&bars), &key(data), &table(data)],
    )
}

fn cap(data: &ReportData, site: &SitePrivacy) -> f64 {
    let own = data.caps.iter().find(|cap| cap.site == site.name);
    own.map_or(data.study.privacy.person_total_max, |cap| cap.epsilon)
}

fn bars(data: &ReportData, site: &SitePrivacy) -> Vec<Bar> {
    let bar = |who, parts| Bar { site: site.name.to_string(), who, parts, cap: cap(data, site) };
    match data.study.split.by {
        SplitBy::SiteHash => vec![
            bar("training people", vec![(site.epsilon_training, "train")]),
            bar("evaluation people", vec![(site.epsilon_evaluation, "evaluate")]),
        ],
        // ε of both together is less than the sum of the two: evaluation gets what it adds.
        SplitBy::Column { .. } => {
            let added = (site.epsilon_person_max - site.epsilon_training).max(0.0);
            vec![bar("everybody", vec![(site.epsilon_training, "train"), (added, "evaluate")])]
        }
    }
}

fn key(data: &ReportData) -> Html {
    let evaluation = match data.study.split.by {
        SplitBy::SiteHash => "spent in evaluation",
        SplitBy::Column { .. } => "added by evaluation",
    };
    fill(
        "<ul class=\"keys\"><li><i class=\"train\"></i> spent in training</li>\
         <li><i class=\"evaluate\"></i> {}</li><li><i class=\"left\"></i> left under the cap</li></ul>",
        &[&evaluation],
    )
}

fn table(data: &ReportData) -> Html {
    let three = data.metrics.privacy.sites.iter().any(|site| site.epsilon_three_hospitals.is_some());
    let row = |site: &SitePrivacy| {
        let cap = cap(data, site);
        let last = if three {
            fill("<td>{}</td>", &[&site.epsilon_three_hospitals.map_or("–".into(), epsilon_short)])
        } else {
            Html::none()
        };
        fill(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td>{}</tr>",
            &[
                &site.name.to_string(),
                &epsilon_short(site.epsilon_training),
                &epsilon_short(site.epsilon_evaluation),
                &epsilon_short(site.epsilon_person_max),
                &trimmed(cap),
                &left(cap - site.epsilon_person_max),
                &site.steps,
                &epsilon_short(site.epsilon_two_hospitals),
                &last,
            ],
        )
    };
    let last = if three { Html::raw("<th scope=\"col\">… and at three</th>") } else { Html::none() };
    fill(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Site</th><th scope=\"col\">ε, training</th>\
         <th scope=\"col\">ε, evaluation</th><th scope=\"col\">ε of a person, at most</th>\
         <th scope=\"col\">Cap</th><th scope=\"col\">Left</th><th scope=\"col\">Training steps charged</th>\
         <th scope=\"col\">ε of a person known here and at another site</th>{}</tr></thead>\
         <tbody>{}</tbody></table></div>\
         <p class=\"quiet\">A person known to several sites is a different person to each, and {}. \
         The last columns are for the worst mix of roles.</p>",
        &[
            &last,
            &all(data.metrics.privacy.sites.iter().map(row)),
            &match data.study.privacy.mode {
                Mode::Local => "pays at each",
                Mode::Distributed { .. } => "is in the same sums several times, under the noise of one",
            },
        ],
    )
}

/// Rounded down: what is left is never overstated.
fn left(value: f64) -> String {
    format!("{:.2}", ((value + 1e-9) * 100.0).floor().max(0.0) / 100.0)
}
