//! Who a call is about: uuids, ECIDs and the bijection between them, declared ids and the map from those to devices.
#![forbid(unsafe_code)]

pub mod uuid;

pub use uuid::Uuid;
