//! The one integration binary.

mod reactor;
