//! The kernel's own counters: tasks by iterator, traffic by socket hooks, hidden or doubtful tasks from /proc.

pub mod net;
