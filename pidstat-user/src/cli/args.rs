//! What was typed, as clap understands it.

use super::{
    called, csv::CsvArgs, explore::ExploreArgs, io::IoArgs, net::NetArgs, play::PlayArgs, plot::PlotArgs,
    proc::ProcArgs, pypidstat, query::QueryArgs, record::RecordArgs, watch::WatchArgs,
};
use crate::sample::NetChoice;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use std::{ffi::OsString, path::PathBuf};

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kpidstat",
    version,
    about = "CPU, memory, disk, context switches and network of every process, from the kernel's own counters",
    long_about = "Reports what every process used: CPU, memory, disk, context switches and network, counted by eBPF in \
                  the kernel and printed as pidstat prints it. Without eBPF it reads /proc and says what it lost.",
    override_usage = "kpidstat [OPTIONS] [INTERVAL [COUNT]]\n       kpidstat COMMAND ...",
    disable_help_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_precedence_over_arg = true,
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub struct Args {
    /// A job of its own.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// CPU (the default report)
    #[arg(short = 'u', alias = "cpu", action = ArgAction::Count, help_heading = "Reports")]
    pub cpu: u8,

    /// Page faults and memory
    #[arg(short = 'r', alias = "memory", action = ArgAction::Count, help_heading = "Reports")]
    pub memory: u8,

    /// Stack
    #[arg(short = 's', action = ArgAction::Count, help_heading = "Reports")]
    pub stack: u8,

    /// Disk I/O
    #[arg(short = 'd', alias = "disk", action = ArgAction::Count, help_heading = "Reports")]
    pub disk: u8,

    /// Context switches
    #[arg(short = 'w', alias = "switch", action = ArgAction::Count, help_heading = "Reports")]
    pub switches: u8,

    /// Threads and open files
    #[arg(short = 'v', action = ArgAction::Count, help_heading = "Reports")]
    pub kernel: u8,

    /// Realtime priority and scheduling policy
    #[arg(short = 'R', action = ArgAction::Count, help_heading = "Reports")]
    pub realtime: u8,

    /// Network: packets and bytes received and sent, loopback included
    #[arg(short = 'n', alias = "network", action = ArgAction::Count, help_heading = "Reports")]
    pub network: u8,

    /// What went through UNIX sockets too, in a report of its own
    #[arg(long, help_heading = "Reports")]
    pub unix: bool,

    /// Switches by kind, how long tasks ran and waited each time, and who took their CPU, by hooks on the scheduler
    #[arg(long, help_heading = "Reports")]
    pub sched: bool,

    /// Delays: waiting for a CPU, storage, swap, memory; - where the kernel does not measure
    #[arg(long, action = ArgAction::Count, help_heading = "Reports")]
    pub delay: u8,

    /// Have the kernel measure delays (kernel.task_delayacct) while this runs, of processes started from then on
    #[arg(long, help_heading = "Reports")]
    pub delayacct: bool,

    /// Report the task itself, the task with the children it waited for, or both
    #[arg(short = 'T', value_name = "TASK|CHILD|ALL", ignore_case = false, help_heading = "Reports")]
    pub scope: Vec<ScopeArg>,

    /// Only these processes (SELF is kpidstat itself), idle or not; ALL shows every process, idle or not
    #[arg(
        short = 'p',
        long = "pids",
        value_name = "LIST|SELF|ALL",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub pids: Vec<PidArg>,

    /// Threads too
    #[arg(short = 't', action = ArgAction::Count, help_heading = "Selection")]
    pub threads: u8,

    /// Each process with all its descendants summed
    #[arg(long, help_heading = "Selection")]
    pub tree: bool,

    /// With -p or -C: their children, and restarts of the same command, stay selected
    #[arg(long, help_heading = "Selection")]
    pub follow: bool,

    /// Processes that ended: show (the default), hide, or fold into their parent; fold:cgroup and fold:command make one row
    /// for each group or name
    #[arg(long, value_name = "HOW", help_heading = "Selection")]
    pub exited: Option<String>,

    /// Only tasks whose name matches this regular expression (with -l: whose command line does)
    #[arg(short = 'C', value_name = "REGEX", allow_hyphen_values = true, help_heading = "Selection")]
    pub name: Option<String>,

    /// Only processes whose name matches, with all their threads
    #[arg(short = 'G', value_name = "REGEX", allow_hyphen_values = true, help_heading = "Selection")]
    pub group: Option<String>,

    /// Only processes whose command line matches from its start
    #[arg(long = "comm_regex", alias = "comm-regex", value_name = "REGEX", help_heading = "Selection")]
    pub command_line: Option<String>,

    /// User names instead of numbers; with a name, only that user's tasks
    #[arg(short = 'U', value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "",
          help_heading = "Selection")]
    pub user: Option<String>,

    /// Leave kpidstat itself out
    #[arg(long, help_heading = "Selection")]
    pub ignore: bool,

    /// Control group of each process; with a text, only processes in whose group's path it is
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "",
          help_heading = "Selection")]
    pub cgroup: Option<String>,

    /// Container of each process; with a text, only processes in containers in whose name or id it is
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "",
          help_heading = "Selection")]
    pub container: Option<String>,

    /// Only rows for which this holds, like 'cpu_pct > 50 and not match(comm, "k.*")'; names are column ids
    #[arg(long = "where", value_name = "EXPR", allow_hyphen_values = true, help_heading = "Selection")]
    pub condition: Option<String>,

    /// Only the first N processes of each table; by CPU time unless --sort says otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Selection")]
    pub top: Option<u32>,

    /// Sort by this column, largest first; smallest first with - before it or :asc after it
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Output")]
    pub sort: Option<String>,

    /// These columns in this order instead of reports, by id or head
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Output")]
    pub columns: Vec<String>,

    /// Command lines instead of names
    #[arg(short = 'l', alias = "long", action = ArgAction::Count, help_heading = "Output")]
    pub command_lines: u8,

    /// One line per task with all reports side by side, no averages
    #[arg(short = 'h', action = ArgAction::Count, help_heading = "Output")]
    pub one_line: u8,

    /// Seconds since the epoch instead of the time of day
    #[arg(short = 'H', action = ArgAction::Count, help_heading = "Output")]
    pub epoch: u8,

    /// Time of each row: clock, iso (with date and zone), epoch, or a strftime pattern like '%F %T%.3f'
    #[arg(long, value_name = "FORMAT", conflicts_with = "epoch", help_heading = "Output")]
    pub time_format: Option<String>,

    /// Also print what kpidstat itself costs: CPU, memory, time of a sample, losses
    #[arg(long = "self", help_heading = "Output")]
    pub own_cost: bool,

    /// Also compare the sum of all processes with what the machine counted: CPU, context switches, disks
    #[arg(long, help_heading = "Output")]
    pub check: bool,

    /// %CPU of all CPUs together instead of one
    #[arg(short = 'I', action = ArgAction::Count, help_heading = "Output")]
    pub of_machine: u8,

    /// Sizes with units
    #[arg(long, help_heading = "Output")]
    pub human: bool,

    /// Decimals of rates and percentages
    #[arg(long = "dec", value_name = "0|1|2", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2),
          hide_default_value = true, help_heading = "Output")]
    pub decimals: u8,

    /// Machine-readable output: sysstat's JSON document, one JSON object per sample, or CSV
    #[arg(short = 'o', value_name = "FORMAT", ignore_case = true, help_heading = "Output")]
    pub output: Option<Format>,

    /// The table of another program: pypidstat's with its -u -r -d -w -n -l, one line per process
    #[arg(long, value_name = "STYLE", help_heading = "Output")]
    pub style: Option<StyleArg>,

    /// Where packets are captured (--net pcap): only on these devices; otherwise all devices are counted anyway
    #[arg(long = "dev", value_name = "DEV", value_delimiter = ',', help_heading = "Source")]
    pub devices: Vec<String>,

    /// Where the numbers come from
    #[arg(long, value_name = "SOURCE", default_value = "auto", help_heading = "Source")]
    pub source: SourceArg,

    /// By which means traffic is counted
    #[arg(long, value_name = "RUNG", default_value = "auto", help_heading = "Source")]
    pub net: NetArg,

    /// With --sched: for how many tasks the kernel map has room (16384); what does not fit is counted as lost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 22), help_heading = "Source")]
    pub sched_tasks: Option<u32>,

    /// For how many sockets the kernel maps have room (65536); what does not fit is counted as lost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24), help_heading = "Source")]
    pub net_sockets: Option<u32>,

    /// Packets of UDP and other datagrams as they are on the wire, by hooks on every packet, instead of messages
    #[arg(long, help_heading = "Source")]
    pub net_packets: bool,

    /// Read another procfs
    #[arg(long, value_name = "DIR", conflicts_with = "root", help_heading = "Source")]
    pub procfs: Option<PathBuf>,

    /// Play back recorded instants: DIR/0/proc, DIR/1/proc, ...
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub root: Option<PathBuf>,

    /// Play back a recording that `record` made, or Procpath
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root", "procfs"], help_heading = "Source")]
    pub replay: Option<PathBuf>,

    /// Print what the network programs log inside the kernel on standard error
    #[arg(long, help_heading = "Source")]
    pub debug_bpf: bool,

    /// Run this program, report it until it ends, and end with its exit code; takes the rest of the line
    #[arg(short = 'e', value_names = ["PROGRAM", "ARGS"], num_args = 1.., allow_hyphen_values = true,
          help_heading = "Selection")]
    pub program: Vec<OsString>,

    /// Print this help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// Seconds between reports, fractions allowed; without it, one report since boot
    #[arg(value_name = "INTERVAL")]
    pub interval: Option<String>,

    /// Number of reports
    #[arg(value_name = "COUNT")]
    pub count: Option<String>,

    /// Whatever follows, which is a mistake: clap would take it for a command and say so.
    #[arg(hide = true)]
    pub extra: Vec<String>,
}

