//! `[data]`, `[[task]]`, `[features]` of plain tables: from a table's cells to a model's inputs. And `[missing]`,
//! `[split]`, `[model]` of all studies.

use super::super::limits::{
    FEATURES_MAX, HIDDEN_LAYERS_MAX, HIDDEN_WIDTH_MAX, LEVELS_MAX, PARAMETERS_MAX, TRAINING_SHARE,
    TRAINING_SHARE_MAX, TRAINING_SHARE_MIN,
};
use super::super::raw::{Ask, Section, Value, ask};
use super::super::{
    Data, Encoding, Feature, FeatureColumn, Missing, ModelFamily, OutcomeColumn, Split, SplitBy, Study,
    TableData, Task, cell,
};
use super::people::distinct;
use super::{Parts, distinct_cells, evaluation, holdout, label, name, section, sections, task};

/// Of a study on plain tables.
pub(super) fn parts(top: &Section<'_>) -> Parts {
    let person_id = data(top);
    let tasks = tasks(top);
    let features = features(top);
    let attributes = evaluation::attributes(top);
    let (tasks, outcomes): (Option<Vec<_>>, Option<Vec<_>>) =
        tasks.map(|both| both.into_iter().unzip()).unzip();
    let (features, of_features): (Option<Vec<_>>, Option<Vec<_>>) =
        features.map(|both| both.into_iter().unzip()).unzip();
    let (attributes, of_attributes): (Option<Vec<_>>, Option<Vec<_>>) =
        attributes.map(|both| both.into_iter().unzip()).unzip();
    let table = || {
        Some(Data::Table(TableData {
            person_id: person_id?,
            outcomes: outcomes?,
            features: of_features?,
            attributes: of_attributes?,
        }))
    };
    Parts { data: table(), tasks, features, attributes }
}

