//! From a hospital's own table or OMOP records to the examples of a study. Everything in here stays at the site: errors
//! name rows and columns, never a cell, and nothing of it is printed by `Debug`.

pub mod encode;
pub mod export;
pub mod extract;
pub mod frozen;
mod lines;
pub mod omop;
pub mod opt_out;
mod source;
pub mod split;
pub mod table;
mod whose;

pub use source::{
    Faults, InvalidData, check_columns, check_person_column, database, load_strict, load_tolerant,
    load_with_origin, main_file, summary,
};
pub use split::SplitKey;
pub use table::{Fault, InvalidTable, Loaded, Summary};
pub use whose::{PersonIds, Whose};

use consilium_common::privacy::clip::Lattice;
use consilium_common::study::Study;

/// Everybody may join a step: the most training people for whom the study's integer arithmetic is proven.
fn training_people_max(study: &Study) -> usize {
    Lattice::for_dimension(study.architecture().parameters()).batch_max()
}
