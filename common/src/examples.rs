//! Examples: what a table becomes under a study, ready for training and evaluation.
//!
//! Persons are the unit: examples of one person are contiguous rows. Nothing here is ever printed
//! (`Debug` shows shapes only).

mod bytes;

pub use bytes::{ExampleFile, InvalidExamples, MAGIC};
use std::fmt;

/// One example: a person under one prediction of the study.
#[derive(Clone, PartialEq)] // No `Debug`: a patient's data.
pub struct Example {
    /// Encoded inputs.
    pub inputs: Vec<f32>,
    /// The index of the prediction, which is that of the model's output.
    pub output: u8,
    /// Its outcome, 0 or 1.
    pub label: f32,
    /// How much it counts, above 0 and at most 1: less than 1 only where a study weighs by a public curve.
    pub weight: f32,
    /// The index of the person's value in each attribute of the study, when they were asked about; and where the
    /// study tells later examples apart, its mark ([`crate::study::Split::mark`]).
    pub groups: Vec<u16>,
}

/// Rows of encoded inputs with their outcome, grouped by person.
///
/// Invariants: `inputs.len() == labels.len() * width`; `outputs`, `weights` and `groups` are as long as `labels`;
/// every weight is above 0 and at most 1; `person_rows` is non-decreasing, starts at 0 and ends at
/// `labels.len()`; person `i` owns rows `person_rows[i]..person_rows[i + 1]`.
#[derive(Clone, PartialEq)]
pub struct Examples {
    width: usize,
    inputs: Vec<f32>,
    outputs: Vec<u8>,
    labels: Vec<f32>,
    weights: Vec<f32>,
    person_rows: Vec<usize>,
    groups: Vec<Vec<u16>>,
}

impl Examples {
    /// No people yet; each example will have `width` inputs.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            width,
            inputs: Vec::new(),
            outputs: Vec::new(),
            labels: Vec::new(),
            weights: Vec::new(),
            person_rows: vec![0],
            groups: Vec::new(),
        }
    }

    /// Adds one person of a study with one prediction: rows of inputs with labels (0 or 1), and the index of
    /// their value in each attribute of the study.
    ///
    /// # Panics
    /// A row of another width, which is a bug of the caller.
    pub fn push_person(&mut self, rows: &[(Vec<f32>, f32)], groups: Vec<u16>) {
        rows.iter().for_each(|(inputs, label)| self.push_row(inputs, 0, (*label, 1.0), groups.clone()));
        self.person_rows.push(self.labels.len());
    }

    /// Adds one person with their examples of any prediction.
    ///
    /// # Panics
    /// As [`Examples::push_person`]; a weight that is not above 0 and at most 1.
    pub fn push_examples(&mut self, examples: Vec<Example>) {
        for Example { inputs, output, label, weight, groups } in examples {
            self.push_row(&inputs, output, (label, weight), groups);
        }
        self.person_rows.push(self.labels.len());
    }

    /// Adds one person of `other`.
    ///
    /// # Panics
    /// As [`Examples::push_person`]; a person that `other` does not have.
    pub fn push_from(&mut self, other: &Self, person: usize) {
        for row in other.rows_of(person) {
            let outcome = (other.label(row), other.weight(row));
            self.push_row(other.row(row), other.output(row), outcome, other.groups_of(row).to_vec());
        }
        self.person_rows.push(self.labels.len());
    }

    fn push_row(&mut self, inputs: &[f32], output: u8, (label, weight): (f32, f32), groups: Vec<u16>) {
        assert_eq!(inputs.len(), self.width, "a row has the study's width");
        assert!(weight > 0.0 && weight <= 1.0, "nobody counts for more than one");
        self.inputs.extend_from_slice(inputs);
        self.outputs.push(output);
        self.labels.push(label);
        self.weights.push(weight);
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
        self.person_rows.len() - 1
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

    /// How much one row counts, above 0 and at most 1.
    #[must_use]
    pub fn weight(&self, row: usize) -> f32 {
        self.weights[row]
    }

    /// The prediction that one row is an example of.
    #[must_use]
    pub fn output(&self, row: usize) -> u8 {
        self.outputs[row]
    }

    /// The rows of one prediction, in order.
    pub fn rows_for(&self, output: u8) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(move |&row| self.outputs[row] == output)
    }

    /// The person's value index in each attribute, at one row, and the row's mark: as [`Example::groups`].
    #[must_use]
    pub fn groups_of(&self, row: usize) -> &[u16] {
        &self.groups[row]
    }

    /// Everybody of `other` after everybody of `self`.
    ///
    /// # Panics
    /// Another width, which is a bug of the caller.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(self.width, other.width, "examples of one study have one width");
        let offset = self.labels.len();
        self.inputs.extend_from_slice(&other.inputs);
        self.outputs.extend_from_slice(&other.outputs);
        self.labels.extend_from_slice(&other.labels);
        self.weights.extend_from_slice(&other.weights);
        self.person_rows.extend(other.person_rows.iter().skip(1).map(|row| row + offset));
        self.groups.extend(other.groups.iter().cloned());
    }
}

impl fmt::Debug for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Examples(width {})", self.width)
    }
}
