//! The byte form of examples: one form only for the same examples, so that a digest or commitment
//! over it is one over them.
//!
//! Little-endian throughout; version 3 of a file:
//!
//! | bytes | what |
//! |---|---|
//! | 22 | `consilium-examples/3` and two line feeds |
//! | 32 | SHA-256 of the study file that the examples were made under |
//! | … | examples of training people |
//! | … | examples of evaluation people |
//!
//! and of examples:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | inputs per example |
//! | 4 | groups per example: of its attributes, and its mark if it has one; 0 where there are no examples |
//! | 8 | people |
//! | 8 | examples |
//! | 4 × people | examples of each person |
//! | 2 × groups × examples | its groups ([`super::Example::groups`]), row by row |
//! | examples | which prediction each is for |
//! | examples | outcomes, each 0 or 1 |
//! | 4 × examples | how much each counts, `f32`, above 0 and at most 1 |
//! | 4 × inputs × examples | inputs, `f32`, row by row |

use super::Examples;
use crate::id::Digest;
use std::io::{self, Write};

/// What a version 3 file starts with.
pub const MAGIC: &[u8; 22] = b"consilium-examples/3\n\n";
/// Most inputs per example that are read back.
const WIDTH_MAX: usize = 1 << 20;

/// The examples of one table under one study, without noise: for tables that are the user's to read
/// (`site-agent data export --examples`), never for the wire.
#[derive(Clone, PartialEq)]
pub struct ExampleFile {
    /// Of the study file's exact bytes.
    pub study: Digest,
    /// Training people.
    pub training: Examples,
    /// Evaluation people.
    pub evaluation: Examples,
}

/// The bytes are not the byte form of examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an examples file: expected {expected}")]
pub struct InvalidExamples {
    /// What the first wrong part should have been.
    pub expected: &'static str,
}

impl std::fmt::Debug for ExampleFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExampleFile(of {}, width {})", self.study, self.training.width())
    }
}

impl ExampleFile {
    /// The byte form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).expect("a Vec takes all bytes");
        bytes
    }

    /// Writes the byte form.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(self.study.as_bytes())?;
        self.training.write(out)?;
        self.evaluation.write(out)
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// Anything but exactly what [`ExampleFile::to_bytes`] makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidExamples> {
        let mut rest = bytes;
        if take::<22>(&mut rest, "a file of version 3")? != *MAGIC {
            return Err(InvalidExamples { expected: "a file of version 3" });
        }
        let study = Digest::from_bytes(take(&mut rest, "the study's digest")?);
        let training = Examples::read(&mut rest)?;
        let evaluation = Examples::read(&mut rest)?;
        if !rest.is_empty() {
            return Err(InvalidExamples { expected: "nothing after the examples" });
        }
        if training.width() != evaluation.width() {
            return Err(InvalidExamples { expected: "as many inputs in evaluation as in training" });
        }
        Ok(Self { study, training, evaluation })
    }
}

impl Examples {
    /// The byte form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).expect("a Vec takes all bytes");
        bytes
    }

    /// Writes the byte form.
    ///
    /// # Errors
    /// Those of `out`.
    ///
    /// # Panics
    /// Examples with different numbers of attributes, which is a bug of whoever pushed them.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let attributes = self.groups.first().map_or(0, Vec::len);
        let word =
            |length: usize| u32::try_from(length).expect("lengths of one person fit 32 bits").to_le_bytes();
        out.write_all(&word(self.width))?;
        out.write_all(&word(attributes))?;
        out.write_all(&(self.people() as u64).to_le_bytes())?;
        out.write_all(&(self.len() as u64).to_le_bytes())?;
        for person in 0..self.people() {
            out.write_all(&word(self.rows_of(person).len()))?;
        }
        for groups in &self.groups {
            assert_eq!(groups.len(), attributes, "a study has one list of attributes");
            for group in groups {
                out.write_all(&group.to_le_bytes())?;
            }
        }
        out.write_all(&self.outputs)?;
        for &label in &self.labels {
            out.write_all(&[u8::from(label > 0.5)])?;
        }
        for weight in &self.weights {
            out.write_all(&weight.to_le_bytes())?;
        }
        for input in &self.inputs {
            out.write_all(&input.to_le_bytes())?;
        }
        Ok(())
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// Anything but exactly what [`Examples::to_bytes`] makes of finite inputs.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidExamples> {
        let mut rest = bytes;
        let examples = Self::read(&mut rest)?;
        if rest.is_empty() {
            Ok(examples)
        } else {
            Err(InvalidExamples { expected: "nothing after the examples" })
        }
    }

    fn read(rest: &mut &[u8]) -> Result<Self, InvalidExamples> {
        let width = usize::try_from(u32::from_le_bytes(take(rest, "inputs per example")?)).expect("64-bit");
        let attributes =
            usize::try_from(u32::from_le_bytes(take(rest, "attributes per person")?)).expect("64-bit");
        let people = usize::try_from(u64::from_le_bytes(take(rest, "people")?)).expect("64-bit");
        let len = usize::try_from(u64::from_le_bytes(take(rest, "examples")?)).expect("64-bit");
        if width > WIDTH_MAX {
            return Err(InvalidExamples { expected: "at most 1048576 inputs" });
        }
        // Lengths are checked against what is there before anything is made of them.
        let mut person_rows = vec![0];
        for rows in items::<4>(rest, people, "examples of each person")? {
            let before = *person_rows.last().expect("starts with 0");
            person_rows.push(before + usize::try_from(u32::from_le_bytes(rows)).expect("64-bit"));
        }
        if person_rows.last() != Some(&len) || (len == 0 && attributes > 0) {
            return Err(InvalidExamples { expected: "people's examples to add up" });
        }
        let values = len.checked_mul(attributes).ok_or(InvalidExamples { expected: "attributes" })?;
        let indices: Vec<u16> =
            items(rest, values, "values of attributes")?.map(u16::from_le_bytes).collect();
        let groups = if attributes == 0 {
            vec![Vec::new(); len]
        } else {
            indices.chunks_exact(attributes).map(<[u16]>::to_vec).collect()
        };
        let outputs: Vec<u8> = items::<1>(rest, len, "predictions")?.map(|[output]| output).collect();
        let outcome = |[byte]: [u8; 1]| match byte {
            0 => Ok(0.0),
            1 => Ok(1.0),
            _ => Err(InvalidExamples { expected: "outcomes of 0 or 1" }),
        };
        let labels = items(rest, len, "outcomes")?.map(outcome).collect::<Result<Vec<f32>, _>>()?;
        let weights: Vec<f32> = items(rest, len, "weights")?.map(f32::from_le_bytes).collect();
        if !weights.iter().all(|&weight| weight > 0.0 && weight <= 1.0) {
            return Err(InvalidExamples { expected: "weights above 0 and at most 1" });
        }
        let cells = len.checked_mul(width).ok_or(InvalidExamples { expected: "inputs" })?;
        let inputs: Vec<f32> = items(rest, cells, "inputs")?.map(f32::from_le_bytes).collect();
        if !inputs.iter().all(|input| input.is_finite()) {
            return Err(InvalidExamples { expected: "finite inputs" });
        }
        Ok(Self { width, inputs, outputs, labels, weights, person_rows, groups })
    }
}

