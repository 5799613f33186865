//! Drawings as inline SVG. Colours are classes of the page's style sheet, so that they follow light,
//! dark and paper; each kind differs in shape or dash as well as in colour.

use super::RocCurve;
use super::number::metric;
use crate::metrics::LOCAL;
use consilium_common::evaluation::curve::CalibrationPoint;
use consilium_common::report::figures::trimmed;
use consilium_common::report::html::{Html, Part as _, all, each, fill};

/// Corner and size of the plotting area of a square figure, in its own units.
const LEFT: f64 = 52.0;
const TOP: f64 = 12.0;
const SIDE: f64 = 300.0;

/// A square figure with both axes from 0 to `end`.
fn square(label: &str, axes: (&str, &str), end: f64, inside: &Html) -> Html {
    let ticks = (0..=4).map(|quarter| {
        let share = f64::from(quarter) / 4.0;
        let (x, y) = (LEFT + share * SIDE, TOP + (1.0 - share) * SIDE);
        let text = trimmed(share * end);
        fill(
            "<line class=\"grid\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\
             <line class=\"grid\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            &[
                &x,
                &TOP,
                &x,
                &(TOP + SIDE),
                &LEFT,
                &y,
                &(LEFT + SIDE),
                &y,
                &x,
                &(TOP + SIDE + 17.0),
                &text,
                &(LEFT - 7.0),
                &(y + 4.0),
                &text,
            ],
        )
    });
    fill(
        "<svg viewBox=\"0 0 364 356\" role=\"img\" aria-label=\"{}\">{}\
         <line class=\"even\" x1=\"52\" y1=\"312\" x2=\"352\" y2=\"12\"/>{}\
         <text x=\"202\" y=\"350\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(10 162) rotate(-90)\" text-anchor=\"middle\">{}</text></svg>",
        &[&label, &all(ticks), inside, &axes.0, &axes.1],
    )
}

/// ROC curves, the released model's with its band.
pub(super) fn roc(curves: &[RocCurve]) -> Html {
    let place = |(x, y): (f64, f64)| fill("{},{}", &[&(LEFT + x * SIDE), &(TOP + (1.0 - y) * SIDE)]);
    let band = |curve: &RocCurve| {
        let end = |of: fn(&(f64, f64)) -> f64| {
            curve.points.iter().zip(&curve.band).map(move |(point, ends)| (point.0, of(ends)))
        };
        let around: Vec<(f64, f64)> = end(|ends| ends.0).chain(end(|ends| ends.1).rev()).collect();
        if around.is_empty() {
            return Html::none();
        }
        fill("<polygon class=\"band\" points=\"{}\"/>", &[&each("{} ", around.into_iter().map(place))])
    };
    let line = |curve: &RocCurve| {
        let points = each("{} ", curve.points.iter().copied().map(place));
        fill("<polyline class=\"line {}\" points=\"{}\"/>", &[&kind(curve), &points])
    };
    let names: Vec<&str> = curves.iter().map(|curve| curve.model.as_str()).collect();
    let label = format!("ROC curve of {}: a curve further to the upper left is better.", names.join(", "));
    square(
        &label,
        (
            "share of people without the outcome who are named",
            "share of people with the outcome who are found",
        ),
        1.0,
        // The released model's comes first in the list and is drawn on top.
        &all(curves.iter().map(band).chain(curves.iter().rev().map(line))),
    )
}

/// The class of the lines of sites alone.
pub(super) const LOCAL_KIND: &str = "k2";

/// The class of a curve's line: released, everybody pooled, or one site alone.
pub(super) fn kind(curve: &RocCurve) -> &'static str {
    match curve {
        curve if !curve.band.is_empty() => "k0",
        curve if curve.model.starts_with(LOCAL) => LOCAL_KIND,
        _ => "k1",
    }
}

