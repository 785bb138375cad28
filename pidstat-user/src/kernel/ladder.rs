//! The table of families, their rungs and their programs, and the survey that tries each on this kernel.
//!
//! A family declares its programs once, in a constant; the sources, `doctor` and the tests read the same table.

use super::{
    attach::{Kernel, Object},
    btf::{Btf, Kind},
    reason::Reason,
};

/// What a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// An iterator over kernel objects, by the name behind `iter/`.
    Iter(&'static str),
    /// A tracepoint with typed arguments (`tp_btf/`).
    Tracepoint(&'static str),
    /// The return of a kernel function (`fexit/`).
    Return(&'static str),
    /// The call of a kernel function (`fentry/`).
    Call(&'static str),
    /// A breakpoint at the start of a kernel function (`kprobe/`).
    Probe(&'static str),
    /// Every IP packet that a socket sends (`cgroup_skb/egress` at the root of cgroup v2).
    Egress,
    /// Every IP packet that reaches a socket (`cgroup_skb/ingress` there).
    Ingress,
}

impl Hook {
    /// The kernel's type that exists exactly where the hook does, and by whose id it is attached.
    pub fn type_behind(self) -> (Kind, String) {
        match self {
            Hook::Iter(name) => (Kind::Func, format!("bpf_iter_{name}")),
            Hook::Tracepoint(name) => (Kind::Typedef, format!("btf_trace_{name}")),
            Hook::Return(name) | Hook::Call(name) | Hook::Probe(name) => (Kind::Func, name.to_owned()),
            Hook::Egress | Hook::Ingress => (Kind::Func, "__cgroup_bpf_run_filter_skb".to_owned()),
        }
    }
}

impl std::fmt::Display for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Hook::Iter(name) => write!(f, "iter/{name}"),
            Hook::Tracepoint(name) => write!(f, "tp_btf/{name}"),
            Hook::Return(name) => write!(f, "fexit/{name}"),
            Hook::Call(name) => write!(f, "fentry/{name}"),
            Hook::Probe(name) => write!(f, "kprobe/{name}"),
            Hook::Egress => f.write_str("cgroup_skb/egress"),
            Hook::Ingress => f.write_str("cgroup_skb/ingress"),
        }
    }
}

/// One kernel program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in the object; the kernel keeps 15 bytes.
    pub name: &'static str,
    /// What it is attached to.
    pub hook: Hook,
}

/// One way to count something; it is usable when all its programs attach.
#[derive(Clone, Copy, Debug)]
pub struct Rung {
    /// Its name in the output: `tracepoint`, `iterator`.
    pub name: &'static str,
    /// What it needs.
    pub programs: &'static [Program],
    /// What it needs as well where the kernel has what they hook; where it does not, there is nothing to count there.
    pub where_present: &'static [Program],
    /// What it can do without: what is counted on request only, and what makes it a little better.
    pub on_request: &'static [Program],
    /// What it does not count exactly although a better one does, in words; `None` if nothing.
    pub shortfall: Option<&'static str>,
    /// Why it must not be used on this kernel although all its programs attach, if so.
    pub complete: fn(&Btf) -> Result<(), Reason>,
}

impl Rung {
    /// Every program it may attach.
    pub fn all(&self) -> impl Iterator<Item = &'static Program> + use<> {
        self.programs.iter().chain(self.where_present).chain(self.on_request)
    }
}

/// One object with its own maps, and the alternatives in it, the best first.
#[derive(Clone, Copy)]
pub struct Family {
    /// `task`, `net`.
    pub name: &'static str,
    /// The embedded object.
    pub object: &'static [u8],
    /// The alternatives, the best first.
    pub rungs: &'static [Rung],
    /// The read-only globals that the object needs on this kernel.
    pub globals: fn(&Btf) -> Result<Globals, Reason>,
}

impl Family {
    /// Every program of every rung, each once.
    pub fn programs(&self) -> Vec<&'static Program> {
        let mut found: Vec<&Program> = Vec::new();
        for program in self.rungs.iter().flat_map(Rung::all) {
            if !found.contains(&program) {
                found.push(program);
            }
        }
        found
    }
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("name", &self.name).field("rungs", &self.rungs).finish_non_exhaustive()
    }
}

