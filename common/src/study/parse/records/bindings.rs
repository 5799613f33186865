//! `[binding.NAME]`: what each hospital fills in.

use super::super::super::raw::{Ask, Section, Value, ask, nearest};
use super::super::super::records::{PersonField, SetIndex};
use super::super::{distinct_cells, is_label};
use super::sets::{Sets, listed};
use crate::study::bindings::{
    BINDINGS_MAX, Binding, BindingIndex, BoundColumn, InForce, MARKS_MAX, Mark, Purpose, StayRule, Visits,
};
use std::cell::RefCell;

const DESCRIBE: Ask = ask(
    "describe",
    "what the hospital is asked for",
    r#"describe = "Inpatient stay under a mental-health specialty""#,
);
const MAY_USE: Ask = ask(
    "may_use",
    "a list of columns that an answer may name. For stays: visit_occurrence.visit_concept_id, \
     visit_detail.visit_detail_concept_id, care_site.place_of_service_concept_id, provider.specialty_concept_id; for values \
     of an attribute: observation.observation_concept_id, observation.value_as_concept_id, observation.value_as_number",
    r#"may_use = ["care_site.place_of_service_concept_id"]"#,
);
const DEFAULT: Ask = ask(
    "default",
    "a table of visits and any_of: what holds at a hospital that has nothing better",
    r#"default = { visits = "inpatient", any_of = [{ condition = "mental_disorder" }] }"#,
);
const OPTIONAL: Ask = ask(
    "optional",
    "true or false: whether a hospital may leave it out, and say so in public",
    "optional = true",
);

/// All bindings of the file, and what names them.
pub(super) struct Bindings {
    /// In file order, each with its parts where they are sound.
    drafts: Vec<(String, Option<Draft>)>,
    used: RefCell<Vec<Use>>,
}

struct Draft {
    describe: String,
    may_use: Vec<BoundColumn>,
    default: Option<StayRule>,
    optional: bool,
}

/// One place that names a binding.
struct Use {
    binding: usize,
    purpose: Purpose,
    /// Whether a hospital without it can take part all the same.
    spares_absent: bool,
}

pub(super) fn read(top: &Section<'_>, sets: &Sets) -> Bindings {
    const BINDING: Ask = ask("binding", "1 to 32 tables [binding.NAME]", "[binding.psychiatric_stay]");
    let mut drafts = Vec::new();
    top.optional(BINDING, |value| {
        let entries = value.section()?.entries(BINDING);
        if !(1..=BINDINGS_MAX).contains(&entries.len()) {
            return value.wrong();
        }
        for (name, value) in entries {
            let draft = value.section().and_then(|section| {
                let draft = draft(&section, sets);
                section.finish();
                draft
            });
            if !is_label(&name) {
                let instead = "write a name such as [binding.psychiatric_stay]";
                let _: Option<()> =
                    value.wrong_because("a name of letters, digits, _ and -", &format!("{name:?}"), instead);
            }
            drafts.push((name, draft));
        }
        Some(())
    });
    Bindings { drafts, used: RefCell::default() }
}

fn draft(section: &Section<'_>, sets: &Sets) -> Option<Draft> {
    let describe = section.required(DESCRIBE, Value::text);
    let may_use = section.required(MAY_USE, |v| {
        let word = |item: &Value<'_>| item.word(&BoundColumn::ALL.map(BoundColumn::name)).map(str::to_owned);
        let words = v.list(1..=BoundColumn::ALL.len(), word)?;
        distinct_cells(v, &words)?;
        let of_word = |word: &String| BoundColumn::ALL.into_iter().find(|column| column.name() == word);
        Some(words.iter().filter_map(of_word).collect::<Vec<_>>())
    });
    let default = section.optional(DEFAULT, |v| default(v, sets));
    let optional = section.optional(OPTIONAL, Value::boolean);
    Some(Draft {
        describe: describe?,
        may_use: may_use?,
        default: default?,
        optional: optional?.unwrap_or(false),
    })
}

