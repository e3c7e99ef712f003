//! Peers that this machine has, really started. They need a built program for those that are ours, so the tests of
//! these are beside the programs (`tests/peers.rs`).
