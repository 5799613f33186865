//! Consilium's wire: the messages and services of `proto/consilium/v1`, generated.
//!
//! The generated code is checked in, so that building needs neither protoc nor a build script;
//! `tests/fresh.rs` fails when it no longer matches the `.proto` files, and rewrites it when run
//! with `CONSILIUM_REGENERATE=1`.

/// Version 1 of the wire.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unused_qualifications,
    reason = "generated from commented .proto files"
)]
pub mod v1 {
    include!("generated/consilium.v1.rs");
}
