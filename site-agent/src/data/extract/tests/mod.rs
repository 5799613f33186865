mod aces;
mod chance;
mod edges;
pub(crate) mod folders;
mod hand;
mod inputs;
mod naive;
mod real;
