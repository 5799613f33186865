//! Sums at fault, and what is not judged because of them: the first cause is a finding, what follows from it
//! is counted.

use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct Faults {
    /// The file that was at fault first.
    first: Option<String>,
    /// Earmark and step of each sum that is missing or at fault.
    sums: BTreeSet<(u32, u32)>,
    /// Models that could not be computed again.
    pub(super) models: u64,
    /// Entries of ledgers about what is missing, at fault or could not be computed.
    pub(super) entries: u64,
}

impl Faults {
    /// What comes after this file rests on it.
    pub(super) fn begin(&mut self, file: &str) {
        self.first.get_or_insert_with(|| file.to_owned());
    }

    /// A sum that there is a finding about.
    pub(super) fn at(&mut self, file: &str, place: (u32, u32)) {
        self.begin(file);
        self.sums.insert(place);
    }

    /// Whether there is a finding about the sum of this earmark and step.
    pub(super) fn is_at(&self, place: (u32, u32)) -> bool {
        self.sums.contains(&place)
    }

    /// What was not judged, in one line.
    pub(super) fn note(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let Self { models, entries, .. } = self;
        (models + entries > 0).then(|| {
            format!(
                "not judged, since {first} is missing or at fault: {models} models that were to be computed \
                 again, {entries} entries of ledgers"
            )
        })
    }
}
