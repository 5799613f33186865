//! Sorted runs of events: in memory, or spilled to a file in blocks.

use super::error::InvalidOmop;
use super::event::{Event, PersonId};
use super::moment::Moment;
use super::pack::{Packer, Unpacker};
use super::scratch::Scratch;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// A block is closed above so many bytes.
const BLOCK_BYTES: usize = 48 * 1024;
/// Longest block that is taken for one: an event is at most 100 bytes.
const BLOCK_BYTES_MAX: u32 = 64 * 1024;

/// Events in order, one after another.
pub(super) enum Run {
    Memory(Sorted),
    File(Spilled),
}

impl Run {
    pub(super) fn next(&mut self) -> Result<Option<Event>, InvalidOmop> {
        match self {
            Self::Memory(sorted) => Ok(sorted.next()),
            Self::File(spilled) => spilled.next(),
        }
    }
}

/// Events in memory, and the order of them. They are not moved: an event is larger than its place in the order.
pub(super) struct Sorted {
    events: Vec<Event>,
    order: Vec<u32>,
    next: usize,
}

impl Sorted {
    /// Sorts. At most 2^32 − 1 events.
    pub(super) fn new(events: Vec<Event>) -> Self {
        let mut order = Vec::new();
        sort(&events, &mut order);
        Self { events, order, next: 0 }
    }
}

impl Iterator for Sorted {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let at = *self.order.get(self.next)?;
        self.next += 1;
        Some(self.events[at as usize])
    }
}

/// The order of events. Neighbours of one person are moved together, which makes the large sort short where a table is
/// in order of people already; the sorts by time are then small enough for a core's own cache.
fn sort(events: &[Event], order: &mut Vec<u32>) {
    let mut spans: Vec<(PersonId, u32, u32)> = Vec::new();
    let mut from = 0;
    for span in events.chunk_by(|one, two| one.person == two.person) {
        let length = u32::try_from(span.len()).expect("a run's limit is far below");
        spans.push((span[0].person, from, from + length));
        from += length;
    }
    spans.sort_unstable();
    order.clear();
    order.reserve_exact(events.len());
    let mut times: Vec<(Moment, u32)> = Vec::new();
    for of_person in spans.chunk_by(|one, two| one.0 == two.0) {
        times.clear();
        let places = of_person.iter().flat_map(|(_, from, to)| *from..*to);
        times.extend(places.map(|at| (events[at as usize].time, at)));
        times.sort_unstable();
        for together in times.chunk_by(|one, two| one.0 == two.0) {
            let begun = order.len();
            order.extend(together.iter().map(|(_, at)| *at));
            if together.len() > 1 {
                order[begun..].sort_unstable_by(|one, two| events[*one as usize].cmp(&events[*two as usize]));
            }
        }
    }
}

/// Sorts events and writes them to a file; the events are gone from memory then.
pub(super) fn spill(events: &mut Vec<Event>, scratch: &Scratch, number: u64) -> Result<Run, InvalidOmop> {
    let mut order = Vec::new();
    sort(events, &mut order);
    let sorted = order.iter().map(|at| Ok(events[*at as usize]));
    let run = write(sorted, scratch, number)?;
    events.clear();
    Ok(run)
}

/// Writes events that are in order to a file.
pub(super) fn write(
    events: impl Iterator<Item = Result<Event, InvalidOmop>>,
    scratch: &Scratch,
    number: u64,
) -> Result<Run, InvalidOmop> {
    let mut file = scratch.file(number)?;
    let failed = |source| InvalidOmop::Scratch { path: scratch.path().to_owned(), source };
    let mut block = vec![0; 4];
    let mut packer = Packer::default();
    let mut close = |block: &mut Vec<u8>| {
        let length = u32::try_from(block.len() - 4).expect("a block is short");
        block[..4].copy_from_slice(&length.to_le_bytes());
        let written = file.write_all(block);
        block.truncate(4);
        written.map_err(failed)
    };
    for event in events {
        packer.pack(&event?, &mut block);
        if block.len() > BLOCK_BYTES {
            close(&mut block)?;
            packer = Packer::default();
        }
    }
    if block.len() > 4 {
        close(&mut block)?;
    }
    file.rewind().map_err(failed)?;
    Ok(Run::File(Spilled {
        file,
        path: scratch.path().to_owned(),
        block: Vec::new(),
        at: 0,
        unpacker: Unpacker::default(),
    }))
}

/// A run in a file; one block of it is in memory.
pub(super) struct Spilled {
    file: File,
    path: PathBuf,
    block: Vec<u8>,
    at: usize,
    unpacker: Unpacker,
}

impl Spilled {
    fn next(&mut self) -> Result<Option<Event>, InvalidOmop> {
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(None);
        }
        let mut rest = &self.block[self.at..];
        let event = self.unpacker.unpack(&mut rest).ok_or_else(|| damaged(&self.path))?;
        self.at = self.block.len() - rest.len();
        Ok(Some(event))
    }

    fn next_block(&mut self) -> Result<bool, InvalidOmop> {
        let failed = |source| InvalidOmop::Scratch { path: self.path.clone(), source };
        let mut length = [0; 4];
        match self.file.read(&mut length[..1]).map_err(failed)? {
            0 => return Ok(false),
            _ => self.file.read_exact(&mut length[1..]).map_err(failed)?,
        }
        let length = u32::from_le_bytes(length);
        if length == 0 || length > BLOCK_BYTES_MAX {
            return Err(damaged(&self.path));
        }
        self.block.resize(length as usize, 0);
        self.file.read_exact(&mut self.block).map_err(failed)?;
        self.at = 0;
        self.unpacker = Unpacker::default();
        Ok(true)
    }
}

fn damaged(path: &Path) -> InvalidOmop {
    let source = io::Error::other("a file came back otherwise than it was written");
    InvalidOmop::Scratch { path: path.to_owned(), source }
}
