//! Events as few bytes: what a spilled run holds, and one form to compare two streams by.
//!
//! Each event is written as differences from the one before it in the same block; a block's first from nothing.

use super::event::{ConceptId, Domain, Event, PersonId, Value};
use super::moment::Moment;
use std::num::NonZeroI64;

/// Writes one event after another.
#[derive(Default)]
pub struct Packer {
    before: Before,
}

/// Reads them back.
#[derive(Default)]
pub(super) struct Unpacker {
    before: Before,
}

#[derive(Default)]
struct Before {
    person: i64,
    time: u64,
}

/// A domain's lower bits and its highest, which is apart from them: events of the first eight have the bytes that they
/// had when there were no more.
const DOMAIN: u16 = 7;
const DOMAIN_HIGH: u16 = 1 << 12;
const SAME_PERSON: u16 = 1 << 3;
const NUMBER_64: u16 = 1 << 4;
const NUMBER_32: u16 = 2 << 4;
const CODED: u16 = 3 << 4;
const VALUE: u16 = 3 << 4;
const END: u16 = 1 << 6;
const UNIT: u16 = 1 << 7;
const VISIT: u16 = 1 << 8;
const PROVENANCE: u16 = 1 << 9;
const STATUS: u16 = 1 << 10;
const CARE_SITE: u16 = 1 << 11;
const PROVIDER: u16 = 1 << 13;

impl Packer {
    /// Appends an event.
    pub fn pack(&mut self, event: &Event, into: &mut Vec<u8>) {
        let Event {
            person,
            time,
            domain,
            concept,
            end,
            value,
            unit,
            visit,
            provenance,
            status,
            care_site,
            provider,
        } = *event;
        let same_person = person.0 == self.before.person;
        let high = if domain as u16 > DOMAIN { DOMAIN_HIGH } else { 0 };
        let mut flags = domain as u16 & DOMAIN | high | if same_person { SAME_PERSON } else { 0 };
        flags |= match value {
            Value::None => 0,
            Value::Number(number) if narrow(number).is_some() => NUMBER_32,
            Value::Number(_) => NUMBER_64,
            Value::Concept(_) => CODED,
        };
        let there = [
            (END, end.is_some()),
            (UNIT, unit.is_some()),
            (VISIT, visit.is_some()),
            (PROVENANCE, provenance.is_some()),
            (STATUS, status.is_some()),
            (CARE_SITE, care_site.is_some()),
            (PROVIDER, provider.is_some()),
        ];
        flags |= there.iter().filter(|(_, there)| *there).fold(0, |flags, (flag, _)| flags | flag);
        into.extend(flags.to_le_bytes());
        if !same_person {
            write(into, person.0.wrapping_sub(self.before.person));
            self.before.time = 0;
        }
        write(into, time.to_bits().wrapping_sub(self.before.time).cast_signed());
        self.before = Before { person: person.0, time: time.to_bits() };
        write(into, concept.0);
        match value {
            Value::None => {}
            Value::Number(number) => match narrow(number) {
                Some(narrow) => into.extend(narrow.to_le_bytes()),
                None => into.extend(number.to_le_bytes()),
            },
            Value::Concept(concept) => write(into, concept.0),
        }
        if let Some(end) = end {
            write(into, end.to_bits().wrapping_sub(time.to_bits()).cast_signed());
        }
        for number in [unit.0, visit.map_or(0, NonZeroI64::get), provenance.0, status.0] {
            if number != 0 {
                write(into, number);
            }
        }
        for id in [care_site, provider].into_iter().flatten() {
            write(into, id.get());
        }
    }
}

impl Unpacker {
    /// The next event; takes its bytes off. None where they are no event.
    pub(super) fn unpack(&mut self, from: &mut &[u8]) -> Option<Event> {
        let (flags, rest) = from.split_first_chunk::<2>()?;
        *from = rest;
        let flags = u16::from_le_bytes(*flags);
        let high = if flags & DOMAIN_HIGH == 0 { 0 } else { DOMAIN + 1 };
        let domain = *Domain::WITH_NOTES.get(usize::from(flags & DOMAIN | high))?;
        if flags & SAME_PERSON == 0 {
            self.before.person = self.before.person.wrapping_add(read(from)?);
            self.before.time = 0;
        }
        self.before.time = self.before.time.wrapping_add(read(from)?.cast_unsigned());
        let time = Moment::from_bits(self.before.time)?;
        let concept = ConceptId(read(from)?);
        let value = match flags & VALUE {
            NUMBER_64 => Value::Number(f64::from_le_bytes(chunk(from)?)),
            NUMBER_32 => Value::Number(f32::from_le_bytes(chunk(from)?).into()),
            CODED => Value::Concept(ConceptId(read(from)?)),
            _ => Value::None,
        };
        let end = match flags & END {
            0 => None,
            _ => Some(Moment::from_bits(time.to_bits().wrapping_add(read(from)?.cast_unsigned()))?),
        };
        let mut field = |flag| if flags & flag == 0 { Some(0) } else { read(from) };
        let (unit, visit) = (ConceptId(field(UNIT)?), NonZeroI64::new(field(VISIT)?));
        let (provenance, status) = (ConceptId(field(PROVENANCE)?), ConceptId(field(STATUS)?));
        let (care_site, provider) = (NonZeroI64::new(field(CARE_SITE)?), NonZeroI64::new(field(PROVIDER)?));
        let person = PersonId(self.before.person);
        Some(Event {
            person,
            time,
            domain,
            concept,
            end,
            value,
            unit,
            visit,
            provenance,
            status,
            care_site,
            provider,
        })
    }
}

/// As 32 bits, where they hold the number exactly.
fn narrow(number: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "looked at on the next line")]
    let narrow = number as f32;
    (f64::from(narrow).to_bits() == number.to_bits()).then_some(narrow)
}

/// Seven bits a byte, the least first; small numbers of either sign are short.
fn write(into: &mut Vec<u8>, number: i64) {
    let mut rest = (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned();
    while rest >= 0x80 {
        into.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    into.push(rest.to_le_bytes()[0]);
}

fn read(from: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}

fn chunk<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*chunk)
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::{cooked, raw_event};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_back(raw in proptest::collection::vec(raw_event(), 0..50)) {
            let events: Vec<Event> = raw.iter().map(cooked).collect();
            let mut bytes = Vec::new();
            let mut packer = Packer::default();
            events.iter().for_each(|event| packer.pack(event, &mut bytes));
            let mut unpacker = Unpacker::default();
            let mut rest = bytes.as_slice();
            for event in &events {
                prop_assert!(unpacker.unpack(&mut rest) == Some(*event));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_events_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut unpacker = Unpacker::default();
            let mut rest = bytes.as_slice();
            while unpacker.unpack(&mut rest).is_some() {}
        }
    }
}