/// A job of its own.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Says what this machine allows, and what would allow more
    Doctor,
    /// Traffic of processes, connections, containers, remote addresses or services
    Net(Box<NetArgs>),
    /// Who reads and writes storage, live or in tables (iotop)
    Io(IoArgs),
    /// What one file of the kernel says of processes
    Proc(ProcArgs),
    /// Files stat, status and io of processes and threads as CSV (linuxprocfs.py)
    Csv(CsvArgs),
    /// Finds processes in the tree by JSONPath, and asks SQL about them
    Query(Box<QueryArgs>),
    /// Keeps commands running whose arguments are found in the process tree
    Watch(Box<WatchArgs>),
    /// Records processes into a database, sample by sample
    Record(Box<RecordArgs>),
    /// Shows a recording as a page in the browser, on this machine only
    Explore(ExploreArgs),
    /// Runs sections of a playbook, each one of the other commands
    Play(PlayArgs),
    /// Draws a recording: lines over time as SVG or PNG
    Plot(Box<PlotArgs>),
}

/// What `-T` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum ScopeArg {
    /// The task itself.
    Task,
    /// The task and the children it waited for.
    Child,
    /// Both.
    All,
}

/// What `-o` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// sysstat's document.
    Json,
    /// One object per sample and line.
    Ndjson,
    /// One row per task and sample.
    Csv,
}

