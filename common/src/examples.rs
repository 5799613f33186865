//! Examples: what a table becomes under a study, ready for training and evaluation.
//!
//! Persons are the unit: examples of one person are contiguous rows. Nothing here is ever printed
//! (`Debug` shows shapes only).

mod bytes;

pub use bytes::{ExampleFile, InvalidExamples, MAGIC};
use std::fmt;

/// Rows of encoded inputs with their outcome, grouped by person.
///
/// Invariants: `inputs.len() == labels.len() * width`; `person_rows` is non-decreasing, starts at
/// 0 and ends at `labels.len()`; person `i` owns rows `person_rows[i]..person_rows[i + 1]`;
/// `groups.len() == people()`.
#[derive(Clone, PartialEq)]
pub struct Examples {
    width: usize,
    inputs: Vec<f32>,
    labels: Vec<f32>,
    person_rows: Vec<usize>,
    groups: Vec<Vec<u16>>,
}

impl Examples {
    /// No people yet; each example will have `width` inputs.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, inputs: Vec::new(), labels: Vec::new(), person_rows: vec![0], groups: Vec::new() }
    }

    /// Adds one person: rows of inputs with labels (0 or 1), and the index of their value in each
    /// attribute of the study.
    ///
    /// # Panics
    /// A row of another width, which is a bug of the caller.
    pub fn push_person(&mut self, rows: &[(Vec<f32>, f32)], groups: Vec<u16>) {
        for (inputs, label) in rows {
            assert_eq!(inputs.len(), self.width, "a row has the study's width");
            self.inputs.extend_from_slice(inputs);
            self.labels.push(*label);
        }
        self.person_rows.push(self.labels.len());
        self.groups.push(groups);
    }

    /// Inputs per example.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// How many people.
    #[must_use]
    pub fn people(&self) -> usize {
        self.groups.len()
    }

    /// How many examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Nobody, or nobody with an example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The rows of one person.
    #[must_use]
    pub fn rows_of(&self, person: usize) -> std::ops::Range<usize> {
        self.person_rows[person]..self.person_rows[person + 1]
    }

    /// One row of inputs.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.inputs[row * self.width..(row + 1) * self.width]
    }

    /// One row's outcome, 0 or 1.
    #[must_use]
    pub fn label(&self, row: usize) -> f32 {
        self.labels[row]
    }

    /// One person's value index in each attribute.
    #[must_use]
    pub fn groups_of(&self, person: usize) -> &[u16] {
        &self.groups[person]
    }

    /// Everybody of `other` after everybody of `self`.
    ///
    /// # Panics
    /// Another width, which is a bug of the caller.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(self.width, other.width, "examples of one study have one width");
        let offset = self.labels.len();
        self.inputs.extend_from_slice(&other.inputs);
        self.labels.extend_from_slice(&other.labels);
        self.person_rows.extend(other.person_rows.iter().skip(1).map(|row| row + offset));
        self.groups.extend(other.groups.iter().cloned());
    }
}

impl fmt::Debug for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Examples(width {})", self.width)
    }
}
