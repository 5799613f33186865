//! How well the model does in each group, or "too few people to say".

use super::ReportData;
use super::figures::Axis;
use super::number::with_interval;
use crate::metrics::Subgroup;
use consilium_common::report::figures::{grouped, trimmed};
use consilium_common::report::html::{Html, all, fill};

pub(super) fn section(data: &ReportData) -> Html {
    let groups = &data.metrics.subgroups;
    if groups.is_empty() && !data.is_evaluated() {
        return fill(
            "<section id=\"subgroups\"><h2>Groups of people</h2><p>{}</p></section>",
            &[&super::not_evaluated(data.stopped.as_ref())],
        );
    }
    if groups.is_empty() {
        return Html::raw(
            "<section id=\"subgroups\"><h2>Groups of people</h2><p>Not released: this study paid for no \
             subgroup.</p></section>",
        );
    }
    let axis = Axis::around(groups.iter().filter_map(|group| group.interval));
    let bodies =
        groups.chunk_by(|a, b| a.grouping == b.grouping && a.of == b.of).map(|of| grouping(data, of, axis));
    let suppressed = groups.iter().filter(|group| group.suppressed).count();
    let (whose, together) = data.counted_in_groups();
    let has_line =
        |group: &Subgroup| data.released_first(group.of.as_ref()).is_some_and(|m| m.auroc.is_some());
    let line = match suppressed < groups.len() && groups.iter().any(has_line) {
        true => format!(" The dashed line marks all people {together}."),
        false => String::new(),
    };
    let weighted = data.weighted().map_or_else(String::new, |weighted| {
        format!(" {weighted} “People” and “With the outcome” are sums of them, not heads.")
    });
    fill(
        "<section id=\"subgroups\"><h2>Groups of people</h2>\
         <p>The same model, judged group by group. People whose group is not recorded are a group of \
         their own. {} of {} groups have too few people to say: no number is given where its standard \
         error would be above {}, or with fewer than {} people with or without the outcome. A group \
         without a number is not a group without a problem.{}</p>\
         <div class=\"scroll\"><table><thead><tr><th scope=\"col\">Group</th><th scope=\"col\">People</th>\
         <th scope=\"col\">With the outcome</th><th scope=\"col\">AUROC (interval)</th>\
         <th scope=\"col\">{}</th><th scope=\"col\">Calibration in the large (interval)</th></tr></thead>{}\
         </table></div><p class=\"quiet\">Counts carry the noise of the release and are rounded to {}; those under {} \
         before rounding are not shown.{}{} Intervals of many groups are not corrected for there \
         being many.</p></section>",
        &[
            &suppressed,
            &groups.len(),
            &trimmed(data.study.subgroups.max_standard_error),
            &data.study.disclosure.min_count,
            &whose,
            &if suppressed < groups.len() { axis.ticks() } else { Html::none() },
            &all(bodies),
            &data.study.disclosure.round_to,
            &data.study.disclosure.min_count,
            &line,
            &weighted,
        ],
    )
}

fn grouping(data: &ReportData, groups: &[Subgroup], axis: Axis) -> Html {
    let order: Vec<&str> = groups.first().map_or("", |g| g.grouping.as_str()).split('*').collect();
    let name = |group: &Subgroup| {
        let values = order.iter().filter_map(|attribute| group.group.get(*attribute)).cloned();
        values.collect::<Vec<_>>().join(", ").replace('_', " ")
    };
    let of = groups.first().and_then(|group| group.of.as_ref());
    let overall = data.released_first(of).and_then(|m| m.auroc);
    let row = |group: &Subgroup| {
        if group.suppressed {
            return fill(
                "<tr><th scope=\"row\">{}</th><td colspan=\"5\" class=\"few\">too few people to say</td></tr>",
                &[&name(group)],
            );
        }
        let count = |count: Option<u64>| {
            count.map_or_else(|| format!("under {}", data.study.disclosure.min_count), |n| grouped(n as f64))
        };
        fill(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            &[
                &name(group),
                &count(group.people),
                &count(group.events),
                &with_interval(group.auroc, group.interval),
                &axis.whisker(group.auroc, group.interval, overall),
                &with_interval(group.calibration_in_the_large, group.calibration_in_the_large_interval),
            ],
        )
    };
    let mut title = order.join(" and ").replace('_', " ");
    if let Some(of) = of {
        title = format!("{title}: {}", of.words());
    }
    fill(
        "<tbody><tr class=\"grouping\"><th scope=\"rowgroup\" colspan=\"6\">By {}</th></tr>{}</tbody>",
        &[&title, &all(groups.iter().map(row))],
    )
}