/// Observed against predicted, with intervals.
pub(super) fn calibration(points: &[CalibrationPoint]) -> Html {
    const ENDS: [f64; 10] = [0.04, 0.08, 0.12, 0.2, 0.28, 0.4, 0.52, 0.6, 0.8, 1.0];
    // One long bar must not press all points into a corner: what reaches past twice the points is cut.
    let place_of = |point: &CalibrationPoint| point.predicted.max(point.observed.value);
    let most = 2.0 * points.iter().map(place_of).fold(0.0, f64::max);
    let bars = points.iter().map(|point| point.observed.interval.1).fold(most / 2.0, f64::max);
    let end = ENDS.into_iter().find(|end| *end >= bars.min(most)).unwrap_or(1.0);
    let place = |x: f64, y: f64| (LEFT + x / end * SIDE, TOP + (1.0 - y / end) * SIDE);
    let mark = |point: &CalibrationPoint| {
        let (x, y) = place(point.predicted, point.observed.value);
        let (low, high) = point.observed.interval;
        let (bottom, top) = (place(0.0, low).1, place(0.0, high.min(end)).1);
        // No cap on a bar that goes on outside.
        let cap = if high > end {
            Html::none()
        } else {
            fill("<path class=\"whisker\" d=\"M{} {}h8\"/>", &[&(x - 4.0), &top])
        };
        fill(
            "<path class=\"whisker\" d=\"M{} {}V{}M{} {}h8\"/>{}\
             <circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"4.5\"/>",
            &[&x, &bottom, &top, &(x - 4.0), &bottom, &cap, &x, &y],
        )
    };
    square(
        "Calibration: observed share with the outcome against predicted share, with intervals. Points on \
         the diagonal are right, points above it are predicted too low.",
        ("predicted", "observed"),
        end,
        &all(points.iter().map(mark)),
    )
}

/// A stretch of the AUROC axis that holds everything in a table.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// Around these intervals, in steps of 0.05, at least 0.2 wide.
    pub(super) fn around(intervals: impl IntoIterator<Item = [f64; 2]>) -> Self {
        let (low, high) = intervals
            .into_iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), [a, b]| (low.min(a), high.max(b)));
        if low > high {
            return Self { low: 0.5, high: 1.0 };
        }
        let high = ((high * 20.0).ceil() / 20.0).clamp(0.2, 1.0);
        let low = ((low * 20.0).floor() / 20.0).clamp(0.0, high - 0.2);
        Self { low, high }
    }

    fn x(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * 150.0 + 5.0
    }

    /// Over a column of whiskers.
    pub(super) fn ticks(self) -> Html {
        fill(
            "<svg class=\"mini\" viewBox=\"0 0 160 18\" aria-hidden=\"true\"><text x=\"5\" y=\"13\">{}</text>\
             <text x=\"80\" y=\"13\" text-anchor=\"middle\">{}</text>\
             <text x=\"155\" y=\"13\" text-anchor=\"end\">{}</text></svg>",
            &[&trimmed(self.low), &trimmed(f64::midpoint(self.low, self.high)), &trimmed(self.high)],
        )
    }

    /// A value with its interval, beside the numbers in a table; the dashed line is at `overall`.
    pub(super) fn whisker(
        self,
        value: Option<f64>,
        interval: Option<[f64; 2]>,
        overall: Option<f64>,
    ) -> Html {
        let line = overall.map_or_else(Html::none, |value| {
            let x = self.x(value);
            fill("<line class=\"even\" x1=\"{}\" y1=\"0\" x2=\"{}\" y2=\"18\"/>", &[&x, &x])
        });
        let reach = interval.map_or_else(Html::none, |[from, to]| {
            fill("<path class=\"whisker\" d=\"M{} 9H{}\"/>", &[&self.x(from), &self.x(to)])
        });
        let dot = value.map_or_else(Html::none, |value| {
            fill("<circle class=\"dot\" cx=\"{}\" cy=\"9\" r=\"4.5\"/>", &[&self.x(value)])
        });
        // The numbers are in the cell before: this is for the eye alone.
        fill(
            "<svg class=\"mini\" viewBox=\"0 0 160 18\" aria-hidden=\"true\">{}{}{}</svg>",
            &[&line, &reach, &dot],
        )
    }
}

