//! What was checked and what was found; what no check can tell; how to check again.

use super::Audited;
use super::table::table;
use crate::verify;
use consilium_common::report::html::{Html, all, fill, text};

pub(super) fn section(audited: &Audited<'_>) -> Html {
    let report = audited.report;
    let verdict = if report.findings.is_empty() {
        Html::raw(
            "<p><strong>The bundle verifies.</strong> All of this was checked, and nothing was found:</p>",
        )
    } else {
        Html::raw("<p class=\"warning\"><strong>The bundle does not verify.</strong> What was found:</p>")
    };
    let findings = report.findings.iter().map(|finding| {
        let entry = finding.entry.map_or_else(String::new, |entry| format!(", entry {entry}"));
        let site = finding.site.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
        vec![text(site), text(finding.kind), text(format!("{}{entry}", finding.file)), text(&finding.what)]
    });
    let body = if report.findings.is_empty() {
        Html::raw(
            "<ul><li>each hospital’s approval and the coordinator’s start: signed, of this exact study file;</li>\
             <li>each hospital’s ledger: every entry hashed into the signed tree head, cosigned by the \
             coordinator, and replayed by the rules: no output without a reserve before it, nothing outside the \
             policy, no sum over a cap;</li>\
             <li>each output: the exact bytes that a ledger committed to, with the noise that was paid for; each \
             secure sum: signed by enough of its sites, and the same in every ledger;</li>\
             <li>each model: computed again, bit for bit, from the updates or sums and the study’s public start;</li>\
             <li>nothing missing, and nothing that does not belong.</li></ul>",
        )
    } else {
        table(&["Site", "Kind", "Where", "What"], findings)
    };
    let notes = if report.notes.is_empty() {
        Html::default()
    } else {
        let notes = all(report.notes.iter().map(|note| fill("<li>{}</li>", &[note])));
        fill("<h3>Allowed, and worth knowing</h3><ul>{}</ul>", &[&notes])
    };
    fill(
        "<section id=\"verdict\"><h2>What was checked</h2>{}{}<p>Keys: {}.</p>{}</section>",
        &[&verdict, &body, &verify::keys(report), &notes],
    )
}

pub(super) fn limits() -> Html {
    Html::raw(
        "<section id=\"limits\"><h2>What is not protected, and what no check can tell</h2><ul>\
         <li><strong>That a hospital takes part</strong>, and so what holds for most of its patients. Noise hides \
         a person, not a population.</li>\
         <li><strong>A person known to several hospitals</strong> is a different person to each and pays more; ε \
         for two and for three hospitals is printed above, at the worst mix of roles.</li>\
         <li><strong>Collusion</strong> in distributed mode of more hospitals with the coordinator than the study’s \
         n_C, or of a coordinator with sites that are not real: hospitals check each other’s keys against it.</li>\
         <li><strong>Public facts</strong>: the study file with its cohort, ranges and groups, the number of people \
         that each site published, the weights, the times of replies.</li>\
         <li><strong>Timing</strong>: an unusually large batch may cost one tick more.</li>\
         <li><strong>Poisoning</strong>: a site could send wrong numbers and spoil the model. That shows nobody’s \
         record.</li>\
         <li><strong>Honesty of an agent</strong>: a ledger proves what an agent recorded, not that the agent was \
         this program, nor that its table held what the hospital thinks, nor that there is no second ledger. A \
         checkpoint that somebody else kept shows a fork (<code>auditor verify --checkpoint</code>).</li>\
         <li><strong>Updates left out</strong>: one that was committed and not used is listed as a note; whether it \
         came late or was left out on purpose cannot be told from a bundle.</li></ul></section>",
    )
}

pub(super) fn yourself(audited: &Audited<'_>) -> Html {
    let report = audited.report;
    let mut rows: Vec<Vec<Html>> = report
        .sites
        .iter()
        .map(|site| {
            let key = fill(
                "<code>{}</code>{}",
                &[&site.key.to_string(), &if site.pinned { " pinned" } else { "" }],
            );
            let root = site.root.map_or_else(|| "–".to_owned(), |root| root.to_string());
            vec![text(site.name.as_str()), key, fill("<code>{}</code>", &[&root])]
        })
        .collect();
    if let Some((key, is_pinned)) = report.coordinator {
        let key = fill("<code>{}</code>{}", &[&key.to_string(), &if is_pinned { " pinned" } else { "" }]);
        rows.push(vec![text("the coordinator"), key, text("–")]);
    }
    fill(
        "<section id=\"yourself\"><h2>Check it yourself</h2>\
         <p>Nobody has to believe this page. With the bundle and the small program <code>auditor</code>, offline:</p>\
         <pre>auditor verify bundle --trust fingerprints.txt\nauditor budget bundle\n\
         auditor trace model.safetensors --bundle bundle</pre>\
         <p>A second program, <code>docs/verify.py</code> (Python and Google’s dp-accounting), reads the ledgers and \
         computes ε without any of our code. The ledgers are C2SP tlog-tiles with signed-note checkpoints: other \
         people’s tools read them. Ask each hospital by telephone for its key and compare:</p>{}</section>",
        &[&table(&["Whose", "Key", "Tree head of the ledger"], rows)],
    )
}
