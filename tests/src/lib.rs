//! The harness of the test suites: fake roots, workloads that know what they did, network namespaces, oracles.

pub mod forest;
pub mod golden;
pub mod oracle;
pub mod owners;
pub mod packets;
pub mod paths;
pub mod procpath;
pub mod programs;
pub mod sandwich;
pub mod tool;
pub mod traffic;
pub mod watcher;
