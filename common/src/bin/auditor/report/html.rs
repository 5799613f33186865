//! Text that becomes HTML: whatever is not a literal of this program is escaped, by type.

use std::fmt::Write as _;

/// Finished HTML.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Html(String);

/// What can stand in a gap of a template.
pub(super) trait Part {
    fn put(&self, out: &mut String);
}

/// The template with each `{}` filled by the next part: text escaped, [`Html`] as it is.
///
/// # Panics
/// Not one part per gap, which is a bug of this module's callers.
pub(super) fn fill(template: &'static str, parts: &[&dyn Part]) -> Html {
    let pieces: Vec<&str> = template.split("{}").collect();
    assert_eq!(pieces.len(), parts.len() + 1, "{template}");
    let mut out = pieces[0].to_owned();
    for (part, piece) in parts.iter().zip(&pieces[1..]) {
        part.put(&mut out);
        out.push_str(piece);
    }
    Html(out)
}

/// The pieces one after the other.
pub(super) fn all(pieces: impl IntoIterator<Item = Html>) -> Html {
    Html(pieces.into_iter().map(|piece| piece.0).collect())
}

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

/// Text as HTML.
pub(super) fn text(text: impl AsRef<str>) -> Html {
    fill("{}", &[&text.as_ref()])
}

impl Html {
    /// A literal.
    pub(super) fn raw(literal: &'static str) -> Self {
        Self(literal.to_owned())
    }

    /// The whole text.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Part for Html {
    fn put(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Part for str {
    fn put(&self, out: &mut String) {
        for c in self.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                // No control characters in HTML but white space.
                c if c.is_control() && !c.is_whitespace() => out.push('\u{fffd}'),
                c => out.push(c),
            }
        }
    }
}

impl Part for String {
    fn put(&self, out: &mut String) {
        self.as_str().put(out);
    }
}

impl<T: Part + ?Sized> Part for &T {
    fn put(&self, out: &mut String) {
        (**self).put(out);
    }
}

macro_rules! shown {
    ($($name:ty),*) => {$(
        impl Part for $name {
            fn put(&self, out: &mut String) {
                write!(out, "{self}").expect("a String takes all text");
            }
        }
    )*};
}
shown!(u32, u64, usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_html_is_not() {
        fn check(part: &dyn Part, expected: &str) {
            assert_eq!(fill("<p>{}</p>", &[part]).into_string(), format!("<p>{expected}</p>"));
        }
        check(&"a<b & 'c' \"d\">", "a&lt;b &amp; &#39;c&#39; &quot;d&quot;&gt;");
        check(&"{}", "{}");
        check(&"a\u{0}b\nc", "a\u{fffd}b\nc");
        check(&Html::raw("<b>x</b>"), "<b>x</b>");
        check(&7_u32, "7");
    }

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

    #[test]
    #[should_panic(expected = "<p>{} {}</p>")]
    fn a_gap_without_a_part_is_a_bug() {
        fill("<p>{} {}</p>", &[&"one"]);
    }
}
