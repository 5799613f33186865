//! What a misspelt name may have meant.

/// The known name that `name` looks like, for suggestions only.
pub(in crate::study) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let close = |(distance, known): &(usize, &str)| *distance <= 1.max(known.len() / 3);
    known.map(|known| (distance(name, known), known)).min().filter(close).map(|(_, known)| known)
}

/// Edit distance (Levenshtein's, and two neighbours that changed places are one slip), for suggestions only.
fn distance(left: &str, right: &str) -> usize {
    // A key longer than this is no misspelling of ours.
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(l != r);
            let swapped = i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r;
            let swapped = if swapped { rows[i - 1][j - 1] + 1 } else { usize::MAX };
            row.push(replaced.min(rows[i][j + 1] + 1).min(row[j] + 1).min(swapped));
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn what_was_meant() {
        fn check(name: &str, expected: Option<&str>) {
            let known = ["name", "from", "use", "levels", "people_public", "sexual_orientation"];
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
        check("form", Some("from"));
        check("frm", Some("from"));
        check("nmae", Some("name"));
        check("poeple_public", Some("people_public"));
        check("sexual_orientaton", Some("sexual_orientation"));
        check("mrof", None);
        check("zz", None);
        check("", None);
    }
}
