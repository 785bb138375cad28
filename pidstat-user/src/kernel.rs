//! What this kernel allows: field offsets from BTF, the ladder of alternatives, loading and attaching, and reasons.

pub mod attach;
pub mod bpf;
pub mod btf;
pub mod debug;
pub mod entry;
pub mod ladder;
pub mod net;
pub mod outbox;
pub mod reason;
pub mod sched;
pub mod task;

pub use attach::{Attached, Kernel, Object};
pub use ladder::{Family, Globals, Hook, Program, ProgramState, Rung, survey};
pub use reason::Reason;
