//! Notes in English.

use super::Status::{Affirmed, Family, Hypothetical, Negated, Past};
use super::{Language, Sentence};
use crate::synth::vocabulary;

const fn sentence(text: &'static str, says: &'static [super::Status]) -> Sentence {
    Sentence { text, says }
}

/// English.
pub(in crate::synth) const ENGLISH: Language = Language {
    code: "en",
    concept: vocabulary::ENGLISH,
    openings: &[
        "Seen in clinic for review.",
        "Telephone contact with the team.",
        "Home visit, mood and sleep discussed.",
        "Came with a letter from the family doctor.",
    ],
    terms: &[
        (vocabulary::NOTE_TERMS[0], &["suicidal thoughts", "suicidal ideation", "thoughts of suicide"]),
        (vocabulary::NOTE_TERMS[1], &["self-harm", "self-injury"]),
        (vocabulary::NOTE_TERMS[2], &["hearing voices", "auditory hallucinations"]),
        (vocabulary::NOTE_TERMS[3], &["hopelessness", "despair"]),
        (vocabulary::NOTE_TERMS[4], &["heavy drinking", "alcohol misuse"]),
        (vocabulary::NOTE_TERMS[5], &["insomnia", "sleeplessness"]),
    ],
    sentences: &[
        sentence("Reports {} most days.", &[Affirmed]),
        sentence("Continues to struggle with {}.", &[Affirmed]),
        sentence("Current presentation includes {}.", &[Affirmed]),
        sentence("Complains of {} this week.", &[Affirmed]),
        sentence("Denies {}.", &[Negated]),
        sentence("No evidence of {}.", &[Negated]),
        sentence("Presents without {} today.", &[Negated]),
        sentence("There was no {} at interview.", &[Negated]),
        sentence("History of {} ten years ago.", &[Past]),
        sentence("Previously treated for {}.", &[Past]),
        sentence("Past {} while at university.", &[Past]),
        sentence("Mother was treated for {}.", &[Family]),
        sentence("Family history of {}.", &[Family]),
        sentence("His brother suffers from {}.", &[Family]),
        sentence("To call the crisis line in case of {}.", &[Hypothetical]),
        sentence("Will return if there is any {}.", &[Hypothetical]),
        sentence("Safety plan agreed in the event of {}.", &[Hypothetical]),
        sentence("Denies {} but reports {}.", &[Negated, Affirmed]),
        sentence("Denies {} and {}.", &[Negated, Negated]),
        sentence("Reports {}; mother was treated for {}.", &[Affirmed, Family]),
        sentence("No {} today, although there is a history of {}.", &[Negated, Past]),
        sentence("Reports {} and will return if there is any {}.", &[Affirmed, Hypothetical]),
    ],
    closings: &["Discussed with {}.", "Accompanied by {}.", "Letter to {} sent."],
};