fn take<const N: usize>(rest: &mut &[u8], expected: &'static str) -> Result<[u8; N], InvalidExamples> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(InvalidExamples { expected })?;
    *rest = tail;
    Ok(*head)
}

/// `count` items of `N` bytes.
fn items<'a, const N: usize>(
    rest: &mut &'a [u8],
    count: usize,
    expected: &'static str,
) -> Result<impl Iterator<Item = [u8; N]> + use<'a, N>, InvalidExamples> {
    let length =
        count.checked_mul(N).filter(|&length| length <= rest.len()).ok_or(InvalidExamples { expected })?;
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    Ok(head.chunks_exact(N).map(|item| item.try_into().expect("chunks of N")))
}

#[cfg(test)]
mod tests {
    use super::super::Example;
    use super::*;
    use proptest::prelude::*;

    fn some() -> ExampleFile {
        let mut training = Examples::new(2);
        training.push_person(&[(vec![0.5, -1.0], 1.0), (vec![0.25, 0.0], 0.0)], vec![0, 7]);
        training.push_examples(vec![
            Example { inputs: vec![0.0, 0.5], output: 0, label: 1.0, weight: 1.0, groups: vec![3, 3] },
            Example { inputs: vec![0.5, 0.5], output: 3, label: 0.0, weight: 0.75, groups: vec![4, 3] },
        ]);
        training.push_person(&[], vec![1, 300]);
        let mut evaluation = Examples::new(2);
        evaluation.push_person(&[(vec![1.0, 1.0], 0.0)], vec![2, 0]);
        ExampleFile { study: Digest::of(b"study"), training, evaluation }
    }

    #[test]
    fn round_trip() {
        let file = some();
        assert_eq!(ExampleFile::from_bytes(&file.to_bytes()), Ok(file));
        for examples in [Examples::new(0), Examples::new(3), some().training] {
            assert_eq!(Examples::from_bytes(&examples.to_bytes()), Ok(examples));
        }
    }

    /// The documented layout, byte by byte.
    #[test]
    fn layout() {
        let mut one = Examples::new(1);
        one.push_person(&[(vec![0.5], 1.0)], vec![258]);
        let expected = [
            &[1, 0, 0, 0][..],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0],
            &[2, 1],
            &[0],
            &[1],
            &[0, 0, 0x80, 0x3f],
            &[0, 0, 0, 0x3f],
        ]
        .concat();
        assert_eq!(one.to_bytes(), expected);
    }

    #[test]
    fn strict() {
        let bytes = some().to_bytes();
        for length in 0..bytes.len() {
            assert!(ExampleFile::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            ExampleFile::from_bytes(&longer).map_err(|e| e.expected),
            Err("nothing after the examples")
        );
        let mut huge = Examples::new(1).to_bytes();
        huge[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Examples::from_bytes(&huge).is_err());
        let mut nan = Examples::new(1);
        nan.push_person(&[(vec![f32::NAN], 1.0)], vec![]);
        assert_eq!(Examples::from_bytes(&nan.to_bytes()).map_err(|e| e.expected), Err("finite inputs"));
    }

    proptest! {
        /// One form only: whatever reads back writes the same bytes.
        #[test]
        fn what_is_read_is_what_is_written(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = some().to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(file) = ExampleFile::from_bytes(&bytes) {
                prop_assert_eq!(file.to_bytes(), bytes);
            }
        }
    }
}
