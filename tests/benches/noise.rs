//! What a draw of exact noise costs, ours (with a table, and one at a time) beside OpenDP's in the same run.
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

#[divan::bench(args = SIGMAS)]
fn ours_vector(bencher: divan::Bencher<'_, '_>, sigma: u64) {
    const DRAWS: usize = 1_000_000;
    let noise = DiscreteGaussian::new(sigma).expect("in range");
    let mut rng = secret_rng([7; 32]);
    bencher.counter(ItemsCount::new(DRAWS)).bench_local(|| noise.vector(&mut rng, DRAWS));
}

#[divan::bench(args = SIGMAS)]
fn ours_single(bencher: divan::Bencher<'_, '_>, sigma: u64) {
    const DRAWS: usize = 100_000;
    let noise = DiscreteGaussian::new(sigma).expect("in range");
    let mut rng = secret_rng([7; 32]);
    bencher
        .counter(ItemsCount::new(DRAWS))
        .bench_local(|| (0..DRAWS).map(|_| noise.sample(&mut rng)).collect::<Vec<_>>());
}

#[divan::bench(args = SIGMAS)]
fn opendp(bencher: divan::Bencher<'_, '_>, sigma: u64) {
    const DRAWS: usize = 500;
    bencher.counter(ItemsCount::new(DRAWS)).bench_local(|| {
        (0..DRAWS).map(|_| sample_discrete_gaussian(sigma.into()).expect("has entropy")).collect::<Vec<_>>()
    });
}
