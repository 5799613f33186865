//! The lay summary: short words and sentences, for a reader of about eleven. Comes first.

use super::{Odds, ReportData, View};
use crate::metrics::Of;
use consilium_common::report::figures::{counted, epsilon_short, listed, one_in, percent};
use consilium_common::report::html::{Html, all, each, fill};
use consilium_common::study::{Mode, SplitBy};

pub(super) fn section(data: &ReportData) -> Html {
    fill(
        "<section id=\"lay\" class=\"lay\"><h2>In plain words</h2>{}{}{}{}{}{}{}{}</section>",
        &[
            &paragraphs(&data.study.governance.lay_summary),
            &what_was_done(data),
            &how_well(data),
            &written_down(data),
            &uses(data),
            &privacy(data),
            &limits(data),
            &changed(data),
        ],
    )
}

/// Blank lines part paragraphs; single line ends do not matter.
pub(super) fn paragraphs(text: &str) -> Html {
    each("<p>{}</p>", text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()))
}

/// `self_harm` as “self harm”; of several predictions each.
fn outcome(data: &ReportData) -> String {
    let words = |view: &View| match &view.of {
        Some(of) => format!("“{}”", of.predicted_words()),
        None => format!("“{}”", data.study.tasks[0].name.replace('_', " ")),
    };
    let mut named: Vec<String> = data.views.iter().map(words).collect();
    // Views of one prediction stand side by side.
    named.dedup();
    listed(&named)
}

fn what_was_done(data: &ReportData) -> Html {
    let sites: Vec<String> = data.metrics.sites.iter().map(ToString::to_string).collect();
    let absent = data.study.sites.len().saturating_sub(sites.len());
    let others = match absent {
        0 => Html::none(),
        n => fill(
            " {} asked and took no part (<a href=\"#who\">who decided what</a>).",
            &[&if n == 1 { "One more hospital was".to_owned() } else { format!("{n} more hospitals were") }],
        ),
    };
    fill(
        "<h3>What was done</h3>\
         <p>{} made one computer model together: {}. Each of them first said yes to this exact study.{} \
         The model looks at a few facts in a health record. It then says how likely it is that {} \
         will be found. That is the only thing it says.</p>\
         <p><strong>No record left a hospital.</strong> {}</p>\
         <p>Where the records came from: {}</p>",
        &[
            &counted(sites.len(), "hospital", "hospitals"),
            &listed(&sites),
            &others,
            &outcome(data),
            &sent(data),
            &data.data_source,
        ],
    )
}

fn sent(data: &ReportData) -> &'static str {
    match data.study.privacy.mode {
        Mode::Local => {
            "Each hospital trained the model in its own building. It sent out only numbers, and it blurred those \
             numbers first."
        }
        Mode::Distributed { .. } => {
            "Each hospital worked in its own building. It sent out only numbers, blurred and scrambled. Nobody can \
             read what one hospital sent. Only when many hospitals’ numbers are added up does the scrambling fall \
             away, and the blur stays."
        }
    }
}

fn how_well(data: &ReportData) -> Html {
    let stopped = data.stopped.as_ref();
    let body = if data.is_evaluated() {
        all(data.views.iter().map(|view| how_well_of(data, view)))
    } else {
        fill("<p>{}</p>", &[&super::not_evaluated(stopped)])
    };
    let early =
        stopped.filter(|_| data.is_evaluated()).map(|stopped| fill("<p>{}</p>", &[&stopped.to_string()]));
    fill("<h3>How well does it work?</h3>{}{}", &[&body, &early.unwrap_or_else(Html::none)])
}

/// Of one prediction, which is named where there are several.
fn how_well_of(data: &ReportData, view: &View) -> Html {
    let in_100 = |share: f64| format!("{:.0}", share * 100.0);
    let on = data.tested_on(view.of.as_ref()).map_or_else(String::new, |on| format!(", tested on {on}"));
    let about = |of: &Of| fill("<strong>{}{}:</strong> ", &[&of.predicted_words(), &on]);
    let about = view.of.as_ref().map_or_else(Html::none, about);
    let model = data.released(view.of.as_ref());
    match model.and_then(|model| model.auroc.zip(model.auroc_interval).map(|a| (model, a))) {
        None => fill("<p>{}There were too few people to say.</p>", &[&about]),
        Some((model, _)) if model.too_few_people => fill(
            "<p>{}There were too few people to say. So few were there to test it on that a figure could be luck. What was \
             measured, and how far off it may be, is under <a href=\"#results\">Results</a>.</p>",
            &[&about],
        ),
        Some((_, (auroc, [low, high]))) => fill(
            "<p>{}Think of two people. It happened to one of them, and not to the other. The model gives \
             the first one the higher number about <strong>{} times in 100</strong>. Tossing a coin \
             would get 50. The true figure is probably between {} and {}.</p>",
            &[&about, &in_100(auroc), &in_100(low), &in_100(high)],
        ),
    }
}

/// What was counted beside the model: how often something is written down.
fn written_down(data: &ReportData) -> Html {
    let lines = data.metrics.completeness.iter().filter_map(|of| {
        let (share, [low, high]) = of.recorded_share.zip(of.interval)?;
        let in_100 = |share: f64| format!("{:.0}", share * 100.0);
        Some(fill(
            "<p>The hospitals also counted how often “{}” is written down: for about <strong>{} people in 100</strong> \
             (between {} and {}). They counted nothing else about it.</p>",
            &[&of.attribute.replace('_', " "), &in_100(share), &in_100(low), &in_100(high)],
        ))
    });
    all(lines)
}

