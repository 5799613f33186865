//! The fast way to the same draws: throw points under a staircase, keep those under the bell curve.
//!
//! Let f(m) = exp(−m²/2σ²) for m = 0, 1, 2, …, and draw it R rows high. The plane is cut into cells
//! of W integers by one row. Column k, the integers kW to kW + W − 1, gets its lowest ⌈R·f(kW)⌉
//! cells; since f falls, they cover the curve in that column. A candidate is a point thrown on the
//! cells: a cell, 2^12 of them, an integer of its W, and a real height in its row, each
//! uniform and independent. It is kept if it is under R·f; otherwise everything starts over.
//!
//! **Why this is exact.** Every (integer m, height y) under the staircase has the same density, so m
//! is kept with probability proportional to the length of {y: y < R·f(m)}, which is R·f(m), because
//! the staircase covers it. Nothing else is needed: not that the staircase is tight, not which R or
//! W it has. Those decide the speed only.
//!
//! **Why it is fast.** Most cells lie under the curve altogether, as R·f(kW + W − 1) ≥ row + 1. They
//! are marked so when the table is made, and a candidate there is kept without a look at its
//! height: one random word, one look into the table. For the few cells on the curve, see
//! [`Curve::covers`].
//!
//! **The tail** begins at τ = KW, where R·f(τ) ≤ 1, and is a staircase without end: steps of V
//! integers, step j = 0, 1, … with the height 2^-j rows. The width V is such that f falls to half
//! or less in each step, so the steps cover the curve. Together they have the area V·Σ2^-j = 2V of
//! 2V/W cells, and that many cells of the table stand for the tail. There, step j is drawn with
//! probability 2^-(j+1), which is its share of the area, and the point on it is uniform.

use rand_core::{CryptoRng, Rng};

use super::curve::{Curve, ONE, Point};
use super::{SecretRng, Variance};

/// Cells of the table: 2^12, of two bytes.
const CELL_BITS: u32 = 12;
const CELLS: usize = 1 << CELL_BITS;

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell(u16);

impl Cell {
    /// Beyond the staircase: nothing there is kept.
    const OUTSIDE: Self = Self(u16::MAX - 1);
    /// One of the tail's.
    const TAIL: Self = Self(u16::MAX - 3);

    fn new(column: usize, under_the_curve: bool) -> Self {
        let column = u16::try_from(column).expect("a few hundred columns");
        Self(2 * column + u16::from(under_the_curve))
    }

    fn is_under_the_curve(self) -> bool {
        self.0 & 1 == 1
    }

    fn column(self) -> u64 {
        u64::from(self.0 >> 1)
    }
}

/// A table for one σ.
pub(super) struct Staircase {
    curve: Curve,
    /// W is 2^width_bits.
    width_bits: u32,
    /// R.
    rows: u64,
    /// K.
    columns: usize,
    /// V is 2^tail_bits.
    tail_bits: u32,
    /// Column by column, each from the bottom; then the tail's, then those outside.
    cells: Box<[Cell; CELLS]>,
    /// For each column the number of its first cell.
    first_cells: Vec<u16>,
}

impl Staircase {
    /// The table for N_Z(0, σ²).
    pub(super) fn new(variance: Variance) -> Self {
        // The largest power of two up to σ/16, or one: 256 · W² ≤ σ².
        let mut width_bits = 0;
        while u128::from(variance.denominator) << (8 + 2 * (width_bits + 1)) <= u128::from(variance.numerator)
        {
            width_bits += 1;
        }
        let curve = Curve::new(variance, width_bits);
        // The most rows that fit, bit by bit.
        let mut rows = 0;
        for bit in (0..CELL_BITS).rev() {
            let more = rows | 1 << bit;
            if Plan::new(&curve, variance, width_bits, more).cells() <= CELLS as u64 {
                rows = more;
            }
        }
        let plan = Plan::new(&curve, variance, width_bits, rows);
        let mut cells = Vec::with_capacity(CELLS);
        let mut first_cells = Vec::new();
        for (column, &height) in plan.heights.iter().enumerate() {
            first_cells.push(u16::try_from(cells.len()).expect("2^12 cells"));
            let last = ((column as u64 + 1) << width_bits) - 1;
            let least = curve.at(last).expect("the columns end where f is over 1/R").low;
            let under = rows_down(rows, least);
            cells.extend((0..height).map(|row| Cell::new(column, row < under)));
        }
        cells.resize(cells.len() + plan.tail_cells() as usize, Cell::TAIL);
        cells.resize(CELLS, Cell::OUTSIDE);
        Self {
            rows,
            columns: plan.heights.len(),
            tail_bits: plan.tail_bits,
            cells: cells.into_boxed_slice().try_into().expect("resized to that many"),
            first_cells,
            width_bits,
            curve,
        }
    }

