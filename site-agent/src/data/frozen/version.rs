//! The commitments of a ledger's `cohort_version`.

use consilium_common::id::Digest;
use consilium_common::ledger::entry::Body;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const PURPOSE: &[u8] = b"consilium/cohort-version/1\n";

/// SHA-256 of each thing that is committed to; of lists of lines, of the lines with a line feed after each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// All frozen examples and ids, those of people who opted out included.
    pub cohort: Digest,
    /// The opt-out lists as they are applied.
    pub opt_outs: Digest,
    /// The source's release.
    pub source: Digest,
    /// What was asked of it.
    pub queries: Digest,
}

impl Contents {
    /// Of lines.
    #[must_use]
    pub fn of_lines(lines: &[String]) -> Digest {
        Digest::of(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes())
    }
}

/// The entry that is written at index `entry` of the ledger. The nonce of a commitment is HMAC-SHA-256 under `root` of
/// `consilium/cohort-version/1`, a line feed, the field's name, a line feed and the index (little-endian, 8 bytes); the
/// commitment is HMAC-SHA-256 under it of the content's SHA-256.
///
/// # Privacy
/// `root` is fresh, never leaves the site, and is used for these contents alone. To whom it wants, the site can open one
/// commitment of one entry by its nonce, which opens no other.
#[must_use]
pub fn commit(root: &[u8; 32], entry: u64, study: Digest, contents: &Contents) -> Body {
    let commitment = |field: &str, content: &Digest| {
        let nonce = mac(root, &[PURPOSE, field.as_bytes(), b"\n", &entry.to_le_bytes()]);
        Digest::from_bytes(mac(&nonce, &[content.as_bytes()]))
    };
    Body::CohortVersion {
        study,
        cohort: commitment("cohort", &contents.cohort),
        opt_outs: commitment("opt_outs", &contents.opt_outs),
        source: commitment("source", &contents.source),
        queries: commitment("queries", &contents.queries),
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let [cohort, opt_outs, source, queries] = [b"c", b"o", b"s", b"q"].map(|text| Digest::of(text));
        Contents { cohort, opt_outs, source, queries }
    }

    fn commitments(body: &Body) -> [Digest; 4] {
        let Body::CohortVersion { cohort, opt_outs, source, queries, .. } = body else { panic!("{body:?}") };
        [*cohort, *opt_outs, *source, *queries]
    }

    /// Equal contents look different in each field, entry and root, and no others are ever equal.
    #[test]
    fn commitments_are_fresh() {
        let same = Contents { cohort: contents().cohort, ..contents() };
        let all_equal = Contents {
            opt_outs: same.cohort,
            source: same.cohort,
            queries: same.cohort,
            cohort: same.cohort,
        };
        let study = Digest::of(b"study");
        let mut seen = Vec::new();
        for root in [1, 2] {
            for entry in [5, 6] {
                seen.extend(commitments(&commit(&[root; 32], entry, study, &all_equal)));
            }
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), count), (16, 16));
        assert_eq!(commit(&[1; 32], 5, study, &same), commit(&[1; 32], 5, study, &contents()));
    }

    /// By Python's `hmac`: tests/vectors/ledger/cohort_version.py.
    #[test]
    fn as_another_program_makes_them() {
        let body = commit(&[7; 32], 1234, Digest::of(b"study"), &contents());
        let expected = [
            "34a0e75dcd5f1242d0cec55c0509548a425b42a9ddb708e5b8560c2dd326d632",
            "365d38dec2e379d5a97c7c72bb8e473a444a0e2facb73da7cd6645f938c510ba",
            "893068b958c848fbf908db947495100878a1de0d1ce87eae7341b1053849f2f8",
            "7a9819d54a9871429471abee938912f37593305a68a2b0e0622d3e7ca345d346",
        ];
        assert_eq!(commitments(&body).map(|digest| digest.hex()), expected);
    }

    #[test]
    fn lines_are_told_apart() {
        let of =
            |lines: &[&str]| Contents::of_lines(&lines.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]), Digest::of(b"a\nb\n"));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
    }
}