/// What the loader decides about an object: values of its read-only globals and sizes of its maps, by name.
#[derive(Clone, Debug, Default)]
pub struct Globals {
    values: Vec<(&'static str, Vec<u8>)>,
    sizes: Vec<(&'static str, u32)>,
}

impl Globals {
    /// Sets a global that the object must have, replacing what was set before.
    pub fn set<T: aya::Pod>(&mut self, name: &'static str, value: &T) -> &mut Globals {
        // SAFETY: a `Pod` type has no padding that matters and no pointers; its bytes are read for its size only.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()) };
        self.values.retain(|(n, _)| *n != name);
        self.values.push((name, bytes.to_vec()));
        self
    }

    /// Gives a map another size (`max_entries`) than the object does.
    pub fn size(&mut self, map: &'static str, entries: u32) -> &mut Globals {
        self.sizes.retain(|(n, _)| *n != map);
        self.sizes.push((map, entries));
        self
    }

    /// Every map whose size was set.
    pub fn sizes(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.sizes.iter().copied()
    }

    /// Every global with its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.values.iter().map(|(name, bytes)| (*name, bytes.as_slice()))
    }
}

/// Every family of this program.
pub const FAMILIES: &[Family] = &[super::task::FAMILY, super::net::FAMILY, super::sched::FAMILY];

/// Whether one program of one family attaches on this machine, for this user.
#[derive(Clone, Debug)]
pub struct ProgramState {
    /// The family.
    pub family: &'static str,
    /// The program.
    pub program: Program,
    /// Whether it attached, or why not.
    pub attached: Result<(), Reason>,
}

/// Whether one rung of one family works on this machine, for this user.
#[derive(Clone, Debug)]
pub struct RungState {
    /// The family.
    pub family: &'static str,
    /// The rung.
    pub rung: &'static Rung,
    /// Whether it works, or the first reason why not.
    pub works: Result<(), Reason>,
}

/// What every program and every rung says.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// In the order of the tables.
    pub programs: Vec<ProgramState>,
    /// In the order of the tables.
    pub rungs: Vec<RungState>,
}

/// Loads and attaches every program of every family, each on its own, and takes all of them away again.
pub fn survey() -> Survey {
    let kernel = Kernel::open();
    let mut states = Vec::new();
    let mut rungs = Vec::new();
    for family in FAMILIES {
        let mut object = kernel.as_ref().map_err(Clone::clone).and_then(|kernel| {
            let globals = (family.globals)(kernel.btf())?;
            Object::load(kernel, family, &globals)
        });
        for program in family.programs() {
            let attached = match (&mut object, &kernel) {
                (Ok(object), Ok(kernel)) => object.attach(kernel, program).map(drop),
                (Err(why), _) => Err(why.clone()),
                (_, Err(why)) => Err(why.clone()),
            };
            states.push(ProgramState { family: family.name, program: *program, attached });
        }
        for rung in family.rungs {
            let complete =
                kernel.as_ref().map_err(Clone::clone).and_then(|kernel| (rung.complete)(kernel.btf()));
            let works = complete.and_then(|()| attaches(&states, family, rung));
            rungs.push(RungState { family: family.name, rung, works });
        }
    }
    Survey { programs: states, rungs }
}

/// Whether all that a rung needs attached.
fn attaches(states: &[ProgramState], family: &Family, rung: &Rung) -> Result<(), Reason> {
    for state in states.iter().filter(|state| state.family == family.name) {
        let absent = matches!(state.attached, Err(Reason::NoHook(_)));
        if rung.programs.contains(&state.program) || rung.where_present.contains(&state.program) && !absent {
            state.attached.clone()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_whole_names() {
        for family in FAMILIES {
            for program in family.programs() {
                assert!(program.name.len() <= 15 && program.name.starts_with("ps_"), "{}", program.name);
            }
        }
    }

    #[test]
    fn the_survey_names_every_program_once_and_says_why_not() {
        let states = survey().programs;
        let programs: usize = FAMILIES.iter().map(|family| family.programs().len()).sum();
        assert_eq!(states.len(), programs);
        for state in states {
            if let Err(why) = state.attached {
                assert!(!why.to_string().is_empty() && !why.remedy().is_empty(), "{why:?}");
            }
        }
    }
}