    /// Appends `n` independent draws.
    pub(super) fn fill(&self, rng: &mut SecretRng, n: usize, draws: &mut Vec<i64>) {
        let end = draws.len() + n;
        while draws.len() < end {
            let word = rng.next_u64();
            if let Some(draw) = self.candidate(rng, word) {
                draws.push(draw);
            }
        }
    }

    /// One point, thrown with `word` and, where that does not decide, more words: the integer if it
    /// is kept.
    ///
    /// Of the word, the highest 12 bits are the cell, the next is the sign, and the lowest, 26 at most,
    /// are the integer of the column. The sign makes two curves of one, and (−, 0) is not kept so that
    /// zero is not counted twice.
    #[inline]
    fn candidate<R: CryptoRng + ?Sized>(&self, rng: &mut R, word: u64) -> Option<i64> {
        let number = (word >> (64 - CELL_BITS)) as usize;
        let negative = word >> (63 - CELL_BITS) & 1 == 1;
        let offset = word & ((1 << self.width_bits) - 1);
        let cell = self.cells[number];
        let magnitude = if cell.is_under_the_curve() {
            cell.column() << self.width_bits | offset
        } else {
            self.on_the_curve(rng, cell, number, offset)?
        };
        if negative && magnitude == 0 {
            return None;
        }
        let value = magnitude as i64;
        Some(if negative { -value } else { value })
    }

    /// The magnitude in a cell that is not all under the curve, if its point is.
    #[cold]
    fn on_the_curve<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        cell: Cell,
        number: usize,
        offset: u64,
    ) -> Option<u64> {
        let point = match cell {
            Cell::OUTSIDE => return None,
            Cell::TAIL => self.tail_point(rng),
            _ => Point {
                magnitude: cell.column() << self.width_bits | offset,
                row: number as u64 - u64::from(self.first_cells[cell.column() as usize]),
                halvings: 0,
            },
        };
        self.curve.covers(rng, self.rows, &point).then_some(point.magnitude)
    }

    /// A point on the tail's steps: step j with probability 2^-(j+1), j being the number of zeros
    /// before the first one in a row of random bits.
    fn tail_point<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Point {
        let mut step = 0;
        let mut zeros = 64;
        while zeros == 64 {
            zeros = rng.next_u64().leading_zeros();
            step += zeros;
            assert!(step < 256, "the generator is broken: it gave 256 zeros");
        }
        let offset = rng.next_u64() & ((1 << self.tail_bits) - 1);
        let start = (self.columns as u64) << self.width_bits;
        Point { magnitude: start + (u64::from(step) << self.tail_bits) + offset, row: 0, halvings: step }
    }
}

/// ⌈rows · f⌉ for f in units of 2^-63.
fn rows_up(rows: u64, f: u64) -> u64 {
    (u128::from(rows) * u128::from(f)).div_ceil(u128::from(ONE)) as u64
}

/// ⌊rows · f⌋ for f in units of 2^-63.
fn rows_down(rows: u64, f: u64) -> u64 {
    (u128::from(rows) * u128::from(f) / u128::from(ONE)) as u64
}

/// How many cells each part of the staircase takes, for a number of rows.
struct Plan {
    /// Cells of each column.
    heights: Vec<u64>,
    width_bits: u32,
    tail_bits: u32,
}

impl Plan {
    fn new(curve: &Curve, variance: Variance, width_bits: u32, rows: u64) -> Self {
        let starts = (0..).map_while(|column| curve.start(column));
        let heights: Vec<u64> =
            starts.map(|f| rows_up(rows, f.high)).take_while(|&height| height > 1).collect();
        // From τ + jV to τ + (j+1)V, f falls to exp(−(2τV + (2j+1)V²)/2σ²) of itself, or less than half if
        // (2τ + V)·V ≥ 1.4σ², as 2·ln 2 < 1.4.
        let tail_start = (heights.len() as u128) << width_bits;
        let mut tail_bits = width_bits;
        while 10 * ((2 * tail_start + (1 << tail_bits)) << tail_bits) * u128::from(variance.denominator)
            < 14 * u128::from(variance.numerator)
        {
            tail_bits += 1;
        }
        Self { heights, width_bits, tail_bits }
    }

    /// 2V/W.
    fn tail_cells(&self) -> u64 {
        2 << (self.tail_bits - self.width_bits)
    }

    fn cells(&self) -> u64 {
        self.heights.iter().sum::<u64>() + self.tail_cells()
    }
}

#[cfg(test)]
mod tests;
