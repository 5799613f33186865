//! Of how many people here each attribute is recorded that a study only counts: what its release would say without noise,
//! for this hospital's eyes.

use crate::data::Loaded;
use consilium_common::evaluation::histogram::{Grouping, PERSON_UNITS, count_people};
use consilium_common::examples::Examples;
use consilium_common::study::Study;
use serde_json::{Value, json};

/// One attribute's states, each with the people who train and who evaluate.
pub(super) struct Counted {
    attribute: String,
    states: Vec<(String, [i64; 2])>,
}

/// Those of a study that counts any.
pub(super) fn counted(study: &Study, loaded: &Loaded) -> Vec<Counted> {
    let of = |at: usize| {
        let grouping = Grouping::of_people(&study.attributes, at);
        let people = |examples: &Examples| {
            count_people(&grouping, examples)
                .into_iter()
                .map(|units| units / PERSON_UNITS)
                .collect::<Vec<_>>()
        };
        let (training, evaluation) = (people(&loaded.training), people(&loaded.evaluation));
        let roles = training.into_iter().zip(evaluation).map(<[i64; 2]>::from);
        Counted {
            attribute: grouping.name.clone(),
            states: grouping.labels.concat().into_iter().zip(roles).collect(),
        }
    };
    study.completeness().into_iter().map(of).collect()
}

/// For [`super::output::table`], below its heads.
pub(super) const HEADS: [&str; 4] = ["only counted", "state", "people in training", "in evaluation"];
/// Over whom it is counted, to stand below it.
pub(super) const OVER: &str = "Counted over everybody with an example that is used, each person once; a release is of those in \
                               evaluation, without people on an opt-out list.";

/// Rows of a table.
pub(super) fn rows(counted: &[Counted]) -> Vec<Vec<String>> {
    let row = |of: &Counted, (state, [training, evaluation]): &(String, [i64; 2])| {
        vec![of.attribute.clone(), state.clone(), training.to_string(), evaluation.to_string()]
    };
    counted.iter().flat_map(|of| of.states.iter().map(|state| row(of, state)).collect::<Vec<_>>()).collect()
}

/// The same for programs.
pub(super) fn json(counted: &[Counted]) -> Vec<Value> {
    let state = |(state, [training, evaluation]): &(String, [i64; 2])| json!({ "state": state, "training": training, "evaluation": evaluation });
    let one = |of: &Counted| json!({ "attribute": of.attribute, "states": of.states.iter().map(state).collect::<Vec<_>>() });
    counted.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{SplitKey, summary};
    use crate::testing::study;

    #[test]
    fn each_person_is_in_one_state() {
        let counted_attribute = "[[attribute]]\nname = \"told\"\ncolumn = \"told\"\nuse = \"completeness-only\"\nrefused = [\"R\"]\n[subgroups]";
        let edits =
            [("[subgroups]", counted_attribute), ("overall        = 1.0", "overall = 1.0\ntold = 0.1")];
        let study = study(&edits);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("table.csv");
        let mut text = "person_id,age,bmi,sex,prior_admissions,readmitted_30d,told\n".to_owned();
        for (id, told) in ["x", "y", "R", "", " ", "x"].into_iter().enumerate() {
            text += &format!("p{id},40,25,male,1,{},{told}\n", id % 2);
        }
        std::fs::write(&path, text).expect("written");
        let (loaded, summary) =
            summary(&path, &study, &SplitKey::from_bytes([7; 32])).unwrap_or_else(|e| panic!("{e}"));
        let found = counted(&study, &loaded);
        let both: Vec<(&str, i64)> =
            found[0].states.iter().map(|(state, roles)| (state.as_str(), roles.iter().sum())).collect();
        assert_eq!(both, [("recorded", 3), ("refused", 1), ("not asked", 0), ("unknown", 2)]);
        // It makes no group, and so none that is unknown.
        assert!(summary.unknown.iter().all(|(name, _)| name != "told") && !summary.unknown.is_empty());
        assert_eq!((rows(&found).len(), json(&found)[0]["attribute"].as_str()), (4, Some("told")));
        assert!(counted(&crate::testing::study(&[]), &loaded).is_empty());
    }
}
