//! Examples and whose they are, person by person: training people, then evaluation people, each in their order.
//!
//! Little-endian: inputs per example (4), then for each role people (8) and for each person the id's length (4), the id,
//! examples (4), of each example its prediction (1), the outcome (1), how much it counts (4, `f32`), the inputs (4 each,
//! `f32`), how many groups it has (2) and each of them (2 each): those of its attributes, and its mark if it has one.

use super::People;
use crate::data::{Loaded, PersonIds};
use consilium_common::examples::{Example, Examples};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Longest id, bytes: that of a table's line.
const ID_BYTES_MAX: u32 = 1024 * 1024;

pub(super) fn write(out: &mut impl Write, loaded: &Loaded) -> io::Result<()> {
    out.write_all(&word(loaded.training.width()))?;
    write_role(out, &loaded.training, &loaded.whose.training)?;
    write_role(out, &loaded.evaluation, &loaded.whose.evaluation)
}

fn write_role(out: &mut impl Write, examples: &Examples, ids: &PersonIds) -> io::Result<()> {
    assert_eq!(examples.people(), ids.len(), "every person has an id");
    out.write_all(&(examples.people() as u64).to_le_bytes())?;
    // One piece for each person: hashing and sealing four bytes at a time would take longer than their work.
    let mut bytes = Zeroizing::new(Vec::new());
    for (person, id) in ids.iter().enumerate() {
        bytes.clear();
        bytes.extend(word(id.len()));
        bytes.extend(id.as_bytes());
        let rows = examples.rows_of(person);
        bytes.extend(word(rows.len()));
        for row in rows {
            bytes.extend([examples.output(row), u8::from(examples.label(row) > 0.5)]);
            bytes.extend(examples.weight(row).to_le_bytes());
            bytes.extend(examples.row(row).iter().flat_map(|input| input.to_le_bytes()));
            let groups = examples.groups_of(row);
            bytes.extend(u16::try_from(groups.len()).expect("a study has a few attributes").to_le_bytes());
            bytes.extend(groups.iter().flat_map(|group| group.to_le_bytes()));
        }
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn word(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("lengths of one person fit 32 bits").to_le_bytes()
}

/// Reads everybody but those who are `left_out`, whose examples are passed over one by one. Ids are not kept. The people of
/// the file, and of those the ones that were left out.
pub(super) fn read(
    input: &mut impl Read,
    width: usize,
    left_out: impl Fn(&str) -> bool,
) -> io::Result<(Loaded, [People; 2])> {
    if number(input)? as usize != width {
        return Err(malformed("the study's inputs"));
    }
    let mut loaded = Loaded::new(width);
    let training = read_role(input, &mut loaded.training, &left_out)?;
    let evaluation = read_role(input, &mut loaded.evaluation, &left_out)?;
    Ok((loaded, [training, evaluation]))
}

fn read_role(
    input: &mut impl Read,
    examples: &mut Examples,
    left_out: &impl Fn(&str) -> bool,
) -> io::Result<People> {
    let mut people = People { frozen: u64::from_le_bytes(bytes(input)?), left_out: 0 };
    let mut line = vec![0; 4 * examples.width()];
    let mut id = Vec::new();
    for _ in 0..people.frozen {
        let length = number(input)?;
        if length > ID_BYTES_MAX {
            return Err(malformed("an id"));
        }
        id.resize(length as usize, 0);
        input.read_exact(&mut id)?;
        let is_left_out = left_out(std::str::from_utf8(&id).map_err(|_| malformed("an id"))?);
        let mut rows = Vec::new();
        for _ in 0..number(input)? {
            let [output, label] = bytes(input)?;
            let label = match label {
                0 => 0.0,
                1 => 1.0,
                _ => return Err(malformed("an outcome")),
            };
            let weight = f32::from_le_bytes(bytes(input)?);
            if !(weight > 0.0 && weight <= 1.0) {
                return Err(malformed("a weight"));
            }
            input.read_exact(&mut line)?;
            let groups = (0..u16::from_le_bytes(bytes(input)?))
                .map(|_| Ok(u16::from_le_bytes(bytes(input)?)))
                .collect::<io::Result<Vec<u16>>>()?;
            if !is_left_out {
                let inputs = line.as_chunks::<4>().0.iter().map(|input| f32::from_le_bytes(*input)).collect();
                rows.push(Example { inputs, output, label, weight, groups });
            }
        }
        if is_left_out {
            people.left_out += 1;
        } else {
            examples.push_examples(rows);
        }
    }
    Ok(people)
}

fn number(input: &mut impl Read) -> io::Result<u32> {
    Ok(u32::from_le_bytes(bytes(input)?))
}

fn bytes<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("expected {what}"))
}
