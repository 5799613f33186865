//! Draws a second, both methods, and the generator alone, which bounds them:
//! `cargo bench -p consilium-common --bench noise`. For figures on a busy machine read the fastest
//! column. OpenDP's sampler beside ours is in `tests/benches/noise.rs`.

use consilium_common::privacy::noise::{DiscreteGaussian, secret_rng};
use divan::Bencher;
use divan::counter::ItemsCount;
use rand_core::Rng as _;

const SIGMAS: [u64; 5] = [2, 300, 200_003, 1 << 18, 1 << 30];

fn main() {
    divan::main();
}

#[divan::bench]
fn words(bencher: Bencher<'_, '_>) {
    const WORDS: usize = 1_000_000;
    let mut rng = secret_rng([7; 32]);
    bencher.counter(ItemsCount::new(WORDS)).bench_local(|| (0..WORDS).fold(0, |sum, _| sum ^ rng.next_u64()));
}

/// A vector of a million, table included.
#[divan::bench(args = SIGMAS)]
fn table(bencher: Bencher<'_, '_>, sigma: u64) {
    vectors(bencher, sigma, 1_000_000);
}

/// The shortest vector that is drawn with a table: what making the table costs.
#[divan::bench(args = SIGMAS)]
fn table_of_256(bencher: Bencher<'_, '_>, sigma: u64) {
    vectors(bencher, sigma, 256);
}

/// The longest vector that is drawn one value at a time, by CKS20.
#[divan::bench(args = SIGMAS)]
fn single_draws(bencher: Bencher<'_, '_>, sigma: u64) {
    vectors(bencher, sigma, 255);
}

fn vectors(bencher: Bencher<'_, '_>, sigma: u64, draws: usize) {
    let noise = DiscreteGaussian::new(sigma).expect("in range");
    let mut rng = secret_rng([7; 32]);
    bencher.counter(ItemsCount::new(draws)).bench_local(|| noise.vector(&mut rng, draws));
}
