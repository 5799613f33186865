//! `[evaluation]`, `[[attribute]]`, `[subgroups]`, `[disclosure]`, `[report]`.

use super::super::earmarks::TRAINING;
use super::super::limits::{
    BINS_MAX, CELLS_MAX, CROSSED_MAX, GROUPING_NAME_BYTES_MAX, GROUPINGS_MAX, LEVELS_MAX, SITES_MAX,
};
use super::super::raw::{Ask, Section, Value, ask};
use super::super::{
    Attribute, AttributeValues, Data, Disclosure, Evaluation, OVERALL, RosterSite, Study, Subgroups,
};
use super::people::distinct;
use super::{completeness, distinct_cells, label, name, section, sections};

pub(super) fn evaluation(top: &Section<'_>) -> Option<Evaluation> {
    const METRICS: [&str; 8] = [
        "auroc",
        "auprc",
        "brier",
        "calibration_in_the_large",
        "calibration_intercept",
        "calibration_slope",
        "sensitivity_at_top_decile",
        "fpr_at_top_decile",
    ];
    const NAMES: Ask = ask(
        "metrics",
        "a list of auroc, auprc, brier, calibration_in_the_large, calibration_intercept, calibration_slope, \
         sensitivity_at_top_decile, fpr_at_top_decile",
        r#"metrics = ["auroc", "calibration_slope"]"#,
    );
    const BINS: Ask = ask("bins", "a whole number from 2 to 256", "bins = 16");
    const EDGES: Ask = ask(
        "bin_edges",
        "1 to 255 rising probabilities between 0 and 1",
        "bin_edges = [0.05, 0.1, 0.2, 0.5]",
    );
    const RELEASE: Ask = ask("release", "\"dp-score-histogram\"", r#"release = "dp-score-histogram""#);
    const INTERVAL: Ask =
        ask("interval", "\"bootstrap-with-dp-noise\"", r#"interval = "bootstrap-with-dp-noise""#);
    const LEVEL: Ask = ask("level", "a number from 0.5 to 0.999", "level = 0.95");
    section(top, ask("evaluation", "a table", "[evaluation]"), |section| {
        let metrics = section.required(NAMES, |v| {
            let metrics = v.list(1..=METRICS.len(), |item| item.word(&METRICS).map(str::to_owned))?;
            distinct_cells(v, &metrics)?;
            Some(metrics)
        });
        let release = section.required(RELEASE, |v| v.word(&["dp-score-histogram"]));
        let interval = section.required(INTERVAL, |v| v.word(&["bootstrap-with-dp-noise"]));
        let level = section.required(LEVEL, |v| v.number(|level| (0.5..=0.999).contains(&level)));
        let bins = section.optional(BINS, |v| v.small(2..=BINS_MAX));
        let edges = section.optional(EDGES, |v| {
            let most = usize::try_from(BINS_MAX).expect("small") - 1;
            let edges = v.list(1..=most, |item| item.number(|edge| edge > 0.0 && edge < 1.0))?;
            if edges.is_sorted_by(|a, b| a < b) { Some(edges) } else { v.wrong() }
        });
        let bin_edges = match (bins?, edges?) {
            (Some(bins), None) => (1..bins).map(|bin| f64::from(bin) / f64::from(bins)).collect(),
            (None, Some(edges)) => edges,
            (bins, _) => {
                let found = if bins.is_some() { "both" } else { "neither" };
                let instead = "write bins for equal widths, bin_edges for your own";
                section.wrong("bins", "either bins or bin_edges", found, instead);
                return None;
            }
        };
        release?;
        interval?;
        Some(Evaluation { metrics: metrics?, bin_edges, level: level? })
    })
}

/// Of a study on plain tables, each with its column.
pub(super) fn attributes(top: &Section<'_>) -> Option<Vec<(Attribute, String)>> {
    const ATTRIBUTES: Ask = ask("attribute", "tables [[attribute]]", "[[attribute]]");
    let attributes = top.optional(ATTRIBUTES, |value| {
        let mut names = Vec::new();
        sections(value, |section| {
            let attribute = attribute(section)?;
            distinct(section, "name", &mut names, attribute.0.name.clone());
            Some(attribute)
        })
    });
    Some(attributes?.unwrap_or_default())
}

fn attribute(section: &Section<'_>) -> Option<(Attribute, String)> {
    const COLUMN: Ask = ask("column", "the table's column", r#"column = "sex""#);
    const LEVELS: Ask = ask(
        "levels",
        "1 to 256 of cell texts or { value, label }, values and labels distinct",
        r#"levels = [{ value = "1", label = "male" }, { value = "0", label = "female" }]"#,
    );
    let attribute = attribute_name(section);
    let column = section.required(COLUMN, name);
    if completeness::is_meant(section)? {
        let values = completeness::cells(section).map(AttributeValues::RecordedCells);
        return Some((Attribute { name: attribute?, values: values? }, column?));
    }
    let edges = section.optional(EDGES, edges);
    let levels = section.optional(LEVELS, |v| {
        let levels = v.list(1..=LEVELS_MAX, level)?;
        distinct_cells(v, &levels.iter().map(|(value, _)| value.clone()).collect::<Vec<_>>())?;
        let mut labels: Vec<String> = levels.iter().map(|(_, label)| label.clone()).collect();
        labels.push(super::super::UNKNOWN.to_owned());
        distinct_cells(v, &labels)?;
        Some(levels)
    });
    let values = match (edges?, levels?) {
        (Some(edges), None) => Some(AttributeValues::Bands(edges)),
        (None, Some(levels)) => Some(AttributeValues::Levels(levels)),
        (edges, _) => {
            let found = if edges.is_some() { "both" } else { "neither" };
            section.wrong(
                "edges",
                "either edges or levels",
                found,
                "write edges for bands, levels for values",
            );
            None
        }
    };
    Some((Attribute { name: attribute?, values: values? }, column?))
}

pub(super) fn attribute_name(section: &Section<'_>) -> Option<String> {
    section.required(ask("name", "one word", r#"name = "sex""#), |v| {
        let name = label(v)?;
        if [TRAINING, OVERALL].contains(&name.as_str()) {
            let expected = format!("another word than {TRAINING} and {OVERALL}, which name releases");
            return v.wrong_because(&expected, &format!("{name:?}"), "give it another name");
        }
        Some(name)
    })
}

pub(super) const EDGES: Ask =
    ask("edges", "2 to 257 rising numbers", "edges = [18, 40, 60, 90], for [18,40) [40,60) [60,90)");

pub(super) fn edges(value: &Value<'_>) -> Option<Vec<f64>> {
    let edges = value.list(2..=LEVELS_MAX + 1, |item| item.number(|_| true))?;
    if edges.is_sorted_by(|a, b| a < b) { Some(edges) } else { value.wrong() }
}

fn level(item: &Value<'_>) -> Option<(String, String)> {
    const VALUE: Ask = ask("value", "a cell's text", r#"value = "1""#);
    const LABEL: Ask = ask("label", "what to print", r#"label = "male""#);
    if !item.is_section() {
        let cell = item.cell()?;
        return Some((cell.clone(), cell));
    }
    let section = item.section()?;
    let value = section.required(VALUE, Value::cell);
    let label = section.required(LABEL, name);
    section.finish();
    Some((value?, label?))
}

pub(super) fn subgroups(top: &Section<'_>, attributes: Option<&[Attribute]>) -> Option<Subgroups> {
    const GROUPS: Ask =
        ask("groups", "a list of lists of attribute names", r#"groups = [["sex"], ["sex", "age_band"]]"#);
    const ERROR: Ask = ask("max_standard_error", "a number from 0.001 to 0.5", "max_standard_error = 0.05");
    section(top, ask("subgroups", "a table", "[subgroups]"), |section| {
        let groups = section.required(GROUPS, |v| {
            let groups = v.list(0..=GROUPINGS_MAX, |group| {
                let names = group.list(1..=CROSSED_MAX, |item| {
                    let name = label(item)?;
                    let (counted, known): (Vec<_>, Vec<_>) =
                        attributes?.iter().partition(|a| a.values.is_completeness_only());
                    let names = |of: &[&Attribute]| of.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
                    let known = names(&known);
                    if known.contains(&name) {
                        return Some(name);
                    }
                    if names(&counted).contains(&name) {
                        let expected = format!("the name of an attribute with groups: {}", known.join(", "));
                        let found = format!("{name:?}, which is {}", completeness::ONLY);
                        let instead =
                            "remove the group: how often it is recorded is counted, and nothing else";
                        return item.wrong_because(&expected, &found, instead);
                    }
                    let expected = format!("the name of an [[attribute]]: {}", known.join(", "));
                    item.wrong_because(
                        &expected,
                        &format!("{name:?}"),
                        "add the attribute, or remove the group",
                    )
                })?;
                distinct_cells(group, &names)?;
                Some(names)
            })?;
            let mut sorted = groups.clone();
            sorted.iter_mut().for_each(|group| group.sort_unstable());
            distinct_cells(v, &sorted.iter().map(|group| group.join("*")).collect::<Vec<_>>())?;
            Some(groups)
        });
        let within = |error: f64| (0.001..=0.5).contains(&error);
        let max_standard_error = section.required(ERROR, |v| v.number(within));
        Some(Subgroups { groups: groups?, max_standard_error: max_standard_error? })
    })
}

pub(super) fn disclosure(top: &Section<'_>, sites: Option<&[RosterSite]>) -> Option<Disclosure> {
    const COUNT: Ask = ask("min_count", "a whole number from 0 to 1000000", "min_count = 11");
    const ROUND: Ask = ask("round_to", "a whole number from 1 to 1000000", "round_to = 5");
    const SITES: Ask = ask("min_sites", "a whole number from 2 to the number of sites", "min_sites = 3");
    let sites_max = sites.map_or(SITES_MAX, <[_]>::len) as u64;
    section(top, ask("disclosure", "a table", "[disclosure]"), |section| {
        let min_count = section.required(COUNT, |v| v.integer(0..=1_000_000));
        let round_to = section.required(ROUND, |v| v.integer(1..=1_000_000));
        let min_sites = section.required(SITES, |v| v.small(2..=sites_max));
        Some(Disclosure { min_count: min_count?, round_to: round_to?, min_sites: min_sites? })
    })
}

/// Narrative items that no run can know; the author names the keys.
pub(super) fn report(top: &Section<'_>) -> Option<Vec<(String, String)>> {
    const TEXT: Ask = ask("text", "text", r#"data_source = "Routine records …""#);
    let report = top.optional(ask("report", "a table of texts", "[report]"), |value| {
        let section = value.section()?;
        let texts: Vec<Option<(String, String)>> =
            section.entries(TEXT).into_iter().map(|(key, value)| Some((key, value.text()?))).collect();
        texts.into_iter().collect::<Option<Vec<_>>>()
    });
    Some(report?.unwrap_or_default())
}

/// What only shows once all parts are there: a histogram that would not fit, and an outcome or
/// pseudonym used as an attribute.
pub(super) fn check_sizes(top: &Section<'_>, study: &Study) {
    let bins = study.evaluation.bin_edges.len() + 1;
    let predicted = study.predicted();
    for (i, group) in study.subgroups.groups.iter().enumerate() {
        let values = |name: &String| study.attribute(name).map_or(1, |attribute| attribute.values.count());
        let groups = group.iter().map(values).fold(1, usize::saturating_mul);
        let cells = groups.saturating_mul(2 * bins);
        let path = format!("subgroups.groups[{}]", i + 1);
        if cells > CELLS_MAX {
            let expected = format!("at most {CELLS_MAX} cells (groups x 2 x bins)");
            top.wrong(&path, &expected, &cells.to_string(), "cross fewer attributes, or use fewer bins");
        }
        let own = group.join("*");
        let bytes = predicted.iter().map(|predicted| study.grouping_name(predicted, &own).len()).max();
        if let Some(bytes) = bytes.filter(|bytes| *bytes > GROUPING_NAME_BYTES_MAX) {
            let expected = format!("names that make at most {GROUPING_NAME_BYTES_MAX} bytes, joined by *");
            top.wrong(&path, &expected, &bytes.to_string(), "shorten the names of attributes and tasks");
        }
    }
    let (groupings, most) = (study.groupings().len(), GROUPINGS_MAX + 1);
    if groupings > most && (predicted.len() > 1 || !study.completeness().is_empty()) {
        let expected = format!(
            "at most {most} groupings over all predictions: each of the {} is released by overall and every group, and each \
             completeness-only attribute once",
            predicted.len()
        );
        let instead = "list fewer groups, tasks, horizons_days or completeness-only attributes";
        top.wrong("subgroups.groups", &expected, &groupings.to_string(), instead);
    }
    let Data::Table(table) = &study.data else { return };
    for (i, of_attribute) in table.attributes.iter().enumerate() {
        let outcomes = (1..).zip(&table.outcomes);
        let outcomes = outcomes.map(|(task, one)| (format!("task[{task}].outcome.column"), &one.column));
        for (role, column) in outcomes.chain([("data.person_id".to_owned(), &table.person_id)]) {
            if of_attribute == column {
                let path = format!("attribute[{}].column", i + 1);
                let found = format!("{column:?}, also {role}");
                top.wrong(&path, "a column that describes people", &found, "remove the attribute");
            }
        }
    }
}
