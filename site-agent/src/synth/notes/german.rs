//! Notes in German.

use super::Status::{Affirmed, Family, Hypothetical, Negated, Past};
use super::{Language, Sentence};
use crate::synth::vocabulary;

const fn sentence(text: &'static str, says: &'static [super::Status]) -> Sentence {
    Sentence { text, says }
}

/// German.
pub(in crate::synth) const GERMAN: Language = Language {
    code: "de",
    concept: vocabulary::GERMAN,
    openings: &[
        "Vorstellung in der Ambulanz.",
        "Telefonischer Kontakt mit dem Team.",
        "Hausbesuch, Stimmung und Schlaf besprochen.",
        "Kommt mit einem Brief der Hausärztin.",
    ],
    terms: &[
        (vocabulary::NOTE_TERMS[0], &["Suizidgedanken", "Selbstmordgedanken"]),
        (vocabulary::NOTE_TERMS[1], &["Selbstverletzung", "Selbstschädigung"]),
        (vocabulary::NOTE_TERMS[2], &["Stimmenhören", "Gehörshalluzinationen"]),
        (vocabulary::NOTE_TERMS[3], &["Hoffnungslosigkeit", "Verzweiflung"]),
        (vocabulary::NOTE_TERMS[4], &["Alkoholmissbrauch", "Alkoholabusus"]),
        (vocabulary::NOTE_TERMS[5], &["Schlaflosigkeit", "Insomnie"]),
    ],
    sentences: &[
        sentence("Berichtet aktuell über {}.", &[Affirmed]),
        sentence("Leidet weiterhin unter {}.", &[Affirmed]),
        sentence("Im Vordergrund: {}.", &[Affirmed]),
        sentence("Klagt über {}.", &[Affirmed]),
        sentence("Verneint {}.", &[Negated]),
        sentence("Kein Hinweis auf {}.", &[Negated]),
        sentence("Kein Anhalt für {}.", &[Negated]),
        sentence("Im Gespräch ohne {}.", &[Negated]),
        sentence("In der Vorgeschichte {}.", &[Past]),
        sentence("Früher {}, damals behandelt.", &[Past]),
        sentence("Zustand nach {} vor zehn Jahren.", &[Past]),
        sentence("Die Mutter leidet unter {}.", &[Family]),
        sentence("Familienanamnese: {} beim Vater.", &[Family]),
        sentence("Beim Bruder ist {} bekannt.", &[Family]),
        sentence("Falls es zu {} kommt, sofort vorstellen.", &[Hypothetical]),
        sentence("Notfallplan für den Fall von {} besprochen.", &[Hypothetical]),
        sentence("Sollte es zu {} kommen, Krisendienst rufen.", &[Hypothetical]),
        sentence("Verneint {}, berichtet aber über {}.", &[Negated, Affirmed]),
        sentence("Kein Hinweis auf {} oder {}.", &[Negated, Negated]),
        sentence("Klagt über {}; die Mutter leidet unter {}.", &[Affirmed, Family]),
        sentence("Kein Anhalt für {}, jedoch in der Vorgeschichte {}.", &[Negated, Past]),
        sentence("Berichtet über {}; falls es zu {} kommt, sofort vorstellen.", &[Affirmed, Hypothetical]),
    ],
    closings: &["Besprochen mit {}.", "In Begleitung von {}.", "Brief an {} versandt."],
};