fn data(top: &Section<'_>) -> Option<String> {
    const FORMAT: Ask = ask(
        "format",
        "[\"table\"], plain tables with one row per person, or OMOP records, [\"omop-cdm-5.4\"]",
        r#"format = ["table"]"#,
    );
    const PERSON: Ask = ask("person_id", "the column with a stable pseudonym", r#"person_id = "person_id""#);
    section(top, ask("data", "a table", "[data]"), |section| {
        let format = section.required(FORMAT, |v| v.list(1..=1, |item| item.word(&["table"])));
        let person_id = section.required(PERSON, name);
        format?;
        person_id
    })
}

fn tasks(top: &Section<'_>) -> Option<Vec<(Task, OutcomeColumn)>> {
    const OUTCOME: Ask = ask(
        "outcome",
        "a table of column, positive and negative",
        r#"outcome = { column = "disease", positive = ["1"], negative = ["0"] }"#,
    );
    const COLUMN: Ask = ask("column", "the outcome's column", r#"column = "disease""#);
    const POSITIVE: Ask = ask("positive", "a list of cell texts, at least one", r#"positive = ["1"]"#);
    const NEGATIVE: Ask = ask("negative", "a list of cell texts, at least one", r#"negative = ["0"]"#);
    task::all(top, |section, name| {
        let outcome = self::section(section, OUTCOME, |outcome| {
            let column = outcome.required(COLUMN, super::name);
            let positive = outcome.required(POSITIVE, |v| v.list(1..=LEVELS_MAX, Value::cell));
            let negative = outcome.required(NEGATIVE, |v| {
                let negative = v.list(1..=LEVELS_MAX, Value::cell)?;
                let both: Vec<String> = positive.iter().flatten().chain(&negative).cloned().collect();
                distinct_cells(v, &both)?;
                Some(negative)
            });
            Some(OutcomeColumn { column: column?, positive: positive?, negative: negative? })
        });
        let prevalence_public = task::prevalence(section, Some(1));
        Some((Task { name: name?, prevalence_public: prevalence_public? }, outcome?))
    })
    .and_then(|tasks| tasks.into_iter().collect())
}

fn features(top: &Section<'_>) -> Option<Vec<(Feature, FeatureColumn)>> {
    const COLUMNS: Ask = ask("column", "1 to 4096 tables [[features.column]]", "[[features.column]]");
    section(top, ask("features", "tables [[features.column]]", "[[features.column]]"), |section| {
        section.required(COLUMNS, |value| {
            let mut names = Vec::new();
            let features = sections(value, |section| {
                let feature = feature(section)?;
                distinct(section, "name", &mut names, feature.0.name.clone());
                Some(feature)
            })?;
            if !(1..=FEATURES_MAX).contains(&features.len()) {
                return value.wrong();
            }
            Some(features)
        })
    })
}

pub(super) const RANGE: Ask = ask("range", "[low, high], public numbers, low below high", "range = [18, 90]");

pub(super) fn range(value: &Value<'_>) -> Option<(f64, f64)> {
    let range = value.list(2..=2, |item| item.number(|_| true))?;
    if range[0] < range[1] { Some((range[0], range[1])) } else { value.wrong() }
}

fn feature(section: &Section<'_>) -> Option<(Feature, FeatureColumn)> {
    const COLUMN: Ask = ask("column", "the table's column", r#"column = "age""#);
    const UNIT: Ask = ask("unit", "the unit of the cells", r#"unit = "mmHg""#);
    const MISSING: Ask =
        ask("missing", "a list of cell texts that mean \"not recorded\"", r#"missing = ["0"]"#);
    const LEVELS: Ask = ask(
        "levels",
        "2 to 256 cell texts that differ, the reference level first",
        r#"levels = ["female", "male"]"#,
    );
    let feature = section.required(ask("name", "one word", r#"name = "age""#), label);
    let column = section.required(COLUMN, name);
    let unit = section.optional(UNIT, name);
    let missing_values = section.optional(MISSING, |v| v.list(0..=LEVELS_MAX, Value::cell));
    let range = section.optional(RANGE, range);
    let levels = section.optional(LEVELS, |v| {
        let levels = v.list(2..=LEVELS_MAX, Value::cell)?;
        distinct_cells(v, &levels)?;
        Some(levels)
    });
    let encoding = match (range?, levels?) {
        (Some((low, high)), None) => Some(Encoding::Number { low, high }),
        (None, Some(levels)) => Some(Encoding::Category { levels }),
        (range, _) => {
            let found = if range.is_some() { "both" } else { "neither" };
            let instead = "write range for a number, levels for a category";
            section.wrong("range", "either range or levels", found, instead);
            None
        }
    };
    let column = FeatureColumn { column: column?, missing_values: missing_values?.unwrap_or_default() };
    Some((Feature { name: feature?, unit: unit?, encoding: encoding? }, column))
}

pub(super) fn missing(top: &Section<'_>) -> Option<Missing> {
    const INDICATOR: Ask = ask("indicator", "true or false", "indicator = true");
    const IMPUTE: Ask = ask(
        "impute",
        "\"constant-midrange\": nothing may be imputed from data",
        r#"impute = "constant-midrange""#,
    );
    section(top, ask("missing", "a table", "[missing]"), |section| {
        let indicator = section.required(INDICATOR, Value::boolean);
        let impute = section.required(IMPUTE, |v| v.word(&["constant-midrange"]));
        impute?;
        Some(Missing { indicator: indicator? })
    })
}

pub(super) fn split(top: &Section<'_>) -> Option<Split> {
    const BY: Ask = ask("by", "\"person\": one person is never in both roles", r#"by = "person""#);
    const INTERNAL: Ask = ask(
        "internal",
        "a table with type \"site-hash\" or \"column\"",
        r#"internal = { type = "site-hash" }"#,
    );
    const KIND: Ask = ask("type", "\"site-hash\" or \"column\"", r#"type = "site-hash""#);
    const COLUMN: Ask = ask("column", "the column with the role", r#"column = "split""#);
    const TRAIN: Ask = ask("train", "the cell text of training people", r#"train = "train""#);
    const EVALUATE: Ask =
        ask("evaluate", "the cell text of evaluation people, another than train", r#"evaluate = "test""#);
    const SHARE: Ask = ask("training_share", "a number from 0.05 to 0.95", "training_share = 0.7");
    section(top, ask("split", "a table", "[split]"), |section| {
        let person = section.required(BY, |v| v.word(&["person"]));
        let by = self::section(section, INTERNAL, |internal| {
            match internal.required(KIND, |v| v.word(&["site-hash", "column"])) {
                None => {
                    internal.ignore(&["column", "train", "evaluate"]);
                    None
                }
                Some("site-hash") => Some(SplitBy::SiteHash),
                Some(_) => {
                    let column = internal.required(COLUMN, name);
                    let train = internal.required(TRAIN, Value::cell);
                    let evaluate = internal.required(EVALUATE, |v| {
                        let differs =
                            |text: &String| train.as_ref().is_none_or(|train| !cell::same(train, text));
                        v.cell().filter(differs).or_else(|| v.wrong())
                    });
                    Some(SplitBy::Column { column: column?, train: train?, evaluate: evaluate? })
                }
            }
        });
        let within = |share: f64| (TRAINING_SHARE_MIN..=TRAINING_SHARE_MAX).contains(&share);
        let training_share = section.required(SHARE, |v| {
            let share = v.number(within)?;
            // Bit for bit: the same digits, or another share.
            if by == Some(SplitBy::SiteHash) && share != TRAINING_SHARE {
                let expected = format!(
                    "{TRAINING_SHARE}: with site-hash a person has the same role in every study, so the share is \
                     one for all"
                );
                let instead = format!("write training_share = {TRAINING_SHARE}, or split by a column");
                return v.wrong_because(&expected, &share.to_string(), &instead);
            }
            Some(share)
        });
        let holdout = holdout::read(top, section);
        person?;
        Some(Split { by: by?, training_share: training_share?, holdout: holdout? })
    })
}

/// The model's shape, and what share of people is known to have the outcome.
pub(super) fn model(top: &Section<'_>) -> Option<(ModelFamily, Option<f64>)> {
    const FAMILY: Ask = ask("family", "\"logistic\" or \"mlp\"", r#"family = "logistic""#);
    const HIDDEN: Ask = ask("hidden", "a list of 1 to 8 widths, each from 1 to 4096", "hidden = [16]");
    const WEIGHTS: Ask = ask(
        "class_weights",
        "\"none\": weights computed from data couple persons",
        r#"class_weights = "none""#,
    );
    section(top, ask("model", "a table", "[model]"), |section| {
        let family = section.required(FAMILY, |v| v.word(&["logistic", "mlp"]));
        let class_weights = section.required(WEIGHTS, |v| v.word(&["none"]));
        let family = match family {
            None => {
                section.ignore(&["hidden"]);
                None
            }
            Some("mlp") => {
                let width = |item: &Value<'_>| item.small(1..=HIDDEN_WIDTH_MAX).map(|width| width as usize);
                let hidden = section.required(HIDDEN, |v| v.list(1..=HIDDEN_LAYERS_MAX, width));
                hidden.map(|hidden| ModelFamily::Mlp { hidden })
            }
            Some(_) => {
                const NONE: Ask = ask("hidden", "no hidden layer in a logistic model", r#"family = "mlp""#);
                let none = section.optional(NONE, |v| v.list(0..=0, |_| Some(())));
                none.map(|_| ModelFamily::Logistic)
            }
        };
        let prevalence = section.optional(task::PREVALENCE, task::share);
        class_weights?;
        Some((family?, prevalence?))
    })
}

/// What only shows once all parts are there: a column in two roles, and the model's size.
pub(super) fn check_columns(top: &Section<'_>, study: &Study) {
    if let Data::Table(table) = &study.data {
        let mut roles = vec![("data.person_id", &table.person_id)];
        if let SplitBy::Column { column, .. } = &study.split.by {
            roles.push(("split.internal.column", column));
        }
        let outcomes: Vec<String> =
            (1..=table.outcomes.len()).map(|task| format!("task[{task}].outcome.column")).collect();
        roles.extend(outcomes.iter().map(String::as_str).zip(table.outcomes.iter().map(|one| &one.column)));
        let expected = "a column with no other role";
        for (i, (role, column)) in roles.iter().enumerate() {
            if let Some((other, _)) = roles[..i].iter().find(|(_, before)| before == column) {
                top.wrong(role, expected, &format!("{column:?}, also {other}"), "name another column");
            }
            for (j, _) in table.features.iter().enumerate().filter(|(_, feature)| feature.column == **column)
            {
                let path = format!("features.column[{}].column", j + 1);
                let found = format!("{column:?}, also {role}");
                let instead = if role.starts_with("task") {
                    "a model must not see its own outcome"
                } else {
                    "remove the feature"
                };
                top.wrong(&path, expected, &found, instead);
            }
        }
    }
    let parameters = study.architecture().parameters();
    if parameters > PARAMETERS_MAX {
        let expected = format!("at most {PARAMETERS_MAX} parameters");
        top.wrong("model.hidden", &expected, &parameters.to_string(), "make the layers narrower");
    }
}
