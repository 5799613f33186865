//! What the coordinator's report and the auditor's are both written with.

pub mod audit;
pub mod figures;
pub mod html;
