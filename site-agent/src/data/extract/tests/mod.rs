mod chance;
#[cfg(unix)]
mod database;
mod edges;
pub(crate) mod folders;
mod hand;
mod inputs;
mod naive;
mod real;
