//! The model after a round: federated averaging from disk to disk, a block of coordinates at a time,
//! so that memory grows neither with the model nor with the number of sites.
//!
//! Invariant: a model is kept only if every byte that went into it was part of a blob with the
//! digest asked for.

use crate::store::{Blobs, StoreError, at, other_bytes};
use consilium_common::id::{Digest, Hasher};
use consilium_common::model::aggregate::{InvalidUpdate, WeightedSum};
use consilium_common::model::blob::{self, HEADER_MAX, Header, ModelHeader, UpdateHeader};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

/// Coordinates of a block: 1 MiB of each file.
const BLOCK: usize = 1 << 18;

/// Averages updates with their public weights (units of 2^-16) into the next model, durably; its digest.
///
/// # Errors
/// The disk, blobs that are not what was written, or updates that do not fit the model.
pub fn next_model(blobs: &Blobs, model: &Digest, updates: &[(Digest, u32)]) -> Result<Digest, StoreError> {
    let (header, mut base) = Values::open::<ModelHeader>(blobs, model)?;
    let parameters = header.values();
    let mut moves = Vec::with_capacity(updates.len());
    for (digest, weight) in updates {
        let (header, values) = Values::open::<UpdateHeader>(blobs, digest)?;
        if header.values() != parameters {
            let error = InvalidUpdate::WrongLength { expected: parameters, found: header.values() };
            return Err(corrupt(digest, &error.to_string()));
        }
        moves.push((values, *weight));
    }
    let mut next = blobs.incoming()?;
    next.write(&blob::encode_header(&ModelHeader { round: header.round + 1, ..header }))?;
    let mut bytes = Vec::new();
    for start in (0..parameters).step_by(BLOCK) {
        let count = BLOCK.min(parameters - start);
        let wrong = |error: InvalidUpdate| corrupt(model, &error.to_string());
        let mut sum = WeightedSum::new(count);
        for (values, weight) in &mut moves {
            sum.add(&values.take(count)?, *weight).map_err(wrong)?;
        }
        bytes.clear();
        blob::encode_values(&sum.apply(&base.take(count)?).map_err(wrong)?, &mut bytes);
        next.write(&bytes)?;
    }
    base.finish()?;
    moves.into_iter().try_for_each(|(values, _)| values.finish())?;
    next.keep()
}

/// A blob's values, read in order and hashed on the way. The file is open only while it is read: a
/// study may have more sites than a process may have open files.
struct Values {
    digest: Digest,
    path: PathBuf,
    at: u64,
    hasher: Hasher,
}

impl Values {
    fn open<H: Header>(blobs: &Blobs, digest: &Digest) -> Result<(H, Self), StoreError> {
        let path = blobs.path(digest);
        let mut start = Vec::new();
        let file = File::open(&path).map_err(at(&path))?;
        let length = file.metadata().map_err(at(&path))?.len();
        file.take(HEADER_MAX as u64).read_to_end(&mut start).map_err(at(&path))?;
        let (header, values_at) =
            blob::decode_header(&start, length).map_err(|e| corrupt(digest, &e.to_string()))?;
        let mut hasher = Hasher::default();
        hasher.update(&start[..values_at]);
        Ok((header, Self { digest: *digest, path, at: values_at as u64, hasher }))
    }

    fn take(&mut self, count: usize) -> Result<Vec<i32>, StoreError> {
        let mut bytes = vec![0; 4 * count];
        let mut file = File::open(&self.path).map_err(at(&self.path))?;
        file.seek(SeekFrom::Start(self.at)).map_err(at(&self.path))?;
        file.read_exact(&mut bytes).map_err(at(&self.path))?;
        self.at += bytes.len() as u64;
        self.hasher.update(&bytes);
        Ok(blob::decode_values(&bytes))
    }

    /// Everything was read: was it what the digest says?
    fn finish(self) -> Result<(), StoreError> {
        if self.hasher.digest() == self.digest { Ok(()) } else { Err(other_bytes(&self.digest)) }
    }
}

fn corrupt(digest: &Digest, what: &str) -> StoreError {
    StoreError::Corrupt(format!("blob {digest}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::model::Architecture;

    /// Two whole blocks and a bit.
    const PARAMETERS: usize = 2 * BLOCK + 3;

    fn vector(seed: usize) -> Vec<i32> {
        let value = |i: usize| (i * 31 + 7) * (seed + 2) % 100_003;
        (0..PARAMETERS).map(|i| i32::try_from(value(i)).expect("small") - 50_000).collect()
    }

    fn update(blobs: &Blobs, values: &[i32]) -> Digest {
        let header = UpdateHeader {
            schema: "update/1".into(),
            study: Digest::of(b"study"),
            round: 4,
            model: Digest::of(b"model"),
            site: "a".parse().expect("a name"),
            parameters: values.len(),
        };
        blobs.put(&blob::encode(&header, values)).expect("writes")
    }

    #[test]
    fn blocks_give_the_same_bits_as_the_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(folder.path().to_owned()).expect("opens");
        let header = ModelHeader {
            schema: "model/1".into(),
            study: Digest::of(b"study"),
            round: 4,
            architecture: Architecture { inputs: PARAMETERS - 1, hidden: vec![], outputs: 1 },
        };
        let model = blobs.put(&blob::encode(&header, &vector(0))).expect("writes");
        let updates = [(update(&blobs, &vector(1)), 3 << 15), (update(&blobs, &vector(2)), 70_001)];

        let mut sum = WeightedSum::new(PARAMETERS);
        sum.add(&vector(1), 3 << 15).expect("fits");
        sum.add(&vector(2), 70_001).expect("fits");
        let expected = sum.apply(&vector(0)).expect("has weight");
        let expected = blob::encode(&ModelHeader { round: 5, ..header }, &expected);

        let next = next_model(&blobs, &model, &updates).expect("averages");
        assert!(blobs.get(&next).expect("reads") == expected);
        // Again, as after a crash.
        assert_eq!(next_model(&blobs, &model, &updates).expect("averages"), next);

        let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
        let before = files();
        let check = |updates: &[(Digest, u32)], what: &str| {
            let error = next_model(&blobs, &model, updates).expect_err("bad").to_string();
            assert!(error.contains(what), "{error}");
            assert_eq!(files(), before, "nothing is left");
        };
        check(&[], "no updates");
        check(&[(Digest::of(b"absent"), 1)], &Digest::of(b"absent").hex());
        check(&[(model, 1)], "header");
        let bent = blobs.path(&updates[1].0);
        let mut bytes = std::fs::read(&bent).expect("there");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(&bent, bytes).expect("writes");
        check(&updates, "has other bytes");
        std::fs::write(&bent, b"{}\n").expect("writes");
        check(&updates, "header");
    }

    #[test]
    fn an_update_of_another_length_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(folder.path().to_owned()).expect("opens");
        let header = ModelHeader {
            schema: "model/1".into(),
            study: Digest::of(b"study"),
            round: 0,
            architecture: Architecture { inputs: 2, hidden: vec![], outputs: 1 },
        };
        let model = blobs.put(&blob::encode(&header, &[1, 2, 3])).expect("writes");
        let updates = [(update(&blobs, &[1, 2]), 1)];
        let error = next_model(&blobs, &model, &updates).expect_err("too short").to_string();
        assert!(error.contains("expected 3 parameters, came 2"), "{error}");
    }
}