fn uses(data: &ReportData) -> Html {
    let intended = &data.study.intended_use;
    fill(
        "<div class=\"two\"><div><h3>What the model may be used for</h3><p>{}</p>\
         <p>It gives a number for planning and research. It is never a label for one person.</p></div>\
         <div><h3>What it must not be used for</h3><ul class=\"never\">{}</ul></div></div>",
        &[&intended.statement, &each("<li>{}</li>", intended.prohibited.iter())],
    )
}

fn privacy(data: &ReportData) -> Html {
    let privacy = &data.metrics.privacy;
    let largest = |of: fn(&crate::metrics::SitePrivacy) -> Option<f64>| {
        privacy.sites.iter().filter_map(of).reduce(f64::max)
    };
    let mut rows = vec![("one of these hospitals", privacy.epsilon)];
    rows.extend(largest(|s| Some(s.epsilon_two_hospitals)).map(|e| ("two of them", e)));
    rows.extend(largest(|s| s.epsilon_three_hospitals).map(|e| ("three of them", e)));
    let row = |(known, value): (&str, f64)| {
        let odds = Odds::of(value, privacy.delta);
        let limit = if odds.no_practical_limit() { Html::raw(": no practical limit") } else { Html::none() };
        fill(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}{}</td></tr>",
            &[
                &known,
                &epsilon_short(value),
                &percent(odds.right_guess),
                &percent(odds.from_one_percent),
                &percent(odds.found),
                &limit,
            ],
        )
    };
    let roles = match data.study.split.by {
        SplitBy::SiteHash => Html::none(),
        SplitBy::Column { .. } => {
            Html::raw(" In this study everybody pays for training and for testing, so the two are added up.")
        }
    };
    fill(
        "<h3>What privacy means here</h3>\
         <p>Each hospital added random blur to its numbers. The blur hides whether any one person’s \
         record was used. How much it hides is measured by a number, ε (say “epsilon”). A smaller ε \
         hides more. Here it is at most <strong>{}</strong>.{}</p>\
         <p>Suppose that somebody clever sees everything that was sent out, and knows everybody else’s \
         record. This is the most that they could find out about you:</p>\
         <div class=\"scroll\"><table><thead><tr><th scope=\"col\">You are known to</th>\
         <th scope=\"col\">ε</th>\
         <th scope=\"col\">If they think it is 50:50 that you are in the data, they guess right</th>\
         <th scope=\"col\">If they are 1% sure that you are in it, they can become</th>\
         <th scope=\"col\">If they may be wrong about 1 in 100 people, they find this many of those in \
         the data</th></tr></thead><tbody>{}</tbody></table></div>\
         <p>Each figure is a limit: “at most”. There is a chance of {} that the blur hides less than \
         this (it is called δ, “delta”).</p>",
        &[&epsilon_short(privacy.epsilon), &roles, &all(rows.into_iter().map(row)), &one_in(privacy.delta)],
    )
}

fn limits(data: &ReportData) -> Html {
    let together = match data.study.privacy.mode {
        Mode::Local => Html::none(),
        Mode::Distributed { colluding } => fill(
            "<li>Nobody has to trust the people who add the numbers up. But if more than {} of the hospitals \
             secretly helped them, the blur would hide less than the table says.</li>",
            &[&colluding.to_string()],
        ),
    };
    let list = Html::raw(
        "<h3>What is not protected</h3><ul>\
         <li>Everybody can know that these hospitals took part, and when.</li>\
         <li>What the model shows about people in general is not secret. It may be true of you, even \
         if your record was never used.</li>\
         <li>If several of these hospitals know you, your protection is weaker. The table shows it.</li>\
         <li>A hospital could send wrong numbers and spoil the model. This would not show anybody’s \
         record.</li>\
         <li>Each hospital’s program writes down what it did, in a way that shows later changes. It cannot \
         prove that the program itself was honest.</li>",
    );
    let late = if data.is_sampled() {
        Html::raw(
            "<li>When a hospital draws an unusually large group by chance, its answer may come a little \
             later. This tells how large the group was, not who is in it.</li>",
        )
    } else {
        Html::none()
    };
    let opted_out = if data.study.governance.opt_outs.is_empty() {
        Html::none()
    } else {
        Html::raw(
            "<li>Whoever said no was left out from the next step on. What was published before was not taken back: \
             the blur means that it would have been almost the same without them.</li>",
        )
    };
    fill("{}{}{}{}</ul>", &[&list, &late, &together, &opted_out])
}

fn changed(data: &ReportData) -> Html {
    let changes = data.study.governance.approvals.iter().filter_map(|approval| {
        let changed = approval.changed.as_ref()?;
        Some(fill(
            "<li>{} <span class=\"quiet\">({}, {})</span></li>",
            &[changed, &super::governance::body(&approval.kind), &approval.reference],
        ))
    });
    let changes: Vec<Html> = changes.collect();
    if changes.is_empty() {
        return Html::raw(
            "<h3>What people outside changed</h3><p>No panel’s change to this study is on record.</p>",
        );
    }
    fill("<h3>What people outside changed</h3><ul>{}</ul>", &[&all(changes)])
}
