//! `[[opt_out]]` of `site-policy.toml`: where this hospital keeps the lists of people who said no.

use super::Policy;
use crate::toml_keys::Keys;
use std::path::{Path, PathBuf};

/// Longest name of a list and longest salt, bytes.
const TEXT_BYTES_MAX: usize = 200;

/// One list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutList {
    /// As studies name it in `governance.opt_out.honour`.
    pub name: String,
    /// Where it is.
    pub kept: Kept,
}

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The hospital says that it has nobody on such a list.
    Nobody,
    /// In a CSV file.
    File {
        /// An absolute path.
        path: PathBuf,
        /// What goes before an id where the file holds hashes; empty for none.
        salt: String,
    },
}

impl Policy {
    /// Whether the hospital has a list of this name, or says that nobody is on it.
    #[must_use]
    pub fn has_opt_out(&self, name: &str) -> bool {
        self.opt_outs.iter().any(|list| list.name == name)
    }
}

pub(super) fn read(root: &Keys<'_, '_>) -> Option<Vec<OptOutList>> {
    let lists = root.sections("opt_out", list)?;
    for (at, list) in lists.iter().enumerate() {
        if lists[..at].iter().any(|before| before.name == list.name) {
            return root.wrong_here(&format!("opt_out: two lists have the name {:?}", list.name));
        }
    }
    Some(lists)
}

fn list(keys: &Keys<'_, '_>) -> Option<OptOutList> {
    let name = keys.text("list", "the name of a list: letters, digits, _ and -", |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        ((1..=TEXT_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
    });
    let absolute = |text: &str| Path::new(text).is_absolute().then(|| PathBuf::from(text));
    let path = keys.optional_text("path", "an absolute path", absolute);
    let short = |text: &str| (text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned());
    let salt = keys.optional_text("salt", "a text of at most 200 bytes", short);
    let none = keys.optional_true("none");
    let kept = match (path?, salt?, none?) {
        (Some(path), salt, false) => Kept::File { path, salt: salt.unwrap_or_default() },
        (None, None, true) => Kept::Nobody,
        _ => {
            return keys.wrong_here(
                "expected either a path (and a salt where the file holds hashes) or none = true",
            );
        }
    };
    Some(OptOutList { name: name?, kept })
}

#[cfg(test)]
mod tests {
    use crate::policy::{DEFAULT, Kept, Policy};

    fn with(lists: &str) -> String {
        format!("{DEFAULT}\n{lists}")
    }

    #[test]
    fn lists() {
        assert!(Policy::parse(DEFAULT).expect("valid").opt_outs.is_empty());
        let text = with(
            "[[opt_out]]\nlist = \"site-register\"\npath = \"/srv/no.csv\"\n[[opt_out]]\nlist = \"uk-ndoo\"\npath = \
             \"/srv/ndoo.csv\"\nsalt = \"s1\"\n[[opt_out]]\nlist = \"ehds\"\nnone = true",
        );
        let policy = Policy::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let file = |path: &str, salt: &str| Kept::File { path: path.into(), salt: salt.into() };
        let expected = [file("/srv/no.csv", ""), file("/srv/ndoo.csv", "s1"), Kept::Nobody];
        assert_eq!(policy.opt_outs.iter().map(|list| list.kept.clone()).collect::<Vec<_>>(), expected);
        assert!(policy.has_opt_out("ehds") && !policy.has_opt_out("other"));
    }

    #[test]
    fn mistakes() {
        fn check(list: &str, expected: &str) {
            let error = Policy::parse(&with(list)).expect_err(list).to_string();
            assert!(error.contains(expected), "{list:?}: {error}");
        }
        check("[opt_out]\nlist = \"a\"", "opt_out: expected tables");
        check("[[opt_out]]\nlist = \"a b\"\nnone = true", "opt_out[1].list: expected the name of a list");
        check("[[opt_out]]\nnone = true", "opt_out[1].list: missing");
        check("[[opt_out]]\nlist = \"a\"", "opt_out[1]: expected either a path");
        check("[[opt_out]]\nlist = \"a\"\npath = \"/a\"\nnone = true", "opt_out[1]: expected either a path");
        check("[[opt_out]]\nlist = \"a\"\nsalt = \"s\"\nnone = true", "opt_out[1]: expected either a path");
        check("[[opt_out]]\nlist = \"a\"\nnone = false", "opt_out[1].none: expected true");
        check("[[opt_out]]\nlist = \"a\"\npath = \"a.csv\"", "opt_out[1].path: expected an absolute path");
        check("[[opt_out]]\nlist = \"a\"\nnone = true\nfile = \"x\"", "opt_out[1].file: unknown key");
        let twice = "[[opt_out]]\nlist = \"a\"\nnone = true\n[[opt_out]]\nlist = \"a\"\nnone = true";
        check(twice, "two lists have the name \"a\"");
    }
}
