//! What this machine allows, and what would allow more.

use crate::{
    kernel::{
        ladder::{ProgramState, RungState, survey},
        reason::{Reason, lockdown, missing_capabilities},
    },
    source::{ebpf, pcap, procfs},
};
use std::{fmt::Write as _, path::Path};

/// Examines the machine for this user and prints the findings. Says whether the task and the net family both use eBPF
/// on some rung.
pub fn examine() -> bool {
    let survey = survey();
    let proc = ebpf::usable(Path::new(procfs::PROC_ROOT));
    let mut text = String::new();
    machine(&proc, &mut text);
    programs(&survey.programs, &mut text);
    let ready = reports(&survey.rungs, &proc, &pcap::probe(), &mut text);
    options(&mut text);
    print!("{text}");
    ready
}

fn line(name: &str, finding: impl std::fmt::Display, out: &mut String) {
    let _ = writeln!(out, "  {name:<22} {finding}");
}

fn remedy(reason: &Reason, out: &mut String) {
    let _ = writeln!(out, "  {:<22} -> {}", "", reason.remedy());
}

fn machine(proc: &Result<(), Reason>, out: &mut String) {
    let host = procfs::host(Path::new(procfs::PROC_ROOT), Path::new(procfs::SYS_ROOT));
    let _ = writeln!(out, "kpidstat {} on {}", env!("CARGO_PKG_VERSION"), host.nodename);
    line("kernel", format_args!("{} {} {}", host.sysname, host.release, host.machine), out);
    line("types (BTF)", if Path::new("/sys/kernel/btf/vmlinux").exists() { "yes" } else { "no" }, out);
    line("lockdown", lockdown().unwrap_or_else(|| "not in this kernel".into()), out);
    let missing = missing_capabilities();
    if missing.is_empty() {
        line("capabilities", "what eBPF needs is there", out);
    } else {
        line("capabilities", format_args!("missing: {}", missing.join(" ")), out);
    }
    match proc {
        Ok(()) => line(procfs::PROC_ROOT, "a procfs of this PID namespace", out),
        Err(reason) => {
            line(procfs::PROC_ROOT, reason, out);
            remedy(reason, out);
        }
    }
}

fn programs(states: &[ProgramState], out: &mut String) {
    out.push_str("\nprograms\n");
    for (number, state) in states.iter().enumerate() {
        let next = states.get(number + 1).and_then(|next| next.attached.as_ref().err());
        let name = format!("{} {}", state.family, state.program.name);
        let hook = state.program.hook.to_string();
        match &state.attached {
            Ok(()) => line(&name, format_args!("{hook:<32} attaches"), out),
            Err(reason) => {
                line(&name, format_args!("{hook:<32} no: {reason}"), out);
                if next.is_none_or(|next| next.remedy() != reason.remedy()) {
                    remedy(reason, out);
                }
            }
        }
    }
}

/// Which source and rung each report would use, and what the other rungs lack.
fn reports(
    rungs: &[RungState],
    proc: &Result<(), Reason>,
    packets: &Result<(), Reason>,
    out: &mut String,
) -> bool {
    out.push_str("\nreports\n");
    let mut ready = true;
    for family in ["task", "net", "sched"] {
        let (letters, fallback) = match family {
            "net" if packets.is_ok() => ("-n", "captured packets, approximate"),
            "net" => ("-n", "nothing: `-` in every row"),
            "sched" => ("--sched", "nothing: `-` in every row"),
            _ => ("-u -r -s -d -w -v -R", procfs::PROC_ROOT),
        };
        let mut of_family = rungs.iter().filter(|state| state.family == family);
        match (of_family.clone().find(|state| state.works.is_ok()), proc) {
            (Some(state), Ok(())) => {
                line(letters, format_args!("eBPF, {family} by {}", state.rung.name), out);
            }
            _ => {
                // Nobody has the hooks on the scheduler unless they are asked for.
                ready &= family == "sched";
                line(letters, fallback, out);
            }
        }
        if of_family.clone().count() > 1 {
            of_family
                .by_ref()
                .for_each(|state| rung(state.rung.name, &state.works, state.rung.shortfall, out));
        }
        if family == "net" {
            rung(pcap::NAME, packets, Some(pcap::SHORTFALL), out);
        }
    }
    ready
}

/// One way to count traffic, which `--net` may demand.
fn rung(name: &str, works: &Result<(), Reason>, shortfall: Option<&str>, out: &mut String) {
    let name = format!("--net {name}");
    match (works, shortfall) {
        (Ok(()), None) => line(&name, "works", out),
        (Ok(()), Some(shortfall)) => line(&name, format_args!("works; {shortfall}"), out),
        (Err(reason), _) => {
            line(&name, format_args!("no: {reason}"), out);
            remedy(reason, out);
        }
    }
}

fn options(out: &mut String) {
    out.push_str("\noptional\n");
    let proc_root = Path::new(procfs::PROC_ROOT);
    match procfs::rare::cgroup2(proc_root) {
        Ok(Some(at)) => line("cgroup v2", format_args!("mounted at {}", at.display()), out),
        Ok(None) => line("cgroup v2", "not mounted: tasks have no cgroup id", out),
        Err(error) => line("cgroup v2", error, out),
    }
    match procfs::rare::locked_memory_bytes(proc_root) {
        Ok(None) => line("locked memory", "unlimited", out),
        Ok(Some(bytes)) => {
            line("locked memory", format_args!("{} KiB (matters before 5.11 only)", bytes >> 10), out);
        }
        Err(error) => line("locked memory", error, out),
    }
    match procfs::host::delay_accounting(proc_root) {
        Some(true) => line("delay accounting", "on: iodelay is measured", out),
        Some(false) => {
            line("delay accounting", "off: iodelay shows -", out);
            let _ =
                writeln!(out, "  {:<22} -> sysctl kernel.task_delayacct=1, for tasks started after that", "");
        }
        None => line("delay accounting", "not in this kernel: iodelay shows -", out),
    }
}
