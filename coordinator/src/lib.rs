//! Consilium's coordinator: it orchestrates studies over the sites' agents, and is trusted with no
//! record, no noise and no budget.

pub mod api;
pub mod average;
pub mod bundle;
pub mod ca;
pub mod cli;
pub mod clock;
pub mod demo;
pub mod driver;
pub mod home;
pub mod hub;
pub mod metrics;
pub mod operator;
pub mod peer;
pub mod registry;
pub mod report;
pub mod report_data;
pub mod results;
pub mod secure;
pub mod serve;
pub mod simulate;
pub mod store;
pub mod study;
