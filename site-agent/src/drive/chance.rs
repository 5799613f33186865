//! Where an agent's seeds and nonces come from: the operating system, unless a test gives them.

use super::agent::Agent;
use crate::compute::Seed;
use crate::home::HomeError;

/// Gives 32 fresh bytes at each call.
pub(super) type Entropy = Box<dyn FnMut() -> Result<Seed, HomeError> + Send + Sync>;

impl Agent {
    /// The agent that draws every seed and nonce from `source` instead of the operating system: chance
    /// is an argument, so that a test can play one round twice. No program of ours calls it.
    ///
    /// # Privacy
    /// Who knows what `source` gives knows the noise.
    #[must_use]
    pub fn with_entropy(
        mut self,
        source: impl FnMut() -> Result<Seed, HomeError> + Send + Sync + 'static,
    ) -> Self {
        self.entropy = Box::new(source);
        self
    }

    /// 32 fresh bytes, for one use.
    pub(super) fn entropy(&mut self) -> Result<Seed, HomeError> {
        (self.entropy)()
    }
}
