//! Whole folders: every form gives one stream, merging is sorting, hostile files are named, real hospitals are counted.

mod faults;
mod forms;
pub(crate) mod hospital;
mod hostile;
mod merging;
mod real;