/// What `--style` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StyleArg {
    /// pypidstat's table
    Pypidstat,
}

/// What `--source` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceArg {
    /// eBPF where it works, else /proc
    Auto,
    /// eBPF, or fail
    Ebpf,
    /// /proc only
    Proc,
}

/// What `--net` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetArg {
    /// The best that this machine allows
    Auto,
    /// The socket layer's tracepoints (6.5 and later)
    Tracepoint,
    /// What the protocols' functions return
    Fexit,
    /// Breakpoints and sequence numbers
    Kprobe,
    /// Sequence numbers read at each sample: TCP only, no cost per packet
    Sampled,
    /// Captured packets, without eBPF
    Pcap,
}

impl NetArg {
    /// What it asks of a source.
    pub fn choice(self) -> NetChoice {
        match self {
            NetArg::Auto => NetChoice::Auto,
            NetArg::Tracepoint => NetChoice::Tracepoint,
            NetArg::Fexit => NetChoice::Fexit,
            NetArg::Kprobe => NetChoice::Kprobe,
            NetArg::Sampled => NetChoice::Sampled,
            NetArg::Pcap => NetChoice::Pcap,
        }
    }
}

/// One item of `-p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidArg {
    /// A process or thread id.
    Number(u32),
    /// kpidstat itself.
    Myself,
    /// Every process.
    All,
}

impl std::str::FromStr for PidArg {
    type Err = String;

    fn from_str(text: &str) -> Result<PidArg, String> {
        match text {
            "SELF" => Ok(PidArg::Myself),
            "ALL" => Ok(PidArg::All),
            _ => match text.parse::<u32>() {
                Ok(number) if number > 0 && text.bytes().all(|b| b.is_ascii_digit()) => {
                    Ok(PidArg::Number(number))
                }
                _ => Err("process ids are numbers from 1 on, SELF or ALL, separated by commas".into()),
            },
        }
    }
}

