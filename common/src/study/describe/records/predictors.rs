//! The model's inputs, those of one kind together: a study may have hundreds.

use super::super::super::notes::Notes;
use super::super::super::records::{Covariate, PersonField, RecordTable, Records, SetIndex, Window};
use super::super::super::{Encoding, Feature, Study};
use super::Paragraphs;
use super::words::{column, note_terms, noun, take, window};

pub(super) fn paragraphs(study: &Study, records: &Records) -> Paragraphs {
    let mut lines = Paragraphs::new();
    let all: Vec<(&Feature, &Covariate)> = study.features.iter().zip(&records.covariates).collect();
    for run in all.chunk_by(|before, this| kind(before) == kind(this)) {
        match kind(&run[0]) {
            Kind::Person => lines.extend(run.iter().map(person)),
            Kind::Events(table, cap) => events(&mut lines, records, run, table, cap),
            Kind::Measured(when) => {
                lines.push(("Predictors".to_owned(), format!("measured {}", window(&when))));
                lines.extend(measured(records, run));
            }
            Kind::Noted(when) => lines.extend(noted(records, &when)),
        }
    }
    lines.extend(units(study, records));
    lines
}

/// What is told together.
#[derive(PartialEq)]
enum Kind {
    /// Of the person.
    Person,
    /// Whether or how often, with the bound of a count.
    Events(RecordTable, Option<u32>),
    /// In the same stretch of time.
    Measured(Window),
    /// In notes of the same stretch of time.
    Noted(Window),
}

fn kind((feature, covariate): &(&Feature, &Covariate)) -> Kind {
    let cap = match feature.encoding {
        Encoding::Count { cap } => Some(cap),
        _ => None,
    };
    match covariate {
        Covariate::Age | Covariate::Sex { .. } => Kind::Person,
        Covariate::Present { events, .. } | Covariate::Count { events, .. } => {
            Kind::Events(events.table, cap)
        }
        Covariate::Measured { window, .. } => Kind::Measured(*window),
        Covariate::Noted { window, .. } => Kind::Noted(*window),
    }
}

fn person((feature, covariate): &(&Feature, &Covariate)) -> (String, String) {
    let text = match (&feature.encoding, covariate) {
        (Encoding::Category { levels }, Covariate::Sex { levels: concepts }) => {
            let level = |(level, concepts): (&String, &Vec<i64>)| {
                let concepts: Vec<String> = concepts.iter().map(i64::to_string).collect();
                format!("{level} ({})", concepts.join(" "))
            };
            let levels: Vec<String> = levels.iter().zip(concepts).map(level).collect();
            format!("{} from {}", levels.join(" or "), column(PersonField::Gender))
        }
        (Encoding::Number { low, high }, _) => {
            format!("whole years on the day of the index, limited to {low} to {high}")
        }
        _ => "of the person".to_owned(),
    };
    ("Predictor".to_owned(), format!("{}: {text}", feature.name))
}

/// Sets with the same windows in one paragraph, and one for each of their windows.
fn events(
    lines: &mut Paragraphs,
    records: &Records,
    run: &[(&Feature, &Covariate)],
    table: RecordTable,
    cap: Option<u32>,
) {
    let mut windows: Vec<(Window, String, Vec<SetIndex>)> = Vec::new();
    for (feature, covariate) in run {
        let (Covariate::Present { events, window } | Covariate::Count { events, window }) = covariate else {
            continue;
        };
        let Some(set) = events.set else { continue };
        let own = feature.name.strip_prefix(&records.set(set).name).unwrap_or(&feature.name);
        let own = Some(own.trim_start_matches('_')).filter(|own| !own.is_empty()).unwrap_or(&feature.name);
        match windows.iter_mut().find(|(known, name, _)| known == window && name == own) {
            Some((_, _, sets)) => sets.push(set),
            None => windows.push((*window, own.to_owned(), vec![set])),
        }
    }
    let what = match cap {
        None => format!("whether there is any {}", noun(table)),
        Some(cap) => format!("how many {}s, up to {cap}", noun(table)),
    };
    for alike in windows.chunk_by(|before, this| before.2 == this.2) {
        let sets: Vec<&str> = alike[0].2.iter().map(|set| records.set(*set).name.as_str()).collect();
        lines.push(("Predictors".to_owned(), format!("{what}: {}", sets.join(", "))));
        lines.extend(alike.iter().map(|(when, name, _)| (format!("  {name}"), window(when))));
    }
}

/// One paragraph for each number, with how far it lies outside its normal range.
fn measured<'a>(
    records: &'a Records,
    run: &'a [(&Feature, &Covariate)],
) -> impl Iterator<Item = (String, String)> + 'a {
    run.iter().enumerate().filter_map(move |(i, (feature, covariate))| {
        let Covariate::Measured { events, take, units, plausible, .. } = covariate else { return None };
        let Encoding::Number { low, high } = feature.encoding else { return None };
        let set = events.set.map_or("", |set| &records.set(set).name);
        let from = if events.table == RecordTable::Observation { "observation " } else { "" };
        let mut text = format!(
            "{from}{set}, {}, in {}, limited to {low} to {high}",
            self::take(*take),
            units.join(" or ")
        );
        if let Some((low, high)) = plausible {
            text += &format!("; values below {low} and above {high} are left out");
        }
        let next = run.get(i + 1).filter(|(_, next)| next == covariate);
        if let Some(Encoding::Distance { normal: (low, high), .. }) = next.map(|(next, _)| &next.encoding) {
            text += &format!("; and how far it lies outside {low} to {high}, which is normal");
        }
        Some((format!("  {}", feature.name), text))
    })
}

/// Which notes are read, for what, and that no text leaves.
fn noted(records: &Records, when: &Window) -> Paragraphs {
    const LEAVES: &str = "text never leaves the hospital, nor does a word that is not listed here";
    let Some(notes) = &records.notes else { return Paragraphs::new() };
    let (read, asked): (String, Vec<(String, String)>) = match notes {
        Notes::Lexicon(concepts) => (
            format!(
                "the text of clinical notes is read at this hospital, by its own agent, for the words listed here and no \
                 others; {LEAVES}"
            ),
            concepts.iter().map(|concept| (format!("  {}", concept.name), note_terms(concept))).collect(),
        ),
        Notes::Nlp(sets) => (
            "what a program of this hospital has found in clinical notes is read (table note_nlp), and no text of a \
             note"
                .to_owned(),
            sets.iter().map(|set| ("  Set".to_owned(), records.set(*set).name.clone())).collect(),
        ),
    };
    let inputs = format!(
        "of each, whether any note {} says that the patient has it now, and whether any denies it; what is past, somebody \
         else's, feared or only suspected counts as neither",
        window(when)
    );
    let mut lines = vec![("Clinical notes".to_owned(), read), ("Predictors".to_owned(), inputs)];
    lines.extend(asked);
    lines
}

/// What becomes of values in other units and in none.
fn units(study: &Study, records: &Records) -> Option<(String, String)> {
    let mut any = false;
    let mut accepted = Vec::new();
    for (feature, covariate) in study.features.iter().zip(&records.covariates) {
        if let (Covariate::Measured { unit_missing, .. }, Encoding::Number { .. }) =
            (covariate, &feature.encoding)
        {
            any = true;
            accepted.extend(unit_missing.then_some(feature.name.as_str()));
        }
    }
    let text = if accepted.is_empty() {
        "values in another unit or in none are left out".to_owned()
    } else {
        format!(
            "values in another unit are left out, and those in none, but for {}, where none means that unit",
            accepted.join(", ")
        )
    };
    any.then(|| ("Units".to_owned(), text))
}
