//! The one integration binary.

mod config;
mod http_vectors;
