//! The list of verbs of `cargo xtask`; each verb is a file of its own.
fn main() {}
