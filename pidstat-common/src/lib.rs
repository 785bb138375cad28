//! The contract between the kernel programs and the loader: `#[repr(C)]` integers and byte arrays, nothing else.
#![no_std]

pub mod exit;
pub mod net;
pub mod task;
