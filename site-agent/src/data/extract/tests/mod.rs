mod edges;
pub(crate) mod folders;
mod hand;
mod naive;
mod real;
