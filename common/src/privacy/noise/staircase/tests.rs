//! The table, cell by cell, and every candidate that it can give: no statistics here. A mutant is a
//! table with one thing wrong.

use super::super::curve::scaled_exp;
use super::super::script::Script;
use super::*;

const SMALL: [(u64, u64); 7] = [(1, 4), (1, 1), (4, 1), (7, 3), (256, 1), (1600, 1), (90_000, 1)];
const LARGE: [(u64, u64); 5] = [(1 << 24, 1), (1 << 36, 1), (40_000_000_000, 1), (1 << 40, 1), (1 << 60, 1)];

fn table((numerator, denominator): (u64, u64)) -> (Staircase, Variance) {
    let variance = Variance { numerator, denominator };
    (Staircase::new(variance), variance)
}

/// ⌊rows · 2^halvings · f(m) · 2^64⌋, from the series to four words (whose bounds agree to 64 bits
/// unless a test is unlucky, and then differ by one).
fn scaled(rows: u64, halvings: u32, m: u64, variance: Variance) -> u128 {
    if m == 0 {
        return u128::from(rows) * ROW;
    }
    let (low, _) = scaled_exp(rows, halvings, m, variance, 4);
    assert_eq!(low.word(5), 0);
    u128::from(low.word(4)) << 64 | u128::from(low.word(3))
}

const ROW: u128 = 1 << 64;

/// What is wrong with a table, by the definitions in the module's text: the cells of each column
/// cover the curve, the marked ones are under it, the tail's steps cover it and have its cells'
/// area. The curve is that of the long series.
fn faults(table: &Staircase, variance: Variance) -> Vec<String> {
    let (rows, width) = (table.rows, 1_u64 << table.width_bits);
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let mut number = 0;
    for column in 0..table.columns {
        must(usize::from(table.first_cells[column]) == number, format!("column {column} begins elsewhere"));
        let first = column as u64 * width;
        let (top, last) = (scaled(rows, 0, first, variance), scaled(rows, 0, first + width - 1, variance));
        let mut height = 0;
        while number < CELLS && table.cells[number].0 >> 1 == column as u16 {
            if table.cells[number].is_under_the_curve() {
                must((height + 1) * ROW <= last, format!("column {column}: cell {height} is not under"));
            }
            (height, number) = (height + 1, number + 1);
        }
        // `top` is cut: the curve may be up to a unit higher.
        must(
            height * ROW > top || (column == 0 && height * ROW == top),
            format!("column {column} is too low"),
        );
        must((height - 1) * ROW <= top, format!("column {column} is too high"));
    }
    let tail = table.cells[number..].iter().take_while(|cell| **cell == Cell::TAIL).count();
    must(tail as u64 * width == 2 << table.tail_bits, format!("the tail has {tail} cells"));
    must(table.cells[number + tail..].iter().all(|cell| *cell == Cell::OUTSIDE), "cells of nothing".into());
    must(CELLS - number - tail < 128, "more rows would fit".into());
    // The first steps by their heights; the later ones fall faster still.
    let start = table.columns as u64 * width;
    for step in 0..40 {
        let m = start + (u64::from(step) << table.tail_bits);
        must(scaled(rows, step, m, variance) < ROW, format!("step {step} is too low"));
    }
    faults
}

#[test]
fn tables_are_right() {
    for case in SMALL.into_iter().chain(LARGE) {
        let (table, variance) = table(case);
        assert_eq!(faults(&table, variance), [""; 0], "{case:?}");
    }
    // Any σ.
    for sigma in (1..200).chain([(1 << 18) + 12_345, 1_000_003, (1 << 30) - 1]) {
        let (table, variance) = table((sigma * sigma, 1));
        assert_eq!(faults(&table, variance), [""; 0], "σ = {sigma}");
    }
}

/// For a word and what follows it, except the height: how many of the 2^64 first words of the
/// height keep the candidate, and the draw.
fn kept(table: &Staircase, words: &[u64]) -> Option<(i64, u128)> {
    let attempt = |height: u64| {
        // Where the first word of the height does not decide, the rest is nearly zero.
        let rest = [&words[1..], &[height], &[0; 32]].concat();
        let length = rest.len();
        let mut script = Script(rest);
        (table.candidate(&mut script, words[0]), script.0.len() == length)
    };
    let (lowest, without_height) = attempt(0);
    let draw = lowest?;
    if without_height {
        return Some((draw, ROW));
    }
    // The least height that is not kept, by bisection; all of them may be.
    let (mut low, mut high) = (0, ROW);
    while high - low > 1 {
        let middle = (low + high) / 2;
        match attempt(middle as u64).0 {
            Some(same) => {
                assert_eq!(same, draw);
                low = middle;
            }
            None => high = middle,
        }
    }
    Some((draw, high))
}

