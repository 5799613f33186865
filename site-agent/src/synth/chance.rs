//! Chance: a ChaCha20 stream for each draw, site and purpose, and the few distributions that the
//! hospitals need. All are made of additions, multiplications and comparisons, which IEEE 754
//! fixes on every platform.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// What a stream is for: changing how histories are drawn leaves the people as they were.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Who the people are, and how they are recorded.
    People,
    /// When things happened, and under which code.
    History,
    /// Who is admitted after the index day, and who again.
    Stays,
    /// How the site writes it down.
    Coding,
    /// What the notes say.
    Notes,
}

/// One draw of a seed's hospitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draw {
    /// As asked for.
    pub(super) seed: u64,
    /// Counted from 0: draws before this one missed what [`super`] promises.
    pub(super) attempt: u64,
}

/// A site's streams, one for each purpose beside [`Purpose::People`].
pub(super) struct Chances {
    pub(super) history: Chance,
    pub(super) stays: Chance,
    pub(super) coding: Chance,
    pub(super) notes: Chance,
}

impl Chances {
    /// Those of a draw and a site.
    pub(super) fn new(draw: Draw, site: u64) -> Self {
        let of = |purpose| Chance::new(draw, site, purpose);
        Self {
            history: of(Purpose::History),
            stays: of(Purpose::Stays),
            coding: of(Purpose::Coding),
            notes: of(Purpose::Notes),
        }
    }
}

/// One stream.
pub(super) struct Chance(ChaCha20Rng);

impl Chance {
    /// The stream of a draw, a site and a purpose: keyed by their SHA-256.
    pub(super) fn new(draw: Draw, site: u64, purpose: Purpose) -> Self {
        let mut key = Sha256::new();
        key.update(b"consilium/synth/1\n");
        key.update(draw.seed.to_le_bytes());
        key.update(draw.attempt.to_le_bytes());
        key.update(site.to_le_bytes());
        key.update(match purpose {
            Purpose::People => b"people.",
            Purpose::History => b"history",
            Purpose::Stays => b"stays..",
            Purpose::Coding => b"coding.",
            Purpose::Notes => b"notes..",
        });
        Self(ChaCha20Rng::from_seed(key.finalize().into()))
    }

    /// Uniform in [0, 1), in steps of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..n`; the bias is below n × 2^-64, which no simulation sees.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        let product = u128::from(self.0.next_u64()) * u128::from(n);
        u32::try_from(product >> 64).expect("less than n")
    }

    /// An index, with these shares; the last one takes what rounding leaves.
    pub(super) fn pick(&mut self, shares: &[f64]) -> usize {
        let mut left = self.unit() * shares.iter().sum::<f64>();
        for (index, share) in shares.iter().enumerate() {
            if left < *share {
                return index;
            }
            left -= share;
        }
        shares.len() - 1
    }

    /// Bell-shaped with mean 0, standard deviation 1 and bounds ±2√3: a sum of four uniforms.
    pub(super) fn bell(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 1.732_050_807_568_877_2
    }

    /// One of these, all alike.
    pub(super) fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        let many = u32::try_from(things.len()).expect("few");
        things[self.below(many) as usize]
    }

    /// How often something happens before it stops, geometric with this mean, at most `most`.
    pub(super) fn geometric(&mut self, mean: f64, most: u8) -> u8 {
        let go_on = mean / (1.0 + mean);
        let mut count = 0;
        while count < most && self.happens(go_on) {
            count += 1;
        }
        count
    }
}
