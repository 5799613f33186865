//! What a clinical note says, for a fixed public list of findings: named, denied, past, of somebody else, or feared.
//!
//! ```text
//! note text → words (one spelling) → sentences → mentions (the lexicon) and cues (ConText) → Mention { finding, context }
//! ```
//! The method is ConText (Harkema, Dowling, Thornblade and Chapman, J Biomed Inform 42:839, 2009): a cue such as "denies" or
//! "history of" changes the meaning of the findings within its scope, which ends with the sentence or with a word such as
//! "but". The lexicon is the study's; the cues are this program's, one public file for each language (`cues/`).
//!
//! Nothing is learned from notes, and no word of a note goes further than this module: what comes out are numbers
//! of findings.
//!
//! # Privacy
//! Text is patients' own. Nothing here keeps it, logs it, or has it in an error, in `Debug` or in a panic.

mod cues;
mod language;
mod lexicon;
mod phrases;
mod reader;
mod words;

#[cfg(test)]
mod tests;

pub use language::Languages;
pub use lexicon::Lexicon;
pub use reader::{Context, Mention};
