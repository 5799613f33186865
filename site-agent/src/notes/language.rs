//! Which language a note is written in, by its most common words: for the hospital's own screen, which shows whom a study's
//! words cannot reach. Nothing else rests on it: every note is read in every language of the study.

use super::words::Text;
use consilium_common::study::notes::Language;

/// Common words of a language, in the one spelling, each list sorted. Public.
struct Common {
    /// Words that no neighbouring language has.
    own: &'static [&'static str],
    /// Words that stand in notes of other languages, too, as words of theirs, names or abbreviations.
    shared: &'static [&'static str],
}

const ENGLISH: Common = Common {
    own: &[
        "and", "are", "did", "does", "from", "his", "not", "reports", "seen", "she", "that", "the", "their",
        "there", "they", "this", "today", "were", "when", "which", "with", "without",
    ],
    shared: &[
        "at", "been", "but", "by", "for", "had", "has", "have", "he", "her", "is", "it", "no", "of", "or",
        "to",
    ],
};
const GERMAN: Common = Common {
    own: &[
        "auch", "auf", "aus", "bei", "dem", "durch", "ein", "eine", "einem", "einen", "einer", "für",
        "heute", "ihr", "ist", "kein", "keine", "mit", "nach", "nicht", "ohne", "seit", "sich", "sie",
        "sind", "und", "vom", "wird", "wurde", "zu", "zum", "zur", "über",
    ],
    shared: &["als", "bis", "das", "den", "der", "des", "es", "hat", "im", "noch", "von", "war"],
};
/// Of Dutch, the Romance and the Scandinavian languages: what stands against English and German, and is neither.
const ELSEWHERE: Common = Common {
    own: &[
        "aan", "af", "ao", "att", "au", "aux", "av", "avec", "che", "com", "da", "dal", "dans", "dat", "de",
        "della", "det", "deze", "di", "efter", "ej", "el", "eller", "em", "en", "est", "et", "ett", "foi",
        "från", "för", "geen", "gli", "haar", "har", "heeft", "het", "hij", "hon", "ik", "ikke", "il",
        "ingen", "inte", "la", "las", "le", "les", "los", "maar", "mais", "muy", "más", "naar", "nel",
        "niet", "não", "och", "og", "om", "ook", "para", "pero", "più", "por", "på", "que", "qui", "sans",
        "se", "sem", "sig", "som", "sono", "sua", "sur", "te", "uden", "uit", "uma", "un", "una", "une",
        "utan", "van", "vid", "voor", "wordt", "zich", "zijn", "zonder", "är", "è",
    ],
    shared: &["con", "met", "os", "pas", "per", "pour", "sin"],
};
/// What an own word counts, and what a shared one does: each word once, however often it stands in a note.
const OWN: u32 = 2;
const SHARED: u32 = 1;
/// Less tells nothing: some words of a note in a third language may look like words of one of these.
const LEAST: u32 = 3;

/// How many notes were read in each language. Exact counts of patients' notes: they stay at the hospital, and have no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Languages {
    /// English.
    pub english: u64,
    /// German.
    pub german: u64,
    /// Another, or too few common words to tell.
    pub other: u64,
}

impl Languages {
    /// Counts one note more.
    pub fn note(&mut self, language: Option<Language>) {
        match language {
            Some(Language::English) => self.english += 1,
            Some(Language::German) => self.german += 1,
            None => self.other += 1,
        }
    }

    /// Adds those of another part of the table.
    pub fn merge(&mut self, other: Self) {
        self.english += other.english;
        self.german += other.german;
        self.other += other.other;
    }

    /// All notes that were read.
    #[must_use]
    pub const fn read(self) -> u64 {
        self.english + self.german + self.other
    }
}

/// The language whose different common words count most in a text, [`LEAST`] at least and one of its own among them; none
/// where that is another language, where two count alike, or where there is too little to tell.
pub(super) fn language(text: &Text) -> Option<Language> {
    let (mut english, mut german, mut elsewhere) = (Found::default(), Found::default(), Found::default());
    text.each_word(|word| {
        english.look(&ENGLISH, word);
        german.look(&GERMAN, word);
        elsewhere.look(&ELSEWHERE, word);
    });
    let elsewhere = elsewhere.count();
    if english.tells() && english.count() > german.count().max(elsewhere) {
        Some(Language::English)
    } else if german.tells() && german.count() > english.count().max(elsewhere) {
        Some(Language::German)
    } else {
        None
    }
}

