//! The checks of a guest, one line each: `ok WHAT` or `FAILED WHAT: WHY`.

use crate::load::Load;
use anyhow::{Context, Result, anyhow, ensure};
use pidstat_tests::{
    owners, packets, paths, sandwich,
    traffic::{self, Bench},
};
use pidstat_user::{
    clock::Clock,
    kernel::{self as kernel_side, Reason, ladder::Survey, net::Options},
    sample::{Facts, NetChoice, Sample, Want},
    source::{
        Source as _,
        ebpf::{self, EbpfSource},
        pcap,
    },
};
use std::{collections::BTreeSet, fs, io, os::fd::AsRawFd as _, path::Path, thread, time::Duration};

/// What kernels.toml says of a program that must attach; anything else is a part of the reason why it must not.
const ATTACHES: &str = "attaches";

/// Runs every check; true when all succeeded.
///
/// # Errors
/// When what is expected cannot be read.
pub fn all() -> Result<bool> {
    let booted = fs::read_to_string("/proc/cmdline")?;
    let kernel =
        booted.split_whitespace().find_map(|word| word.strip_prefix("kernel=")).context("kernel=")?;
    let listed: toml::Table = fs::read_to_string("/kernels.toml")?.parse()?;
    let expected = listed.get(kernel).and_then(|facts| facts.get("programs")).and_then(toml::Value::as_table);
    let expected = expected.with_context(|| format!("kernels.toml says nothing of {kernel}'s programs"))?;
    let mut good = true;
    let mut check = |what: &str, outcome: Result<()>| match outcome {
        Ok(()) => println!("ok {what}"),
        Err(why) => {
            println!("FAILED {what}: {why:#}");
            good = false;
        }
    };
    check("the kernel is the listed one", release(kernel));
    let list = |key: &str| -> Result<Vec<&str>> {
        let names = listed.get(kernel).and_then(|facts| facts.get(key)?.as_array());
        let names = names.with_context(|| format!("kernels.toml has no {key}"))?;
        Ok(names.iter().filter_map(toml::Value::as_str).collect())
    };
    for module in list("modules")? {
        check(&format!("module {module}"), load_module(module));
    }
    let mut seen = BTreeSet::new();
    let survey = kernel_side::survey();
    for state in &survey.programs {
        let name = format!("{}/{}", state.family, state.program.name);
        let listed = expected.get(&name).and_then(toml::Value::as_str);
        let outcome = match (listed, &state.attached) {
            (Some(ATTACHES), Ok(())) => Ok(()),
            (Some(ATTACHES), Err(why)) => Err(anyhow!("{}: {why}", state.program.hook)),
            (Some(_), Ok(())) => Err(anyhow!("{} attached", state.program.hook)),
            (Some(part), Err(why)) if why.to_string().contains(part) => Ok(()),
            (Some(part), Err(why)) => Err(anyhow!("the reason is \"{why}\", not \"{part}\"")),
            (None, Ok(())) => Err(anyhow!("kernels.toml does not list it; it attached")),
            (None, Err(why)) => Err(anyhow!("kernels.toml does not list it; {why}")),
        };
        check(&format!("{name}: {}", listed.unwrap_or("?")), outcome);
        seen.insert(name);
    }
    let gone: Vec<&String> = expected.keys().filter(|name| !seen.contains(*name)).collect();
    check("every listed program exists", gone.is_empty().then_some(()).ok_or_else(|| anyhow!("{gone:?}")));
    check(
        "the iterator may stand for /proc",
        ebpf::usable(Path::new("/proc")).map_err(|why| anyhow!("{why}")),
    );
    check("the figures of -u -r -d -w are /proc's", figures());
    let rungs = list("rungs")?;
    check("the rungs that work are the listed ones, in order", works(&survey, &rungs));
    check("the best of them counts for -n", best(rungs[0]));
    for rung in &rungs {
        let outcome = traffic::kill_leaves_nothing(rung).map_err(|why| anyhow!(why));
        check(&format!("{rung}: kill -9 leaves nothing behind"), outcome);
    }
    for rung in rungs.iter().filter(|rung| ["tracepoint", "fexit"].contains(rung)) {
        let outcome = paths::choice(rung)
            .context("a rung")
            .and_then(|choice| packets::are_exact(choice).map_err(|why| anyhow!(why)));
        check(&format!("{rung}: packets on the wire are those that were sent"), outcome);
    }
    for rung in rungs.iter().filter(|rung| ["tracepoint", "fexit"].contains(rung)) {
        let choice = paths::choice(rung).context("a rung")?;
        let outcome = owners::of_subflows(choice).map_err(|why| anyhow!(why));
        check(&format!("{rung}: subflows belong to who uses the MPTCP socket"), outcome);
    }
    for rung in [rungs[0], "sampled"] {
        let choices = [NetChoice::Sampled, paths::choice(rung).context("a rung")?];
        let outcome = owners::told_beside_another(choices, "short", 3).map_err(|why| anyhow!(why));
        check(&format!("sampled beside {rung}: each tells the truth"), outcome);
    }
    check("what threads of the kernel move is one row", kernel_row());
    let probes = fs::read_to_string("/sys/kernel/tracing/kprobe_events")?;
    check("the rung without programs says what it lacks", captured(&listed));
    check("nor a breakpoint", probes.trim().is_empty().then_some(()).ok_or_else(|| anyhow!("{probes}")));
    paths::run(&listed, &rungs, true, |what, outcome| check(what, outcome.map_err(|why| anyhow!(why))))
        .map_err(|why| anyhow!(why))?;
    // For good, so at the end.
    check(
        "lockdown=confidentiality",
        fs::write("/sys/kernel/security/lockdown", "confidentiality").map_err(Into::into),
    );
    let survey = kernel_side::survey();
    check("the rungs that work under lockdown are the listed ones", works(&survey, &list("locked_rungs")?));
    let closed = survey.rungs.iter().find(|state| state.rung.name == "kprobe").map(|state| &state.works);
    let named = match closed {
        Some(Err(why @ Reason::Lockdown(_))) if why.remedy().contains("lockdown") => Ok(()),
        other => Err(anyhow!("{other:?}")),
    };
    check("what lockdown closed says so", named);
    let expected = listed.get(kernel).and_then(|facts| facts.get("locked_best")?.as_str());
    let expected = expected.context("kernels.toml has no locked_best")?;
    let outcome = match best(expected) {
        Err(why) if expected.contains(' ') && why.to_string().contains(expected) => Ok(()),
        other => other,
    };
    check(&format!("-n under lockdown: {expected}"), outcome);
    Ok(good)
}

