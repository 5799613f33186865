//! Names that nobody has, so that a byte that left a site can be searched for them.

use super::Chance;
use std::collections::BTreeSet;

const FIRST: [&str; 16] = [
    "Zevrinka",
    "Quillemo",
    "Oxanthea",
    "Brivolta",
    "Yquessa",
    "Thraxonia",
    "Ulveriq",
    "Jaxiphera",
    "Pfendrix",
    "Wyxhelma",
    "Kvorstena",
    "Ghislawn",
    "Dzovenna",
    "Xerbaldo",
    "Mquintha",
    "Fjorvexa",
];
const LAST: [&str; 16] = [
    "Quorvendish",
    "Zwackenthrop",
    "Brixelmoort",
    "Vantruskel",
    "Ohzimekka",
    "Pflarngate",
    "Thwickendal",
    "Xylobrantz",
    "Dreggelwyth",
    "Smivvenhoek",
    "Jorquespin",
    "Kwaldemurre",
    "Nivvelscroft",
    "Ghaundreth",
    "Uxtrabane",
    "Vloomerike",
];

/// The names that were used.
#[derive(Debug, Default)]
pub(in crate::synth) struct Names(BTreeSet<(usize, usize)>);

impl Names {
    /// Any of them, which then counts as used.
    pub(super) fn take(&mut self, chance: &mut Chance) -> String {
        let mut any = |many: usize| chance.below(u32::try_from(many).expect("few")) as usize;
        let name = (any(FIRST.len()), any(LAST.len()));
        self.0.insert(name);
        written(name)
    }

    /// Those used so far, a line each.
    pub(in crate::synth) fn lines(&self) -> String {
        self.0.iter().map(|name| written(*name) + "\n").collect()
    }
}

fn written((first, last): (usize, usize)) -> String {
    format!("{} {}", FIRST[first], LAST[last])
}
