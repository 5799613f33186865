//! Who has cosigned the ledger, and up to where: the newest checkpoint that the coordinator cosigned,
//! with the cosignatures of other sites on the same.

use super::{LedgerError, LedgerStore, disk};
use consilium_common::id::SiteName;
use consilium_common::key::PublicKey;
use consilium_common::ledger::checkpoint::{COORDINATOR, InvalidNote, Note, SignatureLine, witness_name};

impl LedgerStore {
    /// Compares with what the coordinator says to have cosigned last.
    ///
    /// # Errors
    /// It has cosigned more than is here: the disk was restored from an old copy.
    pub fn check_not_restored(&self, cosigned: u64) -> Result<(), LedgerError> {
        let found = self.signed_size();
        if cosigned > found { Err(LedgerError::Restored { cosigned, found }) } else { Ok(()) }
    }

    /// Keeps the coordinator's cosignature of a checkpoint of this ledger, durably. An older one
    /// than the newest is checked and let go.
    ///
    /// # Errors
    /// It does not verify, the checkpoint is not of this ledger, no coordinator is known, or the
    /// disk says no.
    pub fn set_cosignature(&mut self, of: &Note, line: &str) -> Result<(), LedgerError> {
        let invalid = |what: String| LedgerError::Cosignature(what);
        let Some(coordinator) = self.coordinator else {
            return Err(invalid("no coordinator is known yet".to_owned()));
        };
        let line = SignatureLine::parse(line.trim_end_matches('\n'))
            .ok_or_else(|| invalid("expected — NAME BASE64(key id and signature)".to_owned()))?;
        self.is_ours(of).map_err(invalid)?;
        // Signed anew, so that only our own line and this one are kept.
        let note = of.checkpoint.clone().sign(&self.key).with(line).map_err(|e| invalid(e.to_string()))?;
        match note.cosignature(COORDINATOR, &coordinator) {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(invalid(InvalidNote::NotSigned { name: COORDINATOR.to_owned() }.to_string()));
            }
            Err(error) => return Err(invalid(error.to_string())),
        }
        if note.checkpoint.size < self.cosigned_size() {
            return Ok(());
        }
        disk::replace(&*self.disk, &self.dir, "cosigned", note.to_string().as_bytes())
            .map_err(|(disk::Replace::NotDone(error) | disk::Replace::Unknown(error))| error)?;
        self.cosigned = Some(note);
        Ok(())
    }

    /// As [`LedgerStore::add_witnesses`], of one site.
    ///
    /// # Errors
    /// As [`LedgerStore::add_witnesses`], or its cosignature is not one.
    pub fn add_witness(&mut self, site: &SiteName, key: &PublicKey, line: &str) -> Result<(), LedgerError> {
        let mut refused = self.add_witnesses(vec![(site, key, line.to_owned())])?;
        refused.pop().map_or(Ok(()), Err)
    }

    /// Keeps other sites' cosignatures of the newest checkpoint that the coordinator cosigned, durably
    /// and at once. Why some are none, each under its site's name.
    ///
    /// # Errors
    /// The disk says no.
    pub fn add_witnesses(
        &mut self,
        lines: Vec<(&SiteName, &PublicKey, String)>,
    ) -> Result<Vec<LedgerError>, LedgerError> {
        let (mut newest, mut refused) = (self.cosigned.clone(), Vec::new());
        for (site, key, line) in lines {
            match witnessed(newest.as_ref(), site, key, &line) {
                Ok(note) => newest = Some(note),
                Err(what) => refused.push(LedgerError::Cosignature(format!("{site}: {what}"))),
            }
        }
        if let Some(note) = newest.filter(|note| Some(note) != self.cosigned.as_ref()) {
            disk::replace(&*self.disk, &self.dir, "cosigned", note.to_string().as_bytes())
                .map_err(|(disk::Replace::NotDone(error) | disk::Replace::Unknown(error))| error)?;
            self.cosigned = Some(note);
        }
        Ok(refused)
    }

    /// Whether one of these sites has cosigned what the coordinator cosigned last.
    #[must_use]
    pub fn is_witnessed(&self, by: &[(SiteName, PublicKey)]) -> bool {
        self.cosigned.as_ref().is_some_and(|note| {
            by.iter().any(|(site, key)| matches!(note.cosignature(&witness_name(site), key), Ok(Some(_))))
        })
    }

    /// Whether a note that this site signed is of another past than this ledger has, or of a longer
    /// one: the proof that the disk was restored, or that there is a second copy. A note by anybody
    /// else proves nothing.
    #[must_use]
    pub fn is_contradicted_by(&self, note: &Note) -> bool {
        self.state.verify_note(note).is_ok()
            && self.tree.root_at(note.checkpoint.size) != Some(note.checkpoint.root)
    }

    /// Entries under the newest checkpoint that the coordinator cosigned.
    #[must_use]
    pub fn cosigned_size(&self) -> u64 {
        self.cosigned.as_ref().map_or(0, |note| note.checkpoint.size)
    }

    /// Whether the newest cosigned checkpoint covers an entry. Nothing leaves under a reserve that
    /// is not covered: a restored disk could burn it a second time.
    #[must_use]
    pub fn is_cosigned(&self, index: u64) -> bool {
        index < self.cosigned_size()
    }

    fn is_ours(&self, note: &Note) -> Result<(), String> {
        self.state.verify_note(note).map_err(|e| e.to_string())?;
        match self.tree.root_at(note.checkpoint.size) {
            Some(root) if root == note.checkpoint.root => Ok(()),
            Some(_) => Err(format!("at {} entries this ledger had another tree head", note.checkpoint.size)),
            None => Err(format!(
                "it covers {} entries, the ledger has {}",
                note.checkpoint.size,
                self.tree.size()
            )),
        }
    }

    pub(super) fn read_cosigned(&self) -> Result<Option<Note>, LedgerError> {
        let corrupt =
            |what: String| LedgerError::Corrupt { dir: self.dir.clone(), what: format!("cosigned: {what}") };
        let Some(bytes) = disk::read(&self.dir, "cosigned")? else { return Ok(None) };
        let note = Note::parse(&bytes).map_err(|e| corrupt(e.to_string()))?;
        self.is_ours(&note).map_err(corrupt)?;
        let Some(coordinator) = self.coordinator else { return Ok(None) };
        // Another coordinator's cosignature is none for this one.
        let cosigned = note.cosignature(COORDINATOR, &coordinator).map_err(|e| corrupt(e.to_string()))?;
        Ok(cosigned.map(|_| note))
    }
}

/// A cosigned note with another site's line on it.
fn witnessed(cosigned: Option<&Note>, site: &SiteName, key: &PublicKey, line: &str) -> Result<Note, String> {
    let cosigned = cosigned.ok_or_else(|| "nothing to add to".to_owned())?.clone();
    let line = SignatureLine::parse(line.trim_end_matches('\n'))
        .ok_or_else(|| "expected — NAME BASE64(key id and signature)".to_owned())?;
    let note = cosigned.with(line).map_err(|e| e.to_string())?;
    match note.cosignature(&witness_name(site), key) {
        Ok(Some(_)) => Ok(note),
        Ok(None) => Err("no signature by its key on this checkpoint".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
