//! Who answers for the study, who decided what, and what the model is for, word for word.

use super::{ReportData, SiteDecision, lay};
use consilium_common::protocol::DeclineReason;
use consilium_common::report::html::{Html, all, each, fill};
use consilium_common::study::GovernanceApproval;
use consilium_common::study::bindings::{SideBySide, side_by_side};

pub(super) fn section(data: &ReportData) -> Html {
    fill(
        "<section id=\"who\"><h2>Who decided, and what for</h2>{}{}{}{}{}{}</section>",
        &[
            &intended_use(data),
            &sites(data),
            &bindings(data),
            &refusals(data),
            &bodies(data),
            &narrative(data),
        ],
    )
}

fn intended_use(data: &ReportData) -> Html {
    let intended = &data.study.intended_use;
    fill(
        "<h3>Intended use, as the sites approved it</h3><blockquote>{}</blockquote>\
         <dl class=\"facts\"><dt>For</dt><dd>{}</dd><dt>Never for</dt><dd><ul class=\"never\">{}</ul></dd>\
         <dt>Why</dt><dd>{}</dd></dl>",
        &[
            &lay::paragraphs(&intended.statement),
            &intended.users.join("; "),
            &each("<li>{}</li>", intended.prohibited.iter()),
            &lay::paragraphs(&intended.rationale),
        ],
    )
}

fn sites(data: &ReportData) -> Html {
    let row = |decision: &SiteDecision| {
        let took_part = data.metrics.sites.contains(&decision.site);
        let (answer, why, who, when) = match &decision.answer {
            None => ("no answer", Html::none(), String::new(), String::new()),
            Some(answer) => {
                let why = answer.declined.map_or_else(Html::none, |reason| {
                    fill("{} <code>{}</code>", &[&reason_words(reason), &reason_code(reason)])
                });
                let word = if answer.declined.is_some() { "declined" } else { "approved" };
                (word, why, answer.approver.clone(), answer.time.day().to_string())
            }
        };
        fill(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td class=\"day\">{}</td><td>{}</td></tr>",
            &[&decision.site.to_string(), &answer, &why, &who, &when, &if took_part { "yes" } else { "no" }],
        )
    };
    fill(
        "<h3>What each hospital decided</h3><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">Site</th><th scope=\"col\">Decision</th><th scope=\"col\">Why not</th>\
         <th scope=\"col\">Signed by</th><th scope=\"col\">Day (UTC)</th><th scope=\"col\">Took part</th>\
         </tr></thead><tbody>{}</tbody></table></div>\
         <p class=\"quiet\">Each decision is signed and binds the study file’s exact bytes: <code>{}</code>. \
         Of a hospital that declines, only a code leaves it.</p>",
        &[&all(data.decisions.iter().map(row)), &data.study.digest.to_string()],
    )
}

/// How the hospitals that approved fill in what the study asks of each, side by side.
fn bindings(data: &ReportData) -> Html {
    let approved: Vec<(&str, Option<&str>)> = data
        .decisions
        .iter()
        .filter_map(|decision| Some((decision.site.as_str(), decision.answer.as_ref()?)))
        .filter(|(_, answer)| answer.declined.is_none())
        .map(|(site, answer)| (site, answer.bindings.as_deref()))
        .collect();
    let all_bindings = side_by_side(&data.study, &approved);
    if all_bindings.is_empty() {
        return Html::none();
    }
    let one = |row: &SideBySide| {
        let site = |(site, words): &(String, String)| {
            fill("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", &[site, words])
        };
        fill(
            "<p><code>{}</code>: {}</p><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Site</th>\
             <th scope=\"col\">Fills it in as</th></tr></thead><tbody>{}</tbody></table></div>",
            &[&row.binding, &row.asked, &all(row.sites.iter().map(site))],
        )
    };
    let text = |(site, text): &(&str, Option<&str>)| {
        text.map(|text| {
            fill("<details><summary>{}, word for word</summary><pre>{}</pre></details>", &[site, &text])
        })
    };
    fill(
        "<h3>What each hospital filled in</h3><p class=\"quiet\">Where records differ from hospital to hospital, each says itself \
         where in its own they stand, and signs that with its approval.</p>{}{}",
        &[&all(all_bindings.iter().map(one)), &all(approved.iter().filter_map(text))],
    )
}

fn refusals(data: &ReportData) -> Html {
    if data.refusals.is_empty() {
        return Html::raw(
            "<h3>Refused requests</h3><p>No site’s ledger holds a refusal of a request of this study.</p>",
        );
    }
    let rows = data.refusals.iter().map(|refused| {
        fill(
            "<tr><th scope=\"row\">{}</th><td><code>{}</code>{}</td><td>{}</td></tr>",
            &[
                &refused.site.to_string(),
                &refused.rule,
                &if refused.of_study { "" } else { " (a request for no study that it knew)" },
                &refused.count,
            ],
        )
    });
    fill(
        "<h3>Refused requests</h3>\
         <p>From the sites’ own ledgers in the bundle, where each site signed them. A site writes one entry \
         per rule and day; requests after it are counted in the next day’s.</p><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Site</th>\
         <th scope=\"col\">Rule</th><th scope=\"col\">Times</th></tr></thead><tbody>{}</tbody></table></div>",
        &[&all(rows)],
    )
}

