//! Loads an embedded object and attaches its programs one by one, each with the reason when it fails.

use super::{
    bpf::IterProgram,
    btf::{Btf, Kind, kernel_bytes},
    ladder::{Family, Globals, Hook, Program},
    reason::{Reason, missing_capabilities},
};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FEntry, FExit, Iter, KProbe,
        ProgramError,
    },
};
use std::{cell::RefCell, fs::File, io, os::fd::AsFd, path::Path};

/// What perf_event_open needs to make a breakpoint that ends with its descriptor (4.17 and later).
const KPROBE_EVENTS: &str = "/sys/bus/event_source/devices/kprobe/type";

/// Makes aya's loader. It has no constructor that does not read and parse the whole BTF, for relocations that objects from Rust
/// do not have, at the cost of everything else at the start together. So there is no free descriptor while it is made: it does
/// without what it cannot open.
fn loader() -> EbpfLoader<'static> {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls write and read one rlimit each; nothing else of this process opens a file meanwhile, and if it did, it
    // would get an error.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut before) != 0 {
            return EbpfLoader::new();
        }
        let none = libc::rlimit { rlim_cur: 0, ..before };
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none);
        let loader = EbpfLoader::new();
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const before);
        loader
    }
}

/// The running kernel's type information, read once and shared by all families.
#[derive(Debug)]
pub struct Kernel {
    btf: Btf,
    loader: RefCell<Loader>,
}

/// aya's loader; one is made, and loads every object.
#[derive(Debug)]
struct Loader {
    aya: EbpfLoader<'static>,
    /// Globals that were set for an earlier object.
    globals: Vec<&'static str>,
}

impl Loader {
    fn load(&mut self, family: &Family, globals: &Globals) -> Result<Ebpf, EbpfError> {
        // The loader forgets nothing, so what another object had is made to mean nothing.
        for name in self.globals.drain(..) {
            self.aya.override_global(name, &[] as &[u8], false);
        }
        for (name, bytes) in globals.iter() {
            // A loader holds references only. These are some hundred bytes for each of the few objects of a run.
            let bytes: &'static [u8] = Vec::leak(bytes.to_vec());
            self.aya.override_global(name, bytes, true);
            self.globals.push(name);
        }
        for (map, entries) in globals.sizes() {
            self.aya.map_max_entries(map, entries);
        }
        self.aya.load(family.object)
    }
}

impl Kernel {
    /// Reads `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// There is none, or it is garbage.
    pub fn open() -> Result<Kernel, Reason> {
        let bytes = kernel_bytes().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Reason::NoBtf,
            _ => Reason::BadBtf(error.to_string()),
        })?;
        let btf = Btf::parse(bytes)?;
        let mut aya = loader();
        aya.btf(None).allow_unsupported_maps();
        Ok(Kernel { btf, loader: RefCell::new(Loader { aya, globals: Vec::new() }) })
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
    /// The ids of the types behind the family's hooks.
    hooks: aya::Btf,
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
        let ebpf = kernel.loader.borrow_mut().load(family, globals).map_err(|error| {
            // Without privilege aya already fails while it finds out what the kernel can do, in words that lead astray.
            let missing = missing_capabilities();
            if missing.is_empty() { Reason::of_error(&error) } else { Reason::Capability(missing) }
        })?;
        let programs = family.programs();
        let names: Vec<(Kind, String)> = programs.iter().map(|program| program.hook.type_behind()).collect();
        let hooks = kernel.btf.excerpt(names.iter().map(|(kind, name)| (*kind, name.as_str())));
        let hooks = aya::Btf::parse(&hooks, aya::Endianness::default())
            .map_err(|error| Reason::BadBtf(error.to_string()))?;
        Ok(Object { ebpf, hooks })
    }

    /// Loads one program and attaches it; the others are not touched.
    ///
    /// # Errors
    /// Why not; the object stays usable for its other programs.
    pub fn attach(&mut self, kernel: &Kernel, program: &Program) -> Result<Attached, Reason> {
        let (kind, name) = program.hook.type_behind();
        if !kernel.btf.has(kind, &name) {
            return Err(Reason::NoHook(match program.hook {
                Hook::Iter(name) => format!("iterator {name}"),
                Hook::Tracepoint(name) => format!("tracepoint {name}"),
                Hook::Call(name) | Hook::Return(name) | Hook::Probe(name) => {
                    format!("function {name} to hook")
                }
                Hook::Egress | Hook::Ingress => "hooks on the packets of control groups".into(),
            }));
        }
        if matches!(program.hook, Hook::Probe(_)) && !Path::new(KPROBE_EVENTS).exists() {
            return Err(Reason::NoHook("breakpoints in functions (kprobes)".into()));
        }
        let found = self
            .ebpf
            .program_mut(program.name)
            .ok_or_else(|| Reason::Other(format!("no program {} in the object", program.name)))?;
        attach(found, program.hook, &self.hooks).map_err(|error| Reason::of_program(&error))
    }

    /// What must be kept for the hooks to stay: the types behind them, some megabytes, are needed no more.
    pub fn into_ebpf(self) -> Ebpf {
        self.ebpf
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
        Hook::Probe(name) => {
            let program: &mut KProbe = found.try_into()?;
            load_once(program.load())?;
            program.attach(name, 0)?;
        }
        Hook::Egress => at_root(found.try_into()?, CgroupSkbAttachType::Egress)?,
        Hook::Ingress => at_root(found.try_into()?, CgroupSkbAttachType::Ingress)?,
        Hook::Call(name) => {
            let program: &mut FEntry = found.try_into()?;
            load_once(program.load(name, btf))?;
            program.attach()?;
        }
    }
    Ok(Attached::Hook)
}

/// Attaches a program to the packets of every control group, by a link that ends with its descriptor.
fn at_root(program: &mut CgroupSkb, to: CgroupSkbAttachType) -> Result<(), ProgramError> {
    load_once(program.load())?;
    let root = unified_root().map_err(ProgramError::IOError)?;
    // A link is beside others whatever the mode.
    program.attach(root, to, CgroupAttachMode::Single)?;
    Ok(())
}

/// The root of cgroup v2, in one of the two places where it is mounted.
fn unified_root() -> io::Result<File> {
    for at in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        if Path::new(at).join("cgroup.controllers").exists() {
            return File::open(at);
        }
    }
    Err(io::Error::other("cgroup v2 is not mounted below /sys/fs/cgroup"))
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
