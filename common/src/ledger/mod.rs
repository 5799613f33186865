//! The ledger of one site dataset: an append-only Merkle log (RFC 6962 hashes, C2SP tlog-tiles
//! layout, signed-note checkpoints), and the rules that an auditor replays it by.

pub mod budget;
pub mod bundle;
pub mod checkpoint;
pub mod entry;
pub mod history;
pub mod hospitals;
pub mod key_change;
pub mod key_loss;
pub mod merkle;
pub mod rules;
pub mod tiles;
