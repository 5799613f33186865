//! What a draw of exact noise costs, ours (long vectors and short) beside OpenDP's in the same run.
//! Ours alone, without building everything: `common/benches/noise.rs`.
//!
//! `cargo bench --workspace --bench noise`; without optimising everything,
//! `cargo bench --profile dev --workspace --bench noise` gives a usable ratio.

use consilium_common::privacy::noise::{DiscreteGaussian, secret_rng};
use divan::counter::ItemsCount;
use opendp::traits::samplers::sample_discrete_gaussian;

const SIGMAS: [u64; 4] = [4, 1 << 10, 1 << 18, 1 << 30];

fn main() {
    divan::main();
}

/// A vector of a million, drawn with a table.
#[divan::bench(args = SIGMAS)]
fn ours_long(bencher: divan::Bencher<'_, '_>, sigma: u64) {
    vectors(bencher, sigma, 1_000_000);
}

/// The longest vector that is drawn one value at a time.
#[divan::bench(args = SIGMAS)]
fn ours_short(bencher: divan::Bencher<'_, '_>, sigma: u64) {
    vectors(bencher, sigma, 255);
}

fn vectors(bencher: divan::Bencher<'_, '_>, sigma: u64, draws: usize) {
    let noise = DiscreteGaussian::new(sigma).expect("in range");
    let mut rng = secret_rng([7; 32]);
    bencher.counter(ItemsCount::new(draws)).bench_local(|| noise.vector(&mut rng, draws));
}

#[divan::bench(args = SIGMAS)]
fn opendp(bencher: divan::Bencher<'_, '_>, sigma: u64) {
    const DRAWS: usize = 500;
    bencher.counter(ItemsCount::new(DRAWS)).bench_local(|| {
        (0..DRAWS).map(|_| sample_discrete_gaussian(sigma.into()).expect("has entropy")).collect::<Vec<_>>()
    });
}
