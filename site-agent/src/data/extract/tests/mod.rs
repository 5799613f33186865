mod aces;
#[cfg(unix)]
mod bound;
mod chance;
mod counted;
#[cfg(unix)]
mod database;
mod edges;
pub(crate) mod folders;
#[cfg(unix)]
mod forms;
mod hand;
mod inputs;
mod naive;
#[cfg(unix)]
mod note_faults;
#[cfg(unix)]
mod notes;
#[cfg(unix)]
mod origin;
mod real;