fn default(value: &Value<'_>, sets: &Sets) -> Option<StayRule> {
    const VISITS: Ask = ask("visits", "the name of a concept set of visits", r#"visits = "inpatient""#);
    const ANY_OF: Ask = ask(
        "any_of",
        "a list of { condition }: conditions recorded with the visit",
        r#"any_of = [{ condition = "mental_disorder" }]"#,
    );
    const CONDITION: Ask =
        ask("condition", "the name of a concept set of conditions", r#"condition = "mental_disorder""#);
    const ROLE: Ask = ask(
        "role",
        "nothing: hospitals record which diagnosis is the primary one by too many concepts of condition_status_concept_id, \
         or not at all",
        "no role, and leave it to the hospitals' own answers",
    );
    let section = value.section()?;
    let visits: Option<SetIndex> = section.required(VISITS, |v| sets.named(v));
    let any_of = section.optional(ANY_OF, |v| {
        v.list(1..=MARKS_MAX, |item| {
            let section = item.section()?;
            let set = section.required(CONDITION, |v| sets.named(v));
            let role = section.optional(ROLE, |v| v.wrong::<()>());
            section.finish();
            role?;
            set.map(Mark::Condition)
        })
    });
    section.finish();
    Some(StayRule { visits: Visits::Set(visits?), any_of: any_of?.unwrap_or_default() })
}

impl Bindings {
    /// Stays that an event of a cohort or an outcome names: no hospital can leave them out.
    pub(super) fn stays(&self, value: &Value<'_>) -> Option<BindingIndex> {
        let name = value.text_where(|_| true)?;
        self.named(value, &name, Purpose::Stays, false)
    }

    /// Stays that `seen_by` names.
    pub(super) fn seen_by(&self, value: &Value<'_>, spares_absent: bool) -> Option<BindingIndex> {
        let name = value.text_where(|_| true)?;
        self.named(value, &name, Purpose::Stays, spares_absent)
    }

    /// Values that `binding:NAME` of an attribute names.
    pub(super) fn field(&self, value: &Value<'_>, name: &str) -> Option<PersonField> {
        self.named(value, name, Purpose::Values, true).map(PersonField::Binding)
    }

    fn named(
        &self,
        value: &Value<'_>,
        name: &str,
        purpose: Purpose,
        spares_absent: bool,
    ) -> Option<BindingIndex> {
        let known = || self.drafts.iter().map(|(name, _)| name.as_str());
        if let Some(binding) = known().position(|known| known == name) {
            self.used.borrow_mut().push(Use { binding, purpose, spares_absent });
            return Some(BindingIndex(binding));
        }
        let instead = match nearest(name, known()) {
            Some(close) => format!("did you mean {close}?"),
            None => format!("add [binding.{name}], or name one of those"),
        };
        let expected = format!("the name of a binding: {}", listed(known()));
        value.wrong_because(&expected, &format!("{name:?}"), &instead)
    }

    /// All of them, in the order of their indices.
    pub(super) fn finish(self, top: &Section<'_>) -> Option<Vec<Binding>> {
        let used = self.used.into_inner();
        // A mistake elsewhere may be why nothing names one.
        let is_sound = !top.source.has_mistakes_in(&["binding", "cohort", "task", "attribute"]);
        let mut bindings = Vec::new();
        for (at, (name, draft)) in self.drafts.into_iter().enumerate() {
            let of_this: Vec<&Use> = used.iter().filter(|one| one.binding == at).collect();
            let draft = draft?;
            if is_sound {
                judge(top, &name, &draft, &of_this);
            }
            let Draft { describe, may_use, default, optional } = draft;
            let in_force = default.clone().map_or(InForce::Unanswered, InForce::Stays);
            bindings.push(Binding { name, describe, may_use, optional, default, in_force });
        }
        Some(bindings)
    }
}

/// Holds a binding against what names it.
fn judge(top: &Section<'_>, name: &str, draft: &Draft, used: &[&Use]) {
    let path = format!("binding.{name}");
    let Some(first) = used.first() else {
        return top.wrong(&path, "a binding that something names", "one that nothing names", "remove it");
    };
    if used.iter().any(|one| one.purpose != first.purpose) {
        let found = "both";
        let expected = "either stays, in cohorts and outcomes, or values, in attributes";
        return top.wrong(&path, expected, found, "write two bindings");
    }
    let purpose = match first.purpose {
        Purpose::Stays => "stays",
        Purpose::Values => "values of an attribute",
    };
    if let Some(column) = draft.may_use.iter().find(|column| column.purpose() != first.purpose) {
        let expected = format!("columns that tell {purpose}, for which the study names it");
        let instead = "remove it; STUDY-FILE.md lists which are for which";
        top.wrong(&format!("{path}.may_use"), &expected, column.name(), instead);
    }
    if first.purpose == Purpose::Values && draft.default.is_some() {
        let expected = "no default: only a hospital knows where its values stand";
        top.wrong(&format!("{path}.default"), expected, "one", "remove it");
    }
    if draft.optional && used.iter().any(|one| !one.spares_absent) {
        let expected = "false: an event of a cohort or an outcome names it, so that nobody can do without it";
        let instead = "remove it, give a default, or name it in seen_by with optional = true only";
        top.wrong(&format!("{path}.optional"), expected, "true", instead);
    }
    if !draft.optional && first.purpose == Purpose::Stays && used.iter().any(|one| one.spares_absent) {
        let expected = "true: a seen_by with optional = true names it";
        let instead = "write optional = true here, or leave it out there";
        top.wrong(&format!("{path}.optional"), expected, "false", instead);
    }
}
