//! Loads an embedded object and attaches its programs one by one, each with the reason when it fails.

use super::{
    bpf::IterProgram,
    btf::{Btf, Kind},
    ladder::{Family, Globals, Hook, Program},
    reason::{Reason, missing_capabilities},
};
use aya::{
    Ebpf, EbpfLoader,
    programs::{BtfTracePoint, FEntry, FExit, Iter, ProgramError},
};
use std::os::fd::AsFd;

/// The running kernel's type information, read once and shared by all families.
#[derive(Debug)]
pub struct Kernel {
    btf: Btf,
    /// The same for aya, which resolves the hooks with it.
    aya: aya::Btf,
}

impl Kernel {
    /// Reads `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// There is none, or it is garbage.
    pub fn open() -> Result<Kernel, Reason> {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Reason::NoBtf,
            _ => Reason::BadBtf(error.to_string()),
        })?;
        let aya = aya::Btf::parse(&bytes, aya::Endianness::default())
            .map_err(|error| Reason::BadBtf(error.to_string()))?;
        Ok(Kernel { btf: Btf::parse(bytes)?, aya })
    }

    /// The types.
    pub fn btf(&self) -> &Btf {
        &self.btf
    }
}

/// A loaded object: its maps exist, its programs wait to be attached; dropping it takes everything away.
#[derive(Debug)]
pub struct Object {
    ebpf: Ebpf,
}

/// What attaching a program gives.
#[derive(Debug)]
pub enum Attached {
    /// An iterator, to be linked to what it shall walk.
    Iter(IterProgram),
    /// A hook that runs by itself until the object is dropped.
    Hook,
}

impl Object {
    /// Creates the maps of a family and sets its globals.
    ///
    /// # Errors
    /// Why this machine or this user cannot have it.
    pub fn load(kernel: &Kernel, family: &Family, globals: &Globals) -> Result<Object, Reason> {
        raise_memlock();
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&kernel.aya)).allow_unsupported_maps();
        for (name, bytes) in globals.iter() {
            loader.override_global(name, bytes, true);
        }
        for (map, entries) in globals.sizes() {
            loader.map_max_entries(map, entries);
        }
        let ebpf = loader.load(family.object).map_err(|error| {
            // Without privilege aya already fails while it finds out what the kernel can do, in words that lead astray.
            let missing = missing_capabilities();
            if missing.is_empty() { Reason::of_error(&error) } else { Reason::Capability(missing) }
        })?;
        Ok(Object { ebpf })
    }

    /// Loads one program and attaches it; the others are not touched.
    ///
    /// # Errors
    /// Why not; the object stays usable for its other programs.
    pub fn attach(&mut self, kernel: &Kernel, program: &Program) -> Result<Attached, Reason> {
        let (exists, what) = match program.hook {
            Hook::Iter(name) => {
                (kernel.btf.has(Kind::Func, &format!("bpf_iter_{name}")), format!("iterator {name}"))
            }
            Hook::Tracepoint(name) => {
                (kernel.btf.has(Kind::Typedef, &format!("btf_trace_{name}")), format!("tracepoint {name}"))
            }
            Hook::Call(name) | Hook::Return(name) => {
                (kernel.btf.has(Kind::Func, name), format!("function {name} to hook"))
            }
        };
        if !exists {
            return Err(Reason::NoHook(what));
        }
        let found = self
            .ebpf
            .program_mut(program.name)
            .ok_or_else(|| Reason::Other(format!("no program {} in the object", program.name)))?;
        attach(found, program.hook, &kernel.aya).map_err(|error| Reason::of_program(&error))
    }

    /// aya's view of the object, for its maps.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

fn attach(found: &mut aya::programs::Program, hook: Hook, btf: &aya::Btf) -> Result<Attached, ProgramError> {
    match hook {
        Hook::Iter(name) => {
            let program: &mut Iter = found.try_into()?;
            load_once(program.load(name, btf))?;
            let fd = program.fd()?.as_fd().try_clone_to_owned()?;
            return Ok(Attached::Iter(IterProgram::new(fd)));
        }
        Hook::Tracepoint(name) => {
            let program: &mut BtfTracePoint = found.try_into()?;
            load_once(program.load(name, btf))?;
            program.attach()?;
        }
        Hook::Return(name) => {
            let program: &mut FExit = found.try_into()?;
            load_once(program.load(name, btf))?;
            program.attach()?;
        }
        Hook::Call(name) => {
            let program: &mut FEntry = found.try_into()?;
            load_once(program.load(name, btf))?;
            program.attach()?;
        }
    }
    Ok(Attached::Hook)
}

/// Two rungs may share a program; the second finds it loaded.
fn load_once(loaded: Result<(), ProgramError>) -> Result<(), ProgramError> {
    match loaded {
        Err(ProgramError::AlreadyLoaded) => Ok(()),
        other => other,
    }
}

/// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK, later ones ignore it; where it cannot be raised, the map creation
/// that follows says so.
fn raise_memlock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid rlimit for the call to read.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}
