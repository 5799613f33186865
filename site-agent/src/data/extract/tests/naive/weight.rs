//! How much an example counts, day by day along the published curve.

use super::{Asks, Naive, days_after};
use consilium_common::study::records::{Followed, ShortFollowUp};
use jiff::civil::{Date, DateTime};

impl Naive<'_> {
    /// How many like them are lost by the horizon, of those who are there when all is known of this one.
    pub(super) fn weight(&self, asks: Asks<'_>, predict: DateTime, settled: Option<Date>) -> f32 {
        let (ShortFollowUp::Weighted(Followed { points }), Some(horizon)) =
            (&asks.task.outcome.short_follow_up, asks.horizon)
        else {
            return 1.0;
        };
        let end = days_after(predict.date(), horizon.into());
        let known = settled.unwrap_or(end).clamp(predict.date(), end);
        let share = |until: Date| {
            // Day by day along the curve.
            let (mut today, mut day, mut share) = (predict.date(), 0, 1.0);
            while today < until {
                today = days_after(today, 1);
                let after = points.iter().position(|(at, _)| *at > day);
                if let Some(after) = after {
                    let (from, high) = if after == 0 { (0, 1.0) } else { points[after - 1] };
                    let (to, low) = points[after];
                    share -= (high - low) / f64::from(to - from);
                }
                day += 1;
            }
            share
        };
        (share(end) / share(known)) as f32
    }
}
