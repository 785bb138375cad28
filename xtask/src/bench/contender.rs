//! Who takes part: what is run, how its reports are told apart, and where it comes from when it is missing.

use crate::{
    apt, build,
    command::{self, cargo, run, say},
    pypi, setup, toolchain,
};
use anyhow::Result;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// Programs that are started by name, and their packages.
pub const NEEDS: [setup::Need; 6] = [
    ("pidstat", "sysstat"),
    ("strace", "strace"),
    ("tcpdump", "tcpdump"),
    ("nethogs", "nethogs"),
    ("iperf3", "iperf3"),
    ("python3", "python3-venv"),
];

/// How a program's reports are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// So many lines of each report end so.
    Lines {
        /// The end.
        end: &'static str,
        /// How many.
        per_report: usize,
    },
    /// Not by its output; whole runs are compared.
    None,
}

/// Which of kpidstat's runs shows the same figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// `-u -r -d -w`.
    Urdw,
    /// `-u`.
    U,
    /// `-t -u`.
    Tu,
}

/// One program with its arguments.
#[derive(Clone, Debug)]
pub struct Contender {
    /// As one would type it, without interval and count.
    pub name: String,
    /// What it shows.
    pub reports: Reports,
    /// Whether it is our own.
    pub own: bool,
    /// How its reports are told apart.
    pub mark: Mark,
    program: PathBuf,
    /// `COUNT` stands for the number of reports.
    args: Vec<String>,
}

impl Contender {
    /// Its command for so many reports, at an interval of one second.
    pub fn command(&self, count: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.args.iter().map(|arg| arg.replace("COUNT", &count.to_string())));
        command.env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Everyone who is there, and by name who is not, with the reason.
pub struct Field {
    /// In the order of the table.
    pub contenders: Vec<Contender>,
    /// Name and reason.
    pub absent: Vec<(String, String)>,
    /// Our own program.
    pub kpidstat: PathBuf,
}

/// How the names of the runs end that are compared most: ours and pidstat's.
pub const URDW: &str = "pidstat -u -r -d -w";

/// Our own program when it prints every process, idle or not: what rendering costs is the difference.
pub const EVERY_ROW: &str = "kpidstat -u -r -d -w -p ALL";

/// Builds and installs what takes part.
///
/// # Errors
/// kpidstat itself could not be built.
pub fn gather() -> Result<Field> {
    let kpidstat = build::build(true)?;
    let mut field = Field { contenders: Vec::new(), absent: Vec::new(), kpidstat: kpidstat.clone() };
    for need in NEEDS {
        if let Err(why) = setup::ensure(&[need]) {
            field.absent.push((need.0.to_owned(), format!("{why:#}")));
        }
    }
    let modes = [(Reports::Urdw, "-u -r -d -w", 4), (Reports::U, "-u", 1), (Reports::Tu, "-t -u", 1)];
    for (reports, flags, per_report) in modes {
        let words = flags.split(' ').map(str::to_owned);
        let rest = ["1".to_owned(), "COUNT".to_owned()];
        // eBPF or nothing: a run that fell back to files must not count.
        let ours = words.clone().chain(["--source".to_owned(), "ebpf".to_owned()]).chain(rest.clone());
        let mark = Mark::Lines { end: "Command", per_report };
        field.contenders.push(Contender {
            name: format!("kpidstat {flags}"),
            reports,
            own: true,
            mark,
            program: kpidstat.clone(),
            args: ours.collect(),
        });
        if command::has("pidstat") {
            field.contenders.push(Contender {
                name: format!("pidstat {flags}"),
                reports,
                own: false,
                mark,
                program: "pidstat".into(),
                args: words.chain(rest).collect(),
            });
        }
    }
    field.contenders.push(Contender {
        name: EVERY_ROW.to_owned(),
        reports: Reports::Urdw,
        own: true,
        mark: Mark::Lines { end: "Command", per_report: 4 },
        program: kpidstat,
        args: words(["-u", "-r", "-d", "-w", "-p", "ALL", "--source", "ebpf", "1", "COUNT"]),
    });
    field.add("tight procfs reader in Rust, four files", reader());
    field.add("psutil, the same figures", psutil());
    field.add("procpath record -f stat,status,io", procpath());
    field.add("atop -P PRG,PRC,PRM,PRD", atop());
    Ok(field)
}

impl Field {
    /// Adds someone who shows what `-u -r -d -w` shows, or says why not.
    fn add(&mut self, name: &str, found: Result<(PathBuf, Vec<String>, Mark)>) {
        match found {
            Ok((program, args, mark)) => self.contenders.push(Contender {
                name: name.to_owned(),
                reports: Reports::Urdw,
                own: false,
                mark,
                program,
                args,
            }),
            Err(why) => self.absent.push((name.to_owned(), format!("{why:#}"))),
        }
    }
}

type Found = Result<(PathBuf, Vec<String>, Mark)>;

const ONE_LINE: Mark = Mark::Lines { end: "Command", per_report: 1 };

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// The reader is an example of this crate, so that it is optimized even where xtask is not.
fn reader() -> Found {
    run(cargo("build").args(["--quiet", "--release", "--package", "xtask", "--example", "procfs_reader"]))?;
    let program = command::target_dir()?.join("release/examples/procfs_reader");
    Ok((program, words(["1", "COUNT"]), ONE_LINE))
}

fn psutil() -> Found {
    let script = include_str!("psutil_reader.py").to_owned();
    let program = pypi::program("psutil", "python3")?;
    Ok((program, vec!["-c".to_owned(), script, "1".to_owned(), "COUNT".to_owned()], ONE_LINE))
}

fn procpath() -> Found {
    let program = pypi::program(pypi::PROCPATH, "procpath")?;
    let args = ["record", "-f", "stat,status,io", "-i", "1", "-r", "COUNT", "-d", ":memory:"];
    Ok((program, words(args), Mark::None))
}

/// atop's package starts a daemon, so it is unpacked and not installed.
fn atop() -> Found {
    let dir = toolchain::tools_dir(&command::root()).join("atop");
    let program = dir.join("usr/bin/atop");
    if !program.exists() {
        say("bench: apt-get download atop");
        apt::unpack(&apt::download("atop", &dir.join("debs"))?, &dir)?;
    }
    let mark = Mark::Lines { end: "SEP", per_report: 1 };
    Ok((program, words(["-P", "PRG,PRC,PRM,PRD", "1", "COUNT"]), mark))
}