/// One bar of a budget: what it is of, parts that were spent, and the cap.
pub(super) struct Bar {
    pub(super) site: String,
    pub(super) who: &'static str,
    /// ε and the class of its colour.
    pub(super) parts: Vec<(f64, &'static str)>,
    pub(super) cap: f64,
}

/// Spent and left, one bar per site and kind of people.
pub(super) fn budget(bars: &[Bar]) -> Html {
    const START: f64 = 250.0;
    const WIDTH: f64 = 370.0;
    const STEP: f64 = 26.0;
    let end = bars.iter().map(|bar| bar.cap.max(bar.parts.iter().map(|p| p.0).sum())).fold(0.0, f64::max);
    let scale = if end > 0.0 { WIDTH / end } else { 0.0 };
    let mut drawn = Vec::new();
    let mut site = "";
    let mut y = 8.0;
    for bar in bars {
        let first = site != bar.site;
        if first && !site.is_empty() {
            y += 8.0;
        }
        site = &bar.site;
        let name = if first { bar.site.as_str() } else { "" };
        drawn.push(fill(
            "<text class=\"strong\" x=\"0\" y=\"{}\">{}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"left\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"16\"/>",
            &[&(y + 13.0), &name, &(START - 8.0), &(y + 13.0), &bar.who, &START, &y, &(bar.cap * scale)],
        ));
        let mut from = START;
        for (epsilon, class) in &bar.parts {
            drawn.push(fill(
                "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"16\"/>",
                &[class, &from, &y, &(epsilon * scale)],
            ));
            from += epsilon * scale;
        }
        let cap = START + bar.cap * scale;
        drawn.push(fill(
            "<line class=\"cap\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            &[
                &cap,
                &(y - 3.0),
                &cap,
                &(y + 19.0),
                &(cap + 6.0),
                &(y + 13.0),
                &format!("cap {}", trimmed(bar.cap)),
            ],
        ));
        y += STEP;
    }
    let mut height = String::new();
    y.put(&mut height);
    fill(
        "<svg class=\"wide\" viewBox=\"0 0 700 {}\" role=\"img\" aria-label=\"Privacy budget by site: what was \
         spent, what is left, and the cap. The table below has the numbers.\">{}</svg>",
        &[&height, &all(drawn)],
    )
}

/// AUROC after each checkpoint that was paid for.
pub(super) fn learning(points: &[super::LearningPoint]) -> Html {
    let last = points.iter().map(|p| p.round).max().unwrap_or(1).max(1);
    let Axis { low, high } = Axis::around(points.iter().map(|p| p.interval));
    let x = |round: u32| 52.0 + f64::from(round) / f64::from(last) * 560.0;
    let y = |auroc: f64| 12.0 + (high - auroc) / (high - low) * 200.0;
    let ticks = (0..=4).map(|quarter| {
        let value = low + (high - low) * f64::from(quarter) / 4.0;
        fill(
            "<line class=\"grid\" x1=\"52\" y1=\"{}\" x2=\"612\" y2=\"{}\"/>\
             <text x=\"45\" y=\"{}\" text-anchor=\"end\">{}</text>",
            &[&y(value), &y(value), &(y(value) + 4.0), &trimmed(value)],
        )
    });
    let marks = points.iter().map(|p| {
        fill(
            "<path class=\"whisker\" d=\"M{} {}V{}\"/><circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"4\"/>\
             <text x=\"{}\" y=\"230\" text-anchor=\"middle\">{}</text>",
            &[
                &x(p.round),
                &y(p.interval[0]),
                &y(p.interval[1]),
                &x(p.round),
                &y(p.auroc),
                &x(p.round),
                &p.round,
            ],
        )
    });
    let label = points.iter().map(|p| format!("round {}: {}", p.round, metric(Some(p.auroc))));
    fill(
        "<svg class=\"wide\" viewBox=\"0 0 630 256\" role=\"img\" aria-label=\"AUROC by round. {}\">{}{}\
         <text x=\"332\" y=\"250\" text-anchor=\"middle\">round</text></svg>",
        &[&label.collect::<Vec<_>>().join(", "), &all(ticks), &all(marks)],
    )
}