/// What is said of captured packets, which need a library that a guest has not.
fn captured(listed: &toml::Table) -> Result<()> {
    let expected = |key: &str| {
        let text = listed.get("pcap").and_then(|facts| facts.get(key)?.as_str());
        text.with_context(|| format!("kernels.toml: [pcap] has no {key}"))
    };
    ensure!(expected("figures")? == format!("approximate: {}", pcap::SHORTFALL), "{}", pcap::SHORTFALL);
    let why = pcap::probe().err().context("it works")?;
    ensure!(why.to_string().contains(expected("guest")?), "{why}");
    ensure!(why.remedy().contains("libpcap0.8"), "{}", why.remedy());
    Ok(())
}

/// Whether the rungs of the net family that work are these.
fn works(survey: &Survey, expected: &[&str]) -> Result<()> {
    let net = survey.rungs.iter().filter(|state| state.family == "net");
    let works: Vec<&str> =
        net.clone().filter(|state| state.works.is_ok()).map(|state| state.rung.name).collect();
    let why: Vec<String> = net
        .filter_map(|state| Some(format!("{}: {}", state.rung.name, state.works.as_ref().err()?)))
        .collect();
    ensure!(works == expected, "{works:?} work; {}", why.join("; "));
    Ok(())
}

/// A disk over the network: what its server moved, the kernel moved on the other side.
fn kernel_row() -> Result<()> {
    let mut bench = Bench::open(Options::default());
    let reports = bench.run(&["nbd"]);
    let server = reports.iter().find(|report| report.tx > 0).context("a server")?;
    let owners: Vec<_> = bench.net.owners().collect();
    let kernel = owners.iter().find(|owner| owner.comm.as_bytes() == b"[kernel]");
    let kernel = kernel.with_context(|| format!("no row of the kernel in {owners:?}"))?;
    let counted = bench.traffic(server.pid);
    ensure!((counted.tx_bytes, counted.rx_bytes) == (server.tx, server.rx), "{counted:?}, {server:?}");
    ensure!(kernel.pid == 0 && kernel.traffic.rx_bytes == server.tx, "{kernel:?}, {server:?}");
    // Who asks for a block sends the request itself, unless the kernel puts it off.
    ensure!(kernel.traffic.tx_bytes <= server.rx, "{kernel:?}, {server:?}");
    Ok(())
}

