//! Tables of the report, long ones folded.

use consilium_common::report::html::{Html, all, fill};

/// Rows of a table that are seen at once; those after them are folded away on a screen, and printed.
pub(super) const ROWS_SEEN: usize = 20;

/// A table; `heads` are literals, and the cells of a row HTML. A long one folds after [`ROWS_SEEN`] rows.
pub(super) fn table(heads: &[&'static str], rows: impl IntoIterator<Item = Vec<Html>>) -> Html {
    let mut seen: Vec<Vec<Html>> = rows.into_iter().collect();
    let more = seen.split_off(seen.len().min(ROWS_SEEN));
    if more.is_empty() {
        return whole_table(heads, seen);
    }
    let count = more.len();
    fill(
        "{}<details class=\"more\"><summary>{} more {} of this table</summary>{}</details>",
        &[
            &whole_table(heads, seen),
            &count,
            &if count == 1 { "row" } else { "rows" },
            &whole_table(heads, more),
        ],
    )
}

fn whole_table(heads: &[&'static str], rows: Vec<Vec<Html>>) -> Html {
    let heads = all(heads.iter().map(|head| fill("<th scope=\"col\">{}</th>", &[head])));
    let rows = rows.into_iter().map(|cells| {
        let mut cells = cells.into_iter();
        let first = cells.next().unwrap_or_default();
        let rest = all(cells.map(|cell| fill("<td>{}</td>", &[&cell])));
        fill("<tr><th scope=\"row\">{}</th>{}</tr>", &[&first, &rest])
    });
    fill(
        "<div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        &[&heads, &all(rows)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::report::html::text;

    #[test]
    fn long_tables_fold() {
        fn check(rows: usize, folded: Option<&str>) {
            let html = table(&["Row"], (0..rows).map(|row| vec![text(row.to_string())])).into_string();
            assert_eq!(html.matches("<tr><th scope=\"row\">").count(), rows, "no row is lost");
            match folded {
                None => assert!(!html.contains("<details"), "{html}"),
                Some(summary) => {
                    let (seen, more) = html.split_once("<details class=\"more\">").expect("folds");
                    assert_eq!(seen.matches("<tr><th scope=\"row\">").count(), ROWS_SEEN);
                    assert!(more.starts_with(&format!("<summary>{summary}</summary>")), "{more}");
                    assert!(more.contains("<th scope=\"col\">Row</th>"), "the rest has heads of its own");
                }
            }
        }
        check(0, None);
        check(20, None);
        check(21, Some("1 more row of this table"));
        check(184, Some("164 more rows of this table"));
    }
}
