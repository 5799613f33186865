//! Many sorted runs as one.

use super::error::InvalidOmop;
use super::event::Event;
use super::run::Run;

/// The smallest event of all runs, again and again.
///
/// The heads of the runs are a binary heap whose root is replaced: where one run goes on being the smallest, as with
/// tables that are in order of people already, an event costs two comparisons.
pub(super) struct Merge {
    runs: Vec<(Event, Run)>,
    /// Keys of the heads, and which run each is of.
    heap: Vec<(u128, usize)>,
}

impl Merge {
    pub(super) fn new(runs: Vec<Run>) -> Result<Self, InvalidOmop> {
        let mut merge = Self { runs: Vec::with_capacity(runs.len()), heap: Vec::with_capacity(runs.len()) };
        for mut run in runs {
            if let Some(event) = run.next()? {
                merge.heap.push((event.key(), merge.runs.len()));
                merge.runs.push((event, run));
            }
        }
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sink(at);
        }
        Ok(merge)
    }

    fn is_before(&self, one: (u128, usize), two: (u128, usize)) -> bool {
        one.0 < two.0 || (one.0 == two.0 && self.runs[one.1].0 < self.runs[two.1].0)
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if self.heap.get(child).is_some_and(|head| self.is_before(*head, self.heap[least])) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    fn take(&mut self) -> Result<Option<Event>, InvalidOmop> {
        let Some((_, at)) = self.heap.first().copied() else { return Ok(None) };
        let (head, run) = &mut self.runs[at];
        let event = *head;
        match run.next()? {
            Some(next) => {
                *head = next;
                self.heap[0].0 = next.key();
            }
            None => {
                self.heap.swap_remove(0);
            }
        }
        self.sink(0);
        Ok(Some(event))
    }
}

impl Iterator for Merge {
    type Item = Result<Event, InvalidOmop>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.take() {
            Ok(event) => event.map(Ok),
            Err(error) => {
                // What was read before is in order, but not all: nothing follows an error.
                self.heap.clear();
                Some(Err(error))
            }
        }
    }
}
