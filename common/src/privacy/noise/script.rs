//! A generator that gives the words a test lists.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// Gives the listed words, then stops the test.
pub(super) struct Script(pub(super) Vec<u64>);

impl TryRng for Script {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the sampler draws 64 bits at a time")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.remove(0))
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("the sampler draws 64 bits at a time")
    }
}
impl TryCryptoRng for Script {}
