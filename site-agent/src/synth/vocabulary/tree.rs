//! The tree of concepts: everything that is above each, however far. It is no tree in the strict sense: a concept may
//! stand below several, so that the shortest and the longest way up differ.

use super::concepts::{CONCEPTS, Concept};
use super::{ConceptId, LOCAL};
use std::collections::BTreeMap;

/// Fewest and most steps from a concept up to one above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) min: u8,
    pub(super) max: u8,
}

/// For each concept all above it, itself included at no distance, as OMOP has it.
pub(super) fn ancestors() -> BTreeMap<ConceptId, BTreeMap<ConceptId, Levels>> {
    let by_id: BTreeMap<ConceptId, &Concept> =
        CONCEPTS.iter().map(|concept| (concept.id(), concept)).collect();
    let mut found = BTreeMap::new();
    for id in by_id.keys() {
        climb(*id, &by_id, &mut found);
    }
    found
}

/// What is above a concept: what is above its parents, a step further. Stops, as no concept is above itself (tested).
fn climb(
    id: ConceptId,
    by_id: &BTreeMap<ConceptId, &Concept>,
    found: &mut BTreeMap<ConceptId, BTreeMap<ConceptId, Levels>>,
) -> BTreeMap<ConceptId, Levels> {
    if let Some(above) = found.get(&id) {
        return above.clone();
    }
    let mut above = BTreeMap::from([(id, Levels { min: 0, max: 0 })]);
    for parent in by_id[&id].parents {
        for (ancestor, Levels { min, max }) in climb(LOCAL + parent, by_id, found) {
            let a_step_further = Levels { min: min + 1, max: max + 1 };
            let levels = above.entry(ancestor).or_insert(a_step_further);
            levels.min = levels.min.min(min + 1);
            levels.max = levels.max.max(max + 1);
        }
    }
    found.insert(id, above.clone());
    above
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By walking, one step at a time, without [`climb`]: every way up from every concept.
    fn ways() -> BTreeMap<(ConceptId, ConceptId), Levels> {
        let mut found: BTreeMap<(ConceptId, ConceptId), Levels> = BTreeMap::new();
        for start in CONCEPTS {
            let mut at = vec![(start.place, 0_u8)];
            while let Some((place, steps)) = at.pop() {
                assert!(steps < 10, "{place} is above itself");
                let levels = found.entry((start.place, place)).or_insert(Levels { min: steps, max: steps });
                *levels = Levels { min: levels.min.min(steps), max: levels.max.max(steps) };
                let here = CONCEPTS.iter().find(|c| c.place == place).expect("parents are concepts");
                at.extend(here.parents.iter().map(|parent| (*parent, steps + 1)));
            }
        }
        found
    }

    #[test]
    fn the_closure_is_complete_and_transitive() {
        let above = ancestors();
        let pairs: BTreeMap<(ConceptId, ConceptId), Levels> = above
            .iter()
            .flat_map(|(id, above)| above.iter().map(|(a, levels)| ((*id - LOCAL, *a - LOCAL), *levels)))
            .collect();
        assert_eq!(pairs, ways());
        for (low, middles) in &above {
            for middle in middles.keys() {
                assert!(above[middle].keys().all(|high| above[low].contains_key(high)), "{low}");
            }
        }
    }

    #[test]
    fn how_far_it_is_up() {
        fn check(low: ConceptId, high: ConceptId, expected: Option<(u8, u8)>) {
            let found = ancestors()[&(LOCAL + low)].get(&(LOCAL + high)).map(|l| (l.min, l.max));
            assert_eq!(found, expected, "{low} below {high}");
        }
        check(111, 111, Some((0, 0)));
        check(111, 110, Some((1, 1)));
        check(111, 100, Some((2, 3)));
        check(1131, 110, Some((2, 2)));
        check(134, 110, Some((1, 1)));
        check(171, 170, Some((1, 1)));
        check(3112, 300, Some((4, 4)));
        check(3222, 326, Some((1, 2)));
        check(2211, 200, Some((3, 3)));
        check(2121, 202, Some((1, 1)));
        check(110, 111, None);
        check(121, 110, None);
    }
}