/// Gives the kernel one of its modules.
fn load_module(name: &str) -> Result<()> {
    /// MODULE_INIT_COMPRESSED_FILE.
    const COMPRESSED: libc::c_int = 4;
    let path = format!("/modules/{name}.ko");
    let flags = if fs::read(&path)?.starts_with(b"\x7fELF") { 0 } else { COMPRESSED };
    let file = fs::File::open(path)?;
    // SAFETY: an open descriptor, a string that lives through the call, and flags.
    let done = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) };
    ensure!(done == 0, "{}", io::Error::last_os_error());
    Ok(())
}

fn release(kernel: &str) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(release.starts_with(&format!("{kernel}.")), "{}", release.trim());
    Ok(())
}

/// Several looks at a machine whose one busy process has done something of every kind, and then keeps still.
fn figures() -> Result<()> {
    let load = Load::start()?;
    let (mut kernel, mut proc) = sandwich::open().map_err(|why| anyhow!(why))?;
    let (mut compared, mut rounds) = (0, 0);
    while rounds < 10 {
        let outcome = sandwich::compare(&mut kernel, &mut proc)?;
        ensure!(outcome.differences.is_empty(), "{}", outcome.differences.join("; "));
        compared += outcome.compared;
        rounds += 1;
        thread::sleep(Duration::from_millis(50));
    }
    println!("{compared} rows compared in {rounds} looks");
    let mut sample = Sample::default();
    kernel.sample(&Clock::Real, None, &mut sample)?;
    ensure!(sample.origin.source == "ebpf", "the source is {}", sample.origin.source);
    let row = sample.tasks.iter().find(|task| task.key.tgid == load.pid() && task.is_process());
    let row = row.context("the load has no row")?;
    let switches = row.switches.map_err(|why| anyhow!(why.reason()))?;
    let io = row.io.map_err(|why| anyhow!(why.reason()))?;
    ensure!(row.cpu.user_ns >= Load::USER_NS, "user {} ns", row.cpu.user_ns);
    ensure!(row.faults.minor >= Load::PAGES, "{} minor faults", row.faults.minor);
    ensure!(row.memory.resident_bytes >= Load::PAGES * 4096, "{} bytes resident", row.memory.resident_bytes);
    ensure!(switches.voluntary >= Load::SLEEPS, "{} voluntary switches", switches.voluntary);
    ensure!(io.write_calls >= Load::WRITES, "{} writes", io.write_calls);
    ensure!(io.wchar_bytes >= Load::WRITES * 4096, "{} bytes written", io.wchar_bytes);
    ensure!(compared >= rounds * 20, "only {compared} rows were quiet enough to be compared");
    Ok(())
}

/// Which rung the source takes by itself.
fn best(rung: &str) -> Result<()> {
    let want = Want { facts: Facts::TRAFFIC, ..Want::default() };
    let mut source =
        EbpfSource::open(Path::new("/proc"), Path::new("/sys"), &want).map_err(|why| anyhow!("{why}"))?;
    let mut sample = Sample::default();
    source.sample(&Clock::Real, None, &mut sample)?;
    ensure!(sample.origin.net_rung == Some(Ok(rung)), "it is {:?}", sample.origin.net_rung);
    Ok(())
}
