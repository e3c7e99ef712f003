//! The one integration binary.

mod http_vectors;
mod reactor;
