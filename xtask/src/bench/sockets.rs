//! What a sample costs where a hundred thousand sockets are open, and what memory they take.

use super::{
    arena::{self, Population, grouped},
    measure::{Sampler, Walk, status_kib},
    page::Page,
    results::median,
    share::Share,
};
use anyhow::{Context, Result};
use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
};

/// Processes, each with connections to itself at an address of its own.
const PROCESSES: u8 = 20;
/// Connections of each; both ends are its own.
const CONNECTIONS: usize = 2_500;
/// What one sample may cost.
const MOST_MS: f64 = 150.0;

/// Which sockets move between two samples: none, one in ten, all.
const CASES: [(&str, Option<usize>); 3] =
    [("no socket moved", None), ("one in ten moved", Some(10)), ("every socket moved", Some(1))];

/// A process that holds connections and, asked to, moves a byte through some.
struct Holder {
    ask: File,
    answer: File,
}

impl Holder {
    fn start(number: u8) -> Result<Holder> {
        let (asked, ask) = arena::pipe()?;
        let (answer, answering) = arena::pipe()?;
        arena::fork(|| {
            if let Err(why) = hold(number, asked, answering) {
                eprintln!("xtask: sockets: {why:#}");
            }
        })?;
        Ok(Holder { ask: File::from(ask), answer: File::from(answer) })
    }

    fn done(&mut self) -> Result<()> {
        self.answer.read_exact(&mut [0]).context("a process with sockets ended")
    }

    fn go(&mut self, one_in: usize) -> Result<()> {
        self.ask.write_all(&u32::try_from(one_in)?.to_ne_bytes())?;
        self.done()
    }
}

fn hold(number: u8, asked: OwnedFd, answering: OwnedFd) -> Result<()> {
    let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit, then reads it.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files);
        files.rlim_cur = files.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
    }
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, number + 1), 0))?;
    let at = listener.local_addr()?;
    let mut pairs = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        pairs.push((TcpStream::connect(at).context("so many files")?, listener.accept()?.0));
    }
    let (mut asked, mut answering) = (File::from(asked), File::from(answering));
    let mut word = [0; 4];
    loop {
        answering.write_all(b"!")?;
        if asked.read_exact(&mut word).is_err() {
            return Ok(());
        }
        let one_in = u32::from_ne_bytes(word) as usize;
        for (here, there) in pairs.iter_mut().step_by(one_in) {
            here.write_all(b"x")?;
            there.read_exact(&mut [0])?;
        }
    }
}

/// Measures, and judges.
///
/// # Errors
/// So many sockets could not be opened, or kpidstat did not report.
pub fn play(kpidstat: &Path, share: &Share) -> Result<Page> {
    let samples = if share.quick { 2 } else { 7 };
    let said = arena::within(Population::Empty, true, |out| {
        let mut holders = (0..PROCESSES).map(Holder::start).collect::<Result<Vec<_>>>()?;
        holders.iter_mut().try_for_each(Holder::done)?;
        let mut walk = Walk::new();
        let mut sampler = Sampler::start(kpidstat, &["-n", "--source", "ebpf", "-o", "ndjson", "1"])?;
        sampler.sample()?;
        for (case, (_, one_in)) in CASES.iter().enumerate() {
            for _ in 0..samples {
                if let Some(one_in) = one_in {
                    holders.iter_mut().try_for_each(|holder| holder.go(*one_in))?;
                }
                walk.all();
                writeln!(out, "{case} {}", sampler.sample()?)?;
            }
        }
        let resident = status_kib(sampler.pid(), "VmRSS:")?;
        writeln!(out, "resident {resident}")?;
        Ok(())
    })?;
    let of = |what: &str| -> Vec<f64> {
        let lines = said.lines().filter_map(|line| line.strip_prefix(what)?.trim().parse().ok());
        lines.collect()
    };
    let sockets = usize::from(PROCESSES) * CONNECTIONS * 2;
    let mut page =
        Page::new(&format!("A sample with {} open sockets in {PROCESSES} processes", grouped(sockets)));
    for (case, (name, _)) in CASES.iter().enumerate() {
        let ms = median(of(&format!("{case} ")));
        page.row(name, ms.map(|ms| format!("{ms:.0} ms")));
        if case < 2 {
            page.less(
                &format!("{} open sockets, {name}: a sample of kpidstat -n", grouped(sockets)),
                ms,
                MOST_MS,
                "ms",
                true,
            );
        }
    }
    let resident = median(of("resident ")).map(|kib| kib / 1024.0);
    page.row("resident memory of kpidstat", resident.map(|mib| format!("{mib:.0} MiB")));
    page.less(&format!("{} open sockets: resident memory", grouped(sockets)), resident, 100.0, "MiB", true);
    Ok(page)
}
