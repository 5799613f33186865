//! Chance in a comparison: from a seed, so that its table can be made again. It is for models that stay in
//! this process; noise of anything released comes from the operating system, at an agent.

use consilium_common::id::Digest;
use consilium_common::privacy::noise::{SecretRng, secret_rng};

/// The generators of one run.
pub(super) struct Chance {
    run: Digest,
}

impl Chance {
    /// Of the run that the words and the seed name: another name, other chance.
    pub(super) fn new(words: &[&str], seed: u64) -> Self {
        Self { run: Digest::of(format!("consilium/compare/1\n{}\n{seed}", words.join("\n")).as_bytes()) }
    }

    /// Who joins the steps of a round at a site.
    pub(super) fn people(&self, round: u32, site: usize) -> SecretRng {
        self.generator("people", round, site)
    }

    /// The noise that a site adds in a round.
    pub(super) fn noise(&self, round: u32, site: usize) -> SecretRng {
        self.generator("noise", round, site)
    }

    fn generator(&self, purpose: &str, round: u32, site: usize) -> SecretRng {
        let text = format!("{}\n{purpose}\n{round}\n{site}", self.run);
        secret_rng(*Digest::of(text.as_bytes()).as_bytes())
    }
}