fn bodies(data: &ReportData) -> Html {
    let governance = &data.study.governance;
    let row = |approval: &GovernanceApproval| {
        fill(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"day\">{}</td><td>{}</td></tr>",
            &[
                &body(&approval.kind),
                &approval.reference,
                &approval.expires.map_or_else(|| "no end given".into(), |day| day.to_string()),
                &approval.changed.as_deref().unwrap_or("nothing on record"),
            ],
        )
    };
    let table = if governance.approvals.is_empty() {
        Html::raw("<p>The study file names no approval by a body outside.</p>")
    } else {
        fill(
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Body</th><th scope=\"col\">Reference</th>\
             <th scope=\"col\">Until</th><th scope=\"col\">What it changed</th></tr></thead>\
             <tbody>{}</tbody></table></div>",
            &[&all(governance.approvals.iter().map(row))],
        )
    };
    fill(
        "<h3>Governance</h3><dl class=\"facts\"><dt>Sponsor</dt><dd>{}</dd><dt>Purpose</dt><dd>{}</dd>\
         <dt>Valid</dt><dd>{} to {} (UTC)</dd></dl>{}",
        &[
            &governance.sponsor,
            &governance.permitted_purpose,
            &governance.valid_from.to_string(),
            &governance.valid_until.to_string(),
            &table,
        ],
    )
}

fn narrative(data: &ReportData) -> Html {
    if data.study.report.is_empty() {
        return Html::none();
    }
    let item = |(key, text): &(String, String)| {
        fill("<dt>{}</dt><dd>{}</dd>", &[&key.replace('_', " "), &lay::paragraphs(text)])
    };
    fill(
        "<h3>In the authors’ words</h3><dl class=\"facts\">{}</dl>",
        &[&all(data.study.report.iter().map(item))],
    )
}

/// A body's name for people.
pub(super) fn body(kind: &str) -> String {
    match kind {
        "irb" => "institutional review board".into(),
        "cag" => "confidentiality advisory group".into(),
        "dpo" => "data protection officer".into(),
        "caldicott" => "Caldicott guardian".into(),
        "ppi-panel" => "patient and public involvement panel".into(),
        other => other.replace('-', " "),
    }
}

fn reason_words(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::Policy => "its own policy does not allow it",
        DeclineReason::Budget => "its privacy budget does not cover it",
        DeclineReason::Governance => "its governance bodies said no",
        DeclineReason::Capacity => "it has no capacity now",
        DeclineReason::Other => "another reason, told by other means",
    }
}

fn reason_code(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::Policy => "policy",
        DeclineReason::Budget => "budget",
        DeclineReason::Governance => "governance",
        DeclineReason::Capacity => "capacity",
        DeclineReason::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use consilium_common::study;

    const EXAMPLE: &str = include_str!("../../../common/src/study/testdata/example.toml");
    const BINDINGS: &str = include_str!("../../../common/src/study/testdata/bindings.toml");
    const ANSWER: &str = include_str!("../../../common/src/study/testdata/answer.toml");

    #[test]
    fn what_hospitals_filled_in_stands_side_by_side() {
        let mut data = sample::report();
        assert_eq!(bindings(&data), Html::none(), "a study on plain tables asks for nothing");
        let at = |part: &str| EXAMPLE.find(part).expect("is in the example");
        let (before, after) = (&EXAMPLE[..at("[data]")], &EXAMPLE[at("[subgroups]")..]);
        let between = &EXAMPLE[at("[missing]")..at("[[attribute]]")];
        let text = format!("{before}{BINDINGS}\n{between}{after}");
        data.study = study::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let approved =
            |decision: &&mut SiteDecision| decision.answer.as_ref().is_some_and(|a| a.declined.is_none());
        for decision in data.decisions.iter_mut().filter(approved) {
            decision.answer.as_mut().expect("approved").bindings = Some(ANSWER.to_owned());
        }
        let page = bindings(&data).into_string();
        for part in [
            "What each hospital filled in",
            "<code>psychiatric_stay</code>: Inpatient stay under a mental-health specialty;",
            "<td>any visit with visit_concept_id 9201 that has care_site.place_of_service_concept_id 38004285",
            "<td>left out</td>",
            "word for word</summary><pre>[binding.psychiatric_stay]",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        let approved = data
            .decisions
            .iter()
            .filter(|decision| decision.answer.as_ref().is_some_and(|a| a.declined.is_none()));
        assert_eq!(page.matches("word for word").count(), approved.count());
    }
}