impl Args {
    /// Reads a command line; usage errors and `--help` end the process as clap does (exit code 2, or 0 for help).
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Args {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        if pypidstat::wants_help(&arguments) {
            print!("{}", pypidstat::HELP);
            std::process::exit(i32::from(super::exit::OK));
        }
        Args::parse_from(name_user(called::translate(pypidstat::translate(arguments))))
    }

    /// What an empty command line asks for.
    pub fn none() -> Args {
        Args::parse_from(["kpidstat"])
    }

    /// Reads a command line for tests.
    ///
    /// # Errors
    /// What clap would have printed.
    pub fn try_read(arguments: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
        Args::try_parse_from(name_user(called::translate(pypidstat::translate(arguments))))
    }
}

/// Rewrites `-U NAME` to `-U=NAME`, and the same of other options. The name is optional and positional numbers follow, so clap alone cannot tell them
/// apart: as in sysstat, a name does not begin with `-` and is not made of digits alone.
fn name_user(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let optional = ["-U", "--cgroup", "--container"];
    let mut rewritten: Vec<OsString> = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        if argument == "-e" {
            // What follows is another program's.
            rewritten.push(argument);
            rewritten.extend(arguments);
            break;
        }
        let takes_value = matches!(
            argument.to_str(),
            Some(
                "-p" | "-C"
                    | "-G"
                    | "-T"
                    | "-o"
                    | "--pids"
                    | "--comm_regex"
                    | "--comm-regex"
                    | "--where"
                    | "--top"
                    | "--sort"
                    | "--columns"
                    | "--style"
                    | "--time-format"
                    | "--dev"
                    | "--source"
                    | "--net"
                    | "--net-sockets"
                    | "--procfs"
                    | "--root"
                    | "--sched-tasks"
                    | "--replay"
            )
        );
        let name = arguments.peek().and_then(|next| next.to_str()).filter(|next| {
            optional.contains(&argument.to_str().unwrap_or_default())
                && !next.is_empty()
                && !next.starts_with('-')
                && !next.bytes().all(|b| b.is_ascii_digit())
        });
        if let Some(name) = name {
            rewritten.push(format!("{}={name}", argument.to_string_lossy()).into());
            arguments.next();
        } else {
            rewritten.push(argument);
            if takes_value && let Some(value) = arguments.next() {
                rewritten.push(value);
            }
        }
    }
    rewritten
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, clap::Error> {
        Args::try_read(std::iter::once("kpidstat").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn clap_accepts_its_own_definitions() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn options_cluster_and_interleave_with_numbers() {
        let args = read("1 -urdw -p 42 5").unwrap();
        assert_eq!((args.cpu, args.memory, args.disk, args.switches), (1, 1, 1, 1));
        assert_eq!(args.pids, [PidArg::Number(42)]);
        assert_eq!((args.interval.as_deref(), args.count.as_deref()), (Some("1"), Some("5")));
    }

    #[test]
    fn a_user_name_is_told_from_an_interval() {
        let args = read("-U 1 5").unwrap();
        assert_eq!((args.user.as_deref(), args.interval.as_deref()), (Some(""), Some("1")));
        let args = read("-U root 1").unwrap();
        assert_eq!((args.user.as_deref(), args.interval.as_deref()), (Some("root"), Some("1")));
        let args = read("-Ut 1").unwrap();
        assert_eq!((args.user.as_deref(), args.threads), (Some(""), 1));
        let args = read("--container web --cgroup 1 5").unwrap();
        assert_eq!((args.container.as_deref(), args.cgroup.as_deref()), (Some("web"), Some("")));
        assert_eq!(read("-C -U").unwrap().name.as_deref(), Some("-U"));
        let args = read("-u 1 -e doctor -U root -V 5").unwrap();
        assert_eq!((args.program.len(), args.command.is_none(), args.cpu, args.user), (5, true, 1, None));
    }

    #[test]
    fn bad_pid_lists_are_refused() {
        for list in ["0", "abc", "self", "1-3", "+5", "1,,2"] {
            assert!(read(&format!("-p {list}")).is_err(), "{list}");
        }
        assert_eq!(read("-p 1,SELF,ALL").unwrap().pids, [PidArg::Number(1), PidArg::Myself, PidArg::All]);
    }

    #[test]
    fn formats_are_case_insensitive_and_doctor_is_a_command() {
        assert_eq!(read("-o JSON 1").unwrap().output, Some(Format::Json));
        assert!(matches!(read("doctor").unwrap().command, Some(Command::Doctor)));
    }
}
