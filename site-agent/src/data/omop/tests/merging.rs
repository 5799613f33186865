//! Spilling and merging is sorting, whatever the runs' size.

use super::super::event::Event;
use super::super::event::tests::{cooked, raw_event};
use super::super::merge::Merge;
use super::super::run::{self, Run, Sorted};
use super::super::scratch::Scratch;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_is_sorting(
        raw in proptest::collection::vec(raw_event(), 0..300),
        size in 1..40_usize,
        spilled in any::<u64>(),
    ) {
        let events: Vec<Event> = raw.iter().map(cooked).collect();
        let scratch = Scratch::new(None).expect("made");
        let mut runs = Vec::new();
        for (at, chunk) in events.chunks(size).enumerate() {
            let mut chunk = chunk.to_vec();
            if spilled >> (at % 64) & 1 == 1 {
                runs.push(run::spill(&mut chunk, &scratch, at as u64).expect("spilled"));
                prop_assert!(chunk.is_empty());
            } else {
                runs.push(Run::Memory(Sorted::new(chunk)));
            }
            if runs.len() == 5 {
                // As a thread does that has too many of them.
                let merged = Merge::new(std::mem::take(&mut runs)).expect("merges");
                runs.push(run::write(merged, &scratch, 1000 + at as u64).expect("written"));
            }
        }
        let merged: Vec<_> = Merge::new(runs).expect("merges").map(|event| event.expect("reads")).collect();
        let mut sorted = events;
        sorted.sort();
        prop_assert!(merged == sorted);
    }
}
