//! An answer to fill in.

use super::super::{Data, Study};
use super::words::asked;
use super::{Binding, BindingIndex, Purpose};
use std::fmt::Write as _;

/// A file for a hospital to fill in: each binding with what is asked for, its keys commented out. As it stands it is an
/// answer where every binding has a default. None where the study has no bindings.
#[must_use]
pub fn template(study: &Study) -> Option<String> {
    let Data::Records(records) = &study.data else { return None };
    if records.bindings.is_empty() {
        return None;
    }
    let mut text = format!(
        "# How this hospital fills in study {},\n\
         # version {}. Its exact text is signed with the approval, kept in the ledger and printed beside the other\n\
         # hospitals': write nothing here that is not public.\n\
         # Try it first: site-agent data check --study FILE --bindings THIS-FILE\n\
         # Concepts count as they are listed, without those below them.\n",
        study.id, study.version
    );
    for (at, binding) in records.bindings.iter().enumerate() {
        text += &format!("\n# {}\n[binding.{}]\n", wrapped(&asked(records, binding)), binding.name);
        text += &keys(binding, &study.binding_labels(BindingIndex(at)));
        text += "# note = \"one line for people\"\n";
    }
    Some(text)
}

/// Comments of at most about 110 columns.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        if width + word.len() > 108 {
            lines += "\n#";
            width = 0;
        }
        if !lines.is_empty() {
            lines.push(' ');
        }
        lines += word;
        width += word.len() + 1;
    }
    lines
}

fn keys(binding: &Binding, labels: &[String]) -> String {
    let mut text = String::new();
    if binding.optional {
        text += "# absent = true    # where this hospital has nothing of the kind\n";
    }
    match binding.purpose() {
        Purpose::Stays => {
            text += "# visits = [9201]    # visit_concept_id of the visits that can be one\n# any_of = [\n";
            for column in &binding.may_use {
                let _ = writeln!(text, "#     {{ column = \"{}\", concepts = [] }},", column.name());
            }
            text += "# ]\n";
        }
        Purpose::Values => {
            for column in &binding.may_use {
                let _ = writeln!(text, "# column = \"{}\"", column.name());
            }
            text +=
                "# of = []    # observation_concept_id; not with column observation.observation_concept_id\n";
            text += "# levels = [    # or { range = [1, 2], label = … }, from 1 to below 2, with column observation.value_as_number\n";
            for label in labels {
                let _ = writeln!(text, "#     {{ concepts = [], label = {label:?} }},");
            }
            text += "# ]\n";
        }
    }
    text
}
