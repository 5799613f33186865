//! NOTE and NOTE_NLP; and beside them, for whoever judges a reader of notes, what is true of each mention.

use super::{Visits, Who, columns, next};
use crate::synth::SynthError;
use crate::synth::chance::Chance;
use crate::synth::coding::Coding;
use crate::synth::files::{CsvFile, write_whole};
use crate::synth::folders::{Folders, TableFiles};
use crate::synth::notes::{ENGLISH, GERMAN, Language, Mention, Names, Note, Status};
use crate::synth::vocabulary::{self as concepts, ConceptId};
use jiff::civil::Date;
use std::path::{Path, PathBuf};

const TRUTH_COLUMNS: [&str; 8] =
    ["note_id", "person_id", "language", "concept_id", "words", "status", "begin", "end"];

/// A site's notes being written.
pub(in crate::synth) struct Notes {
    note: TableFiles,
    /// Where a program has read the notes already; it makes no mistakes.
    nlp: Option<TableFiles>,
    truth: CsvFile,
    names: Names,
    names_path: PathBuf,
    german: f64,
    /// The note at hand; kept for its memory.
    written: Note,
    note_id: u64,
    nlp_id: u64,
}

impl Notes {
    /// New tables, and the truth in the site's folder.
    pub(in crate::synth) fn create(
        site: &Path,
        folders: &Folders,
        coding: &Coding,
    ) -> Result<Self, SynthError> {
        Ok(Self {
            note: folders.table(&columns::NOTE)?,
            nlp: coding.note_nlp.then(|| folders.table(&columns::NOTE_NLP)).transpose()?,
            truth: CsvFile::create(site.join("notes_truth.csv"), TRUTH_COLUMNS)?,
            names: Names::default(),
            names_path: site.join("canaries.txt"),
            german: coding.german_notes,
            written: Note::default(),
            note_id: 0,
            nlp_id: 0,
        })
    }

    /// Adds a person's notes: of the assessment, of some last contacts before it, and of some days after it.
    pub(in crate::synth) fn write(
        &mut self,
        who: Who<'_>,
        visits: &Visits,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        let course = who.course;
        if chance.happens(0.5) {
            let day = course.before(u32::from(who.person.lived.days_since_last_contact));
            self.note(who, concepts::CONTACT_NOTE, day, Some(visits.last_contact), chance)?;
        }
        self.note(who, concepts::ASSESSMENT_NOTE, course.index, Some(visits.assessment), chance)?;
        if chance.happens(0.3) {
            let day = course.after(1 + chance.below(400)).min(course.observed_until);
            self.note(who, concepts::CONTACT_NOTE, day, None, chance)?;
        }
        Ok(())
    }

    /// Writes out what is still held back, and the names.
    pub(in crate::synth) fn finish(self) -> Result<(), SynthError> {
        self.note.finish()?;
        self.nlp.map_or(Ok(()), TableFiles::finish)?;
        self.truth.finish()?;
        write_whole(&self.names_path, &self.names.lines())
    }

    fn note(
        &mut self,
        who: Who<'_>,
        class: ConceptId,
        day: Date,
        visit: Option<u64>,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        let language: &Language = if chance.happens(self.german) { &GERMAN } else { &ENGLISH };
        let ill = f64::from(who.person.lived.phq9) / 27.0;
        let mut written = std::mem::take(&mut self.written);
        written.write(language, ill, &mut self.names, chance);
        let id = next(&mut self.note_id);
        self.note.row(&[
            ("note_id", id.into()),
            ("person_id", who.person.id.into()),
            ("note_date", day.into()),
            ("note_type_concept_id", concepts::RECORD_TYPE.into()),
            ("note_class_concept_id", class.into()),
            ("note_text", written.text.as_str().into()),
            ("encoding_concept_id", concepts::UTF8.into()),
            ("language_concept_id", language.concept.into()),
            ("visit_occurrence_id", visit.into()),
        ])?;
        for mention in &written.mentions {
            self.mention(who, id, day, language, mention)?;
        }
        self.written = written;
        Ok(())
    }

    fn mention(
        &mut self,
        who: Who<'_>,
        note: u64,
        day: Date,
        language: &Language,
        mention: &Mention,
    ) -> Result<(), SynthError> {
        let place = |at: usize| u64::try_from(at).expect("within a note");
        self.truth.row(&[
            ("note_id", note.into()),
            ("person_id", who.person.id.into()),
            ("language", language.code.into()),
            ("concept_id", mention.term.into()),
            ("words", mention.form.into()),
            ("status", mention.status.word().into()),
            ("begin", place(mention.begin).into()),
            ("end", place(mention.end).into()),
        ])?;
        let Some(nlp) = &mut self.nlp else { return Ok(()) };
        let (exists, temporal, modifiers) = nlp_words(mention.status);
        nlp.row(&[
            ("note_nlp_id", next(&mut self.nlp_id).into()),
            ("note_id", note.into()),
            ("offset", mention.begin.to_string().as_str().into()),
            ("lexical_variant", mention.form.into()),
            ("note_nlp_concept_id", mention.term.into()),
            ("nlp_system", "synth 1".into()),
            ("nlp_date", day.into()),
            ("term_exists", exists.into()),
            ("term_temporal", temporal.into()),
            ("term_modifiers", modifiers.into()),
        ])
    }
}

/// Whether the term exists, when, and whose it is: as the data model puts it, a term that is negated, somebody else's or
/// conditional does not exist.
const fn nlp_words(status: Status) -> (&'static str, &'static str, &'static str) {
    match status {
        Status::Affirmed => ("Y", "Present", "negated=false,subject=patient,conditional=false"),
        Status::Negated => ("N", "Present", "negated=true,subject=patient,conditional=false"),
        Status::Past => ("Y", "Past", "negated=false,subject=patient,conditional=false"),
        Status::Family => ("N", "Present", "negated=false,subject=family,conditional=false"),
        Status::Hypothetical => ("N", "Future", "negated=false,subject=patient,conditional=true"),
    }
}
