//! Whose examples are whose: what opt-out lists are held against. Nothing here has `Debug`.

/// The ids of some people, in the order of their examples, packed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PersonIds {
    text: String,
    /// Where each id ends in `text`.
    ends: Vec<usize>,
}

/// The people of both roles.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Whose {
    /// Training people.
    pub training: PersonIds,
    /// Evaluation people.
    pub evaluation: PersonIds,
}

impl PersonIds {
    /// Adds the next person, spaces around the id cut off.
    pub fn push(&mut self, id: &str) {
        self.text.push_str(id.trim());
        self.ends.push(self.text.len());
    }

    /// How many people.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_in_order() {
        let mut ids = PersonIds::default();
        assert!(ids.is_empty());
        for id in [" a7 ", "", "é", "10"] {
            ids.push(id);
        }
        assert_eq!((ids.iter().collect::<Vec<_>>(), ids.len()), (vec!["a7", "", "é", "10"], 4));
    }
}
