//! `insufficient_follow_up`, and `followed_public`: the published curve of who is still observed.

use super::cohort::DAYS_MAX;
use crate::study::raw::{Ask, Section, Value, ask};
use crate::study::records::{AtRisk, Followed, ShortFollowUp};

const FOLLOWED: Ask = ask(
    "followed_public",
    "the published share of people still observed on each of some days, [{ day, share }], days rising and shares \
     from 1 down to 0.05 at the least; beside insufficient_follow_up = \"ipcw\" and nowhere else",
    "followed_public = [{ day = 30, share = 0.98 }, { day = 365, share = 0.85 }]",
);
/// Points of a published curve.
const POINTS_MAX: usize = 64;
/// Its lowest share: nobody is outweighed more than twenty times.
const SHARE_MIN: f64 = 0.05;

type Point = (u32, f64);

/// What `insufficient_follow_up` says, and for weights the curve beside it.
pub(super) fn short_follow_up(
    section: &Section<'_>,
    word: Option<&'static str>,
    at_risk: Option<&AtRisk>,
) -> Option<ShortFollowUp> {
    match word {
        None => {
            section.ignore(&[FOLLOWED.key]);
            None
        }
        Some("ipcw") => {
            let points = section.required(FOLLOWED, curve)?;
            let last = match at_risk? {
                AtRisk::Days { to, .. } => to.last().copied().unwrap_or_default(),
                AtRisk::Stay => {
                    section.wrong(
                        "insufficient_follow_up",
                        "\"drop\" or \"keep-if-outcome\" with until = \"stay-end\", which has no last day",
                        "\"ipcw\"",
                        "write insufficient_follow_up = \"drop\"",
                    );
                    return None;
                }
            };
            if points.last().is_some_and(|(day, _)| *day < last) {
                let expected = format!("a curve to the last horizon, day {last}");
                let found = points.last().map_or(0, |(day, _)| *day);
                let instead = format!("add {{ day = {last}, share = … }}");
                section.wrong(FOLLOWED.key, &expected, &format!("day {found} as the last"), &instead);
                return None;
            }
            Some(ShortFollowUp::Weighted(Followed { points }))
        }
        Some(word) => {
            section.optional(FOLLOWED, |v| {
                let expected = format!("nothing beside insufficient_follow_up = {word:?}: nobody is weighed");
                let instead = "remove it, or write insufficient_follow_up = \"ipcw\"";
                v.wrong_because::<()>(&expected, &v.shown(), instead)
            })?;
            Some(if word == "drop" { ShortFollowUp::Drop } else { ShortFollowUp::KeepIfOutcome })
        }
    }
}

/// The points; where one does not follow from the one before, it is named.
fn curve(value: &Value<'_>) -> Option<Vec<Point>> {
    if value.is_list() && value.length() == 0 {
        let instead = format!("write {}", FOLLOWED.example);
        return value.wrong_because(
            "at least one { day, share }, up to the last horizon",
            "an empty list",
            &instead,
        );
    }
    let mut before: Option<Point> = None;
    value.list(1..=POINTS_MAX, |item| {
        let point = point(item)?;
        let follows = before.map_or(Some(()), |before| follows(item, before, point));
        // The next is held against this one, even if it is wrong itself: each slip is told once.
        before = Some(point);
        follows.map(|()| point)
    })
}

fn point(item: &Value<'_>) -> Option<Point> {
    const DAY: Ask = ask("day", "a whole number of days from 1 to 36500", "day = 365");
    const SHARE: Ask = ask("share", "a number from 0.05 to 1", "share = 0.85");
    let point = item.section()?;
    let day = point.required(DAY, |v| v.small(1..=DAYS_MAX));
    let share = point.required(SHARE, |v| v.number(|share| (SHARE_MIN..=1.0).contains(&share)));
    point.finish();
    Some((day?, share?))
}

fn follows(item: &Value<'_>, before: Point, point: Point) -> Option<()> {
    let ((day_before, share_before), (day, share)) = (before, point);
    if day == day_before {
        let found = format!("day {day} a second time");
        return item.wrong_because("another day for each point", &found, "keep one of the two");
    }
    if day < day_before {
        let expected = format!("a day after {day_before}, that of the point before");
        return item.wrong_because(
            &expected,
            &format!("day {day}"),
            "write the points in the order of their days",
        );
    }
    if share > share_before {
        let expected = format!(
            "a share of at most {share_before}, that of day {day_before}: whoever is lost is not observed later"
        );
        let instead = "write the share of all people who are still observed on that day";
        return item.wrong_because(&expected, &format!("share {share} on day {day}"), instead);
    }
    Some(())
}