/// Which words of a language stand in a text: a bit for each place of a list. No `Debug`: it tells of a patient's note.
#[derive(Default)]
struct Found {
    own: u128,
    shared: u128,
}

impl Found {
    fn look(&mut self, common: &Common, word: &str) {
        let place = |list: &[&str]| list.binary_search(&word).map_or(0, |at| 1 << at);
        self.own |= place(common.own);
        self.shared |= place(common.shared);
    }

    const fn count(&self) -> u32 {
        OWN * self.own.count_ones() + SHARED * self.shared.count_ones()
    }

    const fn tells(&self) -> bool {
        self.own > 0 && self.count() >= LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_share_nothing() {
        let lists = [ENGLISH, GERMAN, ELSEWHERE].map(|common| [common.own, common.shared]).concat();
        for list in &lists {
            assert!(list.is_sorted_by(|a, b| a < b) && list.len() <= 128, "{list:?}");
        }
        let mut all = lists.concat();
        all.sort_unstable();
        assert!(all.is_sorted_by(|a, b| a < b), "a word stands in two lists");
    }

    #[track_caller]
    fn check(text: &str, expected: Option<Language>) {
        assert_eq!(language(&Text::new(text)), expected, "{text}");
    }

    #[test]
    fn notes_of_eight_languages() {
        let english = |text| check(text, Some(Language::English));
        let german = |text| check(text, Some(Language::German));
        let other = |text| check(text, None);
        english("Denies suicidal ideation. She has been seen by the crisis team.");
        english("No thoughts of self-harm today.");
        english(
            "Sleeping poorly, not eating. Plan: continue sertraline and review in two weeks with her GP.",
        );
        english(
            "The patient was brought in by ambulance after an overdose of paracetamol; no, no, no plans now.",
        );
        german("Kein Hinweis auf Suizidalität. Der Patient ist seit gestern bei uns.");
        german("FÜR die Nacht NICHT sediert, schläft mit Licht");
        german(
            "Die Patientin berichtet von Schlafstörungen, es geht ihr heute besser, es besteht keine Eigengefährdung.",
        );
        german("Zustand nach Überdosis. Verlegung auf die offene Station, Medikation unverändert.");
        other("Geen suïcidale gedachten, slaapt goed, komt met zijn broer.");
        other("Patiënt is rustig, is coöperatief, is wakker en is georiënteerd.");
        other("Mevrouw is bekend met depressie. Er is geen plan, had gisteren pijn in het been of de voet.");
        other("Is er suïcidaliteit? Dat is er niet. Het been is gezwollen, of de enkel.");
        other("No refiere ideas de muerte; duerme mal desde hace un mes.");
        other(
            "No hay plan, no hay ideación, no ha tomado la medicación. Es un paciente tranquilo; es colaborador.",
        );
        other("No consume alcohol. No fuma. No tiene alergias.");
        other("Nessun pensiero suicida, il paziente dorme con la luce.");
        other("No, non riferisce dolore. No febbre, no tosse, no vomito.");
        other("La paziente è vigile, orientata; ha dormito bene e has no episodi di agitazione.");
        other("Pas d'idées suicidaires. Elle est venue avec son frère pour un avis.");
        other("Présence des idées noires, des troubles du sommeil et des crises d'angoisse.");
        other("Prend des médicaments des parents, des conduites à risque des dernières semaines.");
        other(
            "Nega ideação suicida, dorme mal há um mês. O paciente das consultas foi das urgências para casa.",
        );
        other("Sem planos. A doente refere tristeza das manhãs e não tem apetite.");
        other("Patienten har inga självmordstankar, sover bra och kommer med sin bror.");
        other("Den här veckan mår hon sämre. Den nya medicinen gav den biverkning som hon var rädd för.");
        other("Den ældre patient der er indlagt, der er ikke tegn til selvmordstanker.");
    }

    #[test]
    fn too_little_or_as_much_of_two() {
        check("", None);
        check("Stable.", None);
        check("HR 80, BP 120/80", None);
        check("no no no is is is is", None);
        check("des des des es es der der", None);
        check("not not not not", None);
        check("The patient is well. Der Patient ist wohlauf.", None);
        // A name of another language changes nothing.
        check("He was seen with Mr von der Heide, and is well; no plans.", Some(Language::English));
        check(
            "She came with Mrs de la Cruz and with Mr van den Berg; they were not told.",
            Some(Language::English),
        );
        check(
            "Haloperidol 5 mg im Notfall, bei Frau de Vries nicht gegeben und nicht nötig.",
            Some(Language::German),
        );
    }
}
