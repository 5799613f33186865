//! One person's events by what the study looks for, and the windows beside an index.

use super::bound;
use super::clock::Instant;
use super::plan::{Plan, Wanted};
use crate::data::omop::{Event, History, Period, Person};
use consilium_common::study::records::{DateOnly, Window};

/// Lists that are filled again for each person.
pub(super) struct Lists(Vec<Vec<u32>>);

/// One person, ready to be asked about. No `Debug`.
pub(super) struct Timeline<'a> {
    pub(super) person: &'a Person,
    pub(super) periods: &'a [Period],
    pub(super) events: &'a [Event],
    lists: &'a [Vec<u32>],
    date_only: DateOnly,
}

/// When a person is asked about, and by which entry event.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) entry: &'a Event,
    pub(super) index: Instant,
    pub(super) predict: Instant,
    /// Last day of the stretch of observation that the index lies in, days since 1970-01-01.
    pub(super) observed_to: i32,
}

impl Lists {
    pub(super) fn new(plan: &Plan<'_>) -> Self {
        Self(vec![Vec::new(); plan.criteria()])
    }

    /// Sorts a person's events by what they are wanted for.
    pub(super) fn fill<'a>(&'a mut self, plan: &Plan<'a>, history: &History<'a>) -> Timeline<'a> {
        self.0.iter_mut().for_each(Vec::clear);
        for (at, event) in history.events.iter().enumerate() {
            let at = u32::try_from(at).expect("at most EVENTS_PER_PERSON_MAX");
            for wanted in plan.wanted_by(event) {
                self.0[usize::from(*wanted)].push(at);
            }
        }
        bound::narrow(&mut self.0, plan, history.events);
        let History { person, periods, events } = *history;
        Timeline { person, periods, events, lists: &self.0, date_only: plan.records.date_only }
    }
}

impl<'a> Timeline<'a> {
    /// All such events, in the stream's order, so by day.
    pub(super) fn of(&self, wanted: Wanted) -> impl Iterator<Item = &'a Event> + use<'a> {
        let events = self.events;
        self.lists[wanted.0].iter().map(move |at| &events[*at as usize])
    }

    /// Places in [`Self::events`] of all such events.
    pub(super) fn places(&self, wanted: Wanted) -> &'a [u32] {
        &self.lists[wanted.0]
    }

    /// When an event began.
    pub(super) fn start(&self, event: &Event) -> Instant {
        Instant::of(event.time, self.date_only)
    }

    /// When an event ended: never before it began, whatever a date without a time means. None where no end is recorded.
    pub(super) fn end(&self, event: &Event) -> Option<Instant> {
        event.end.map(|end| Instant::of(end, self.date_only).max(self.start(event)))
    }

    /// Such events in a window, in the stream's order, with their times; none after the prediction time.
    pub(super) fn within(
        &self,
        wanted: Wanted,
        window: &Window,
        asked: &Asked<'_>,
    ) -> impl Iterator<Item = (Instant, &'a Event)> + use<'a> {
        let (days, from, to) = match window {
            Window::Days { from, to } => {
                let day = asked.index.day();
                ((day + from, day + to), Instant(i64::MIN), asked.predict)
            }
            Window::Hours { from, to } => {
                let from = asked.index.plus_hours((*from).into());
                let to = asked.index.plus_hours((*to).into()).min(asked.predict);
                ((from.day(), to.day()), from, to)
            }
        };
        let (events, date_only) = (self.events, self.date_only);
        let list = &self.lists[wanted.0];
        let day = |at: &u32| events[*at as usize].time.day().epoch_days();
        let first = list.partition_point(|at| day(at) < days.0);
        let past = first + list[first..].partition_point(|at| day(at) <= days.1);
        list[first..past]
            .iter()
            .map(move |at| {
                let event = &events[*at as usize];
                (Instant::of(event.time, date_only), event)
            })
            .filter(move |(start, _)| (from..=to).contains(start))
    }
}
