//! Text that becomes HTML: whatever is not a literal of this program is escaped, by type.

use std::fmt::Write as _;

/// Finished HTML.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Html(String);

/// What can stand in a gap of a template.
pub trait Part {
    /// Appends it as HTML.
    fn put(&self, out: &mut String);
}

/// The template with each `{}` filled by the next part: text escaped, [`Html`] as it is.
///
/// # Panics
/// Not one part per gap, which is a bug of the caller.
#[must_use]
pub fn fill(template: &'static str, parts: &[&dyn Part]) -> Html {
    let mut pieces = template.split("{}");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    let mut filled = 0;
    for (piece, part) in pieces.zip(parts) {
        part.put(&mut out);
        out.push_str(piece);
        filled += 1;
    }
    assert_eq!((filled, template.matches("{}").count()), (parts.len(), parts.len()), "{template}");
    Html(out)
}

/// The pieces one after the other.
pub fn all(pieces: impl IntoIterator<Item = Html>) -> Html {
    Html(pieces.into_iter().map(|piece| piece.0).collect())
}

/// One of a template per item.
pub fn each<T: Part>(template: &'static str, items: impl IntoIterator<Item = T>) -> Html {
    all(items.into_iter().map(|item| fill(template, &[&item])))
}

/// Text as HTML.
pub fn text(text: impl AsRef<str>) -> Html {
    fill("{}", &[&text.as_ref()])
}

impl Html {
    /// A literal.
    #[must_use]
    pub fn raw(literal: &'static str) -> Self {
        Self(literal.to_owned())
    }

    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The whole text.
    #[must_use]
    pub fn into_string(self) -> String {
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

/// Coordinates of a drawing, to a hundredth.
impl Part for f64 {
    fn put(&self, out: &mut String) {
        // -0.00 would do, but reads badly.
        let rounded = (self * 100.0).round() / 100.0 + 0.0;
        write!(out, "{rounded}").expect("a String takes all text");
    }
}

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
        check(&-0.001, "0");
        check(&12.3456, "12.35");
        check(&text("<"), "&lt;");
    }

    #[test]
    #[should_panic(expected = "<p>{} {}</p>")]
    fn a_gap_without_a_part_is_a_bug() {
        let _ = fill("<p>{} {}</p>", &[&"one"]);
    }
}
