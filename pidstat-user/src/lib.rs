//! kpidstat: pidstat rebuilt on the kernel's own counters.
//!
//! One-way flow: `source -> sample -> rate -> column -> select -> sink`, joined by `engine`. One word per thing: a
//! *sample* is an instant, an *interval* lies between two, a *row* is a task over an interval, a *column* is declared
//! once, a *report* is a group of columns, a *fact* is what a column needs, a *rung* is one way to count something, and
//! a *reason* says why a better one is not used.

pub mod cli;
pub mod clock;
pub mod column;
pub mod engine;
pub mod job;
pub mod kernel;
pub mod rate;
pub mod sample;
pub mod select;
pub mod sink;
pub mod source;
