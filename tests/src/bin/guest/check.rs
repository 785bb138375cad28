//! The checks of a guest, one line each: `ok WHAT` or `FAILED WHAT: WHY`.

use crate::load::Load;
use anyhow::{Context, Result, anyhow, ensure};
use pidstat_tests::sandwich;
use pidstat_user::{
    clock::Clock,
    kernel::survey,
    sample::{Facts, Sample, Traffic, Want},
    source::{
        Source as _,
        ebpf::{self, EbpfSource},
    },
};
use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process, thread,
    time::Duration,
};

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
    let mut seen = BTreeSet::new();
    for state in survey() {
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
    let word = |key: &str| listed.get(kernel)?.get(key)?.as_str();
    match (word("net_rung"), word("no_net_rung")) {
        (Some(rung), None) => check(&format!("{rung}: the bytes of -n are exact"), traffic(rung)),
        (None, Some(part)) => check(&format!("-n has no rung: {part}"), no_traffic(part)),
        _ => check("kernels.toml has net_rung or no_net_rung", Err(anyhow!("neither, or both"))),
    }
    Ok(good)
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

/// Opens the source with network figures.
fn with_traffic() -> Result<EbpfSource> {
    let want = Want { facts: Facts::TRAFFIC, ..Want::default() };
    EbpfSource::open(Path::new("/proc"), Path::new("/sys"), &want).map_err(|why| anyhow!("{why}"))
}

/// What this process sends itself must be what it is said to have sent and received.
fn traffic(rung: &str) -> Result<()> {
    const BYTES: usize = 1_000_003;
    let mut source = with_traffic()?;
    ensure!(source.note().is_none(), "{}", source.note().unwrap_or_default());
    let before = own_traffic(&mut source, rung)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    let sender = thread::spawn(move || near.write_all(&vec![7; BYTES]));
    let mut got = Vec::new();
    far.read_to_end(&mut got)?;
    sender.join().map_err(|_| anyhow!("the sender died"))??;
    let after = own_traffic(&mut source, rung)?;
    let (sent, received) = (after.tx_bytes - before.tx_bytes, after.rx_bytes - before.rx_bytes);
    ensure!(got.len() == BYTES, "{} bytes arrived", got.len());
    ensure!(
        (sent, received) == (BYTES as u64, BYTES as u64),
        "sent {sent}, received {received}, not {BYTES}"
    );
    Ok(())
}

fn own_traffic(source: &mut EbpfSource, rung: &str) -> Result<Traffic> {
    let mut sample = Sample::default();
    source.sample(&Clock::Real, None, &mut sample)?;
    ensure!(sample.origin.net_rung == Some(Ok(rung)), "the rung is {:?}", sample.origin.net_rung);
    let own = sample.tasks.iter().find(|task| task.key.tgid == process::id() && task.is_process());
    own.context("no row for this process")?.traffic.map_err(|why| anyhow!(why.reason()))
}

/// Where no rung attaches, the source still opens, says why, and shows nothing.
fn no_traffic(part: &str) -> Result<()> {
    let mut source = with_traffic()?;
    let note = source.note().context("nothing is said")?;
    ensure!(note.contains(part), "it says \"{note}\"");
    let mut sample = Sample::default();
    source.sample(&Clock::Real, None, &mut sample)?;
    ensure!(!matches!(sample.origin.net_rung, Some(Ok(_))), "the rung is {:?}", sample.origin.net_rung);
    ensure!(sample.tasks.iter().all(|task| task.traffic.is_err()), "a row has traffic");
    Ok(())
}
