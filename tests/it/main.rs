//! The one integration binary.

mod http_vectors;
mod reactor;
mod reactor_glommio;