/// Whether every integer outside the tail is kept in proportion to rows · f exactly, and every step
/// of the tail too: all cells, signs and integers of a column are tried, and of each the share of
/// heights that keep it is found to 2^-64.
fn gives_the_law(table: &Staircase, variance: Variance) -> bool {
    let width = 1_u64 << table.width_bits;
    let mut weights = std::collections::BTreeMap::<i64, u128>::new();
    let mut tail_cells = 0;
    for number in 0..CELLS as u64 {
        if table.cells[number as usize] == Cell::TAIL {
            tail_cells += 1;
            continue;
        }
        for (sign, offset) in (0..2).flat_map(|sign| (0..width).map(move |offset| (sign, offset))) {
            let word = number << (64 - CELL_BITS) | sign << (63 - CELL_BITS) | offset;
            if let Some((draw, share)) = kept(table, &[word]) {
                *weights.entry(draw).or_default() += share;
            }
        }
    }
    let end = (table.columns as u64 * width) as i64;
    let all_there = weights.len() as i64 == 2 * end - 1 && weights.keys().all(|y| y.abs() < end);
    // One unit for each of the at most two cells that the curve passes over one integer.
    let columns_right = weights
        .iter()
        .all(|(y, share)| share.abs_diff(scaled(table.rows, 0, y.unsigned_abs(), variance)) <= 2);
    // The tail: its cells come as often as 2V/W others, step j and an integer of it as often as
    // 2^-(j+1)/V of them, and so each (integer, sign) as often as 2^-j/W cells, as outside the
    // tail. There the heights are 2^-j rows.
    let cell = table.cells.iter().position(|cell| *cell == Cell::TAIL);
    let steps = if variance.numerator > 2000 { 3 } else { 9 };
    let tail_right = tail_cells * width == 2 << table.tail_bits
        && (0..steps).all(|step| {
            (0..1_u64 << table.tail_bits).all(|offset| {
                let word = (cell.expect("counted") as u64) << (64 - CELL_BITS);
                let m = end as u64 + (u64::from(step) << table.tail_bits) + offset;
                let share = scaled(table.rows, step, m, variance);
                // A share under one word of heights is not seen.
                match kept(table, &[word, 1 << (63 - step), offset]) {
                    Some((draw, found)) => draw as u64 == m && found.abs_diff(share) <= 2,
                    None => share <= 1,
                }
            })
        });
    all_there && columns_right && tail_right
}

#[test]
fn every_candidate_has_its_probability() {
    for case in SMALL {
        let (table, variance) = table(case);
        assert!(gives_the_law(&table, variance), "{case:?}");
    }
}

/// The two tests above can fail: one thing is wrong with each of these.
#[test]
fn mutants_are_found() {
    type Change = fn(&mut Staircase);
    let changes: [(&str, Change); 7] = [
        ("one cell marked as under the curve", |t| {
            let cell = t.cells.iter().position(|c| !c.is_under_the_curve()).expect("some are not");
            t.cells[cell].0 |= 1;
        }),
        ("all cells kept", |t| {
            t.cells.iter_mut().filter(|c| c.0 < Cell::TAIL.0).for_each(|c| c.0 |= 1);
        }),
        ("a column one cell short", |t| {
            let second = usize::from(t.first_cells[1]);
            t.cells[second - 1] = t.cells[second];
            t.first_cells[1] -= 1;
        }),
        ("no tail", |t| {
            t.cells.iter_mut().filter(|c| **c == Cell::TAIL).for_each(|c| *c = Cell::OUTSIDE);
        }),
        ("one cell of tail more", |t| {
            *t.cells.iter_mut().find(|c| **c == Cell::OUTSIDE).expect("some room is left") = Cell::TAIL;
        }),
        ("a row more than planned for", |t| t.rows += 1),
        ("tail steps twice as wide", |t| t.tail_bits += 1),
    ];
    for case in [(4, 1), (1600, 1)] {
        for (name, change) in changes {
            let (mut broken, variance) = table(case);
            change(&mut broken);
            assert_ne!(faults(&broken, variance), [""; 0], "{name} passes the audit for {case:?}");
            assert!(!gives_the_law(&broken, variance), "{name} passes for {case:?}");
        }
        // One percent of σ: another table altogether.
        let (_, variance) = table(case);
        let wide =
            Variance { numerator: variance.numerator * 10_201, denominator: variance.denominator * 10_000 };
        let broken = Staircase::new(wide);
        assert_ne!(faults(&broken, variance), [""; 0]);
        assert!(!gives_the_law(&broken, variance));
    }
}

/// Step j of the tail comes with probability 2^-(j+1), beyond one word too.
#[test]
fn tail_steps() {
    let (table, _) = table((1 << 36, 1));
    let start = (table.columns as u64) << table.width_bits;
    let check = |words: &[u64], step: u32, offset| {
        let point = table.tail_point(&mut Script(words.to_vec()));
        let expected = (start + (u64::from(step) << table.tail_bits) + offset, 0, step);
        assert_eq!((point.magnitude, point.row, point.halvings), expected, "{words:x?}");
    };
    check(&[u64::MAX, 5], 0, 5);
    check(&[1 << 63, u64::MAX], 0, (1 << table.tail_bits) - 1);
    check(&[1 << 60, 0], 3, 0);
    check(&[1, 7], 63, 7);
    check(&[0, u64::MAX, 7], 64, 7);
    check(&[0, 0, 1, 9], 191, 9);
}
