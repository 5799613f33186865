//! Plain words first: short sentences for a reader who never met ε.

use super::Audited;
use super::table::table;
use consilium_common::ledger::rules::Slot;
use consilium_common::privacy::odds::Odds;
use consilium_common::report::figures::{counted, epsilon_short, one_in, percent};
use consilium_common::report::html::{Html, Part, all, fill, text};
use consilium_common::study::Mode;

pub(super) fn section(audited: &Audited<'_>) -> Html {
    let body = match audited.sound {
        None => broken(audited),
        Some(_) => all([happened(audited), protection(audited), not_protected(audited)]),
    };
    fill("<section class=\"lay\"><h2>In plain words</h2>{}</section>", &[&body])
}

fn broken(audited: &Audited<'_>) -> Html {
    fill(
        "<p class=\"warning\"><strong>These records do not hold together.</strong> {} found, listed below. \
         Until it is explained, nothing that this bundle says about privacy can be relied on. No budget is \
         printed here, because it would mean nothing.</p>",
        &[&counted(audited.report.findings.len(), "problem was", "problems were")],
    )
}

fn happened(audited: &Audited<'_>) -> Html {
    let report = audited.report;
    let refused: u64 = report.sites.iter().map(Audited::refused).sum();
    let declined = report.decisions.len().saturating_sub(report.sites.len());
    let keys = if report.keys_are_pinned() {
        Html::raw("")
    } else {
        Html::raw(
            " One thing is taken on trust: the keys that the signatures were checked with came with the \
             records. Compare them with the hospitals themselves (last section).",
        )
    };
    let made = if report.rounds == 0 {
        "took part in a study that stopped before its first round, so that no model was made,"
    } else {
        "made one computer model,"
    };
    fill(
        "<p><strong>These records hold together.</strong> {} {} “{}”, and each wrote \
         down what it sent. We checked every signature and every line of those records, and computed the \
         model again from what the hospitals sent.{}</p>\
         <ul><li><strong>Who said yes:</strong> {}, to exactly this study, before anything was sent.{}</li>\
         <li><strong>What left the hospitals:</strong> {}. No record of a person is among them.</li>\
         <li><strong>What was refused:</strong> {}.</li></ul>",
        &[
            &counted(report.sites.len(), "hospital", "hospitals"),
            &made,
            &audited.study.title,
            &keys,
            &counted(report.sites.len(), "hospital", "hospitals"),
            &match declined {
                0 => String::new(),
                n => format!(
                    " {} and did not take part.",
                    counted(n, "other hospital answered", "other hospitals answered")
                ),
            },
            &what_left(audited),
            &match refused {
                0 => "no request, as far as these records go back".to_owned(),
                n => counted(usize::try_from(n).unwrap_or(usize::MAX), "request", "requests"),
            },
        ],
    )
}

fn what_left(audited: &Audited<'_>) -> String {
    let Some(sound) = audited.sound else { return String::new() };
    let training = |slot: &Slot| matches!(slot, Slot::Round(_));
    let of = |slots: Vec<Slot>| {
        let updates = slots.iter().filter(|slot| training(slot)).count();
        (updates, slots.len() - updates)
    };
    match audited.study.privacy.mode {
        Mode::Local => {
            let (updates, tables) = of(sound.outputs.iter().map(|output| output.slot).collect());
            format!(
                "{} for training and {} for testing the model. Each holds only numbers, and random noise was added \
                 to each",
                counted(updates, "message", "messages"),
                counted(tables, "table of counts", "tables of counts")
            )
        }
        Mode::Distributed { .. } => {
            let (steps, tables) = of(sound.sums.iter().map(|sum| sum.slot).collect());
            if steps + tables == 0 {
                return "nothing that anybody could read: no sum over the hospitals was made".to_owned();
            }
            format!(
                "scrambled numbers that nobody can read by themselves. Only {} for training and {} for testing the \
                 model could be read, each added up over the hospitals, with random noise in it",
                counted(steps, "sum", "sums"),
                counted(tables, "table of counts", "tables of counts")
            )
        }
    }
}

fn protection(audited: &Audited<'_>) -> Html {
    let Some(sound) = audited.sound else { return Html::default() };
    let budget = &sound.budget;
    let rows = [
        ("one of these hospitals", Some(budget.epsilon_person_max)),
        ("two of them", budget.epsilon_two_hospitals),
        ("three of them", budget.epsilon_three_hospitals),
    ];
    let row = |known: &str, epsilon: f64| {
        let odds = Odds::of(epsilon, budget.delta);
        let limit = if odds.no_practical_limit() { ": no practical limit" } else { "" };
        vec![
            text(known),
            text(epsilon_short(epsilon)),
            text(percent(odds.right_guess)),
            text(percent(odds.from_one_percent)),
            text(format!("{}{limit}", percent(odds.found))),
        ]
    };
    let weak = Odds::of(budget.epsilon_person_max, budget.delta).no_practical_limit();
    fill(
        "<h3>What that protects</h3>\
         <p>The noise hides whether any one person’s record was used. Suppose that somebody clever sees \
         everything that was sent, and knows everybody else’s record. This is the most that they could find \
         out about you:</p>{}\
         <p class=\"quiet\">Each figure means “at most”. ε (say “epsilon”) measures how much the noise lets \
         through; smaller is better. The chance that it hides less than this is {} (δ, “delta”).</p>{}",
        &[
            &table(
                &[
                    "You are known to",
                    "ε",
                    "If they think it is 50:50 that you are in the data, they guess right",
                    "If they are 1% sure that you are in it, they can become",
                    "If they may be wrong about 1 in 100 people, they find this many of those in the data",
                ],
                rows.into_iter().filter_map(|(known, epsilon)| Some(row(known, epsilon?))),
            ),
            &one_in(budget.delta),
            &if weak {
                Html::raw(
                    "<p class=\"warning\">This is weak protection: the last column is no practical limit.</p>",
                )
            } else {
                Html::default()
            },
        ],
    )
}

fn not_protected(audited: &Audited<'_>) -> Html {
    let together = match audited.study.privacy.mode {
        Mode::Local => Html::raw(""),
        Mode::Distributed { colluding } => fill(
            "<li>Nobody has to trust the coordinator. But if more than {} of the hospitals secretly helped it, the noise \
             that is left would hide less than this page says.</li>",
            &[&u32::from(colluding)],
        ),
    };
    let list = Html::raw(
        "<h3>What is not protected</h3><ul>\
         <li>Everybody can know that these hospitals took part, and when.</li>\
         <li>What the model shows about people in general is not secret. It may be true of you even if your \
         record was never used.</li>\
         <li>Each hospital’s program writes down what it does in a way that shows later changes. It cannot \
         prove that the program was honest.</li>",
    );
    fill("{}{}</ul>", &[&list, &together])
}

/// Paragraphs of somebody's text: blank lines part them.
pub(super) fn paragraphs(words: &str) -> Html {
    let parts = words.split("\n\n").map(str::trim).filter(|part| !part.is_empty());
    all(parts.map(|part| fill("<p>{}</p>", &[&part as &dyn Part])))
}
