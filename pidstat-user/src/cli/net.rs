//! What `kpidstat net` and a link called `nethogs` take.

use super::args::{Format, NetArg};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Traffic of processes, connections, containers, remote addresses or services
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, disable_version_flag = true, version)]
pub struct NetArgs {
    /// What the rows are
    #[arg(long, value_name = "WHAT", default_value = "process")]
    pub by: ByArg,

    /// Sort by this column, largest first; smallest first with - before it or :asc after it
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub sort: Option<String>,

    /// Only the first N rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,

    /// Only rows for which this holds, like 'tx_bytes > 1000 and protocol == "tcp"'; names are column ids
    #[arg(long = "where", value_name = "EXPR", allow_hyphen_values = true)]
    pub condition: Option<String>,

    /// These columns in this order, by id or head
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub columns: Vec<String>,

    /// Container of each row too; JSON always has it, with pod and unit
    #[arg(long)]
    pub container: bool,

    /// Rows that did nothing in the interval too
    #[arg(long)]
    pub idle: bool,

    /// Tables below each other, on a terminal too
    #[arg(long)]
    pub batch: bool,

    /// Machine-readable output
    #[arg(short = 'o', value_name = "FORMAT", ignore_case = true)]
    pub output: Option<Format>,

    /// Seconds between refreshes, fractions allowed
    #[arg(short = 'd', value_name = "SECONDS", help_heading = "As in nethogs")]
    pub delay: Option<String>,

    /// What a trace shows: 0 kB/s, 1 total kB, 2 total bytes, 3 total MB, 4 MB/s, 5 GB/s
    #[arg(
        short = 'v',
        value_name = "MODE",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "As in nethogs"
    )]
    pub mode: u32,

    /// Stop after so many refreshes; 0 for never
    #[arg(short = 'c', value_name = "N", help_heading = "As in nethogs")]
    pub refreshes: Option<u64>,

    /// Trace: after each refresh NAME/PID/UID, sent and received with headers, separated by tabs
    #[arg(short = 't', help_heading = "As in nethogs")]
    pub trace: bool,

    /// Trace with the rung and what was lost
    #[arg(short = 'x', help_heading = "As in nethogs")]
    pub bughunt: bool,

    /// Capture packets for other machines too; only for --net pcap
    #[arg(short = 'p', help_heading = "As in nethogs")]
    pub promiscuous: bool,

    /// Sort by what was sent; otherwise by what was received
    #[arg(short = 's', help_heading = "As in nethogs")]
    pub by_sent: bool,

    /// All devices; they always are, unless the program is called nethogs and captures packets: then loopback only so
    #[arg(short = 'a', help_heading = "As in nethogs")]
    pub all_devices: bool,

    /// Command lines instead of names
    #[arg(short = 'l', help_heading = "As in nethogs")]
    pub command_lines: bool,

    /// In a trace, names without their directories
    #[arg(short = 'b', help_heading = "As in nethogs")]
    pub base_names: bool,

    /// UDP too; it always is, unless the program is called nethogs
    #[arg(short = 'C', help_heading = "As in nethogs")]
    pub udp: bool,

    /// Accepted: processes that ended are told from others with their number without cleaning up
    #[arg(short = 'g', value_name = "N", help_heading = "As in nethogs")]
    pub cleanup: Option<u32>,

    /// Only these processes; in a trace the others are one row
    #[arg(short = 'P', value_name = "PID", value_delimiter = ',', help_heading = "As in nethogs")]
    pub pids: Vec<u32>,

    /// Filter of packets, in pcap's language; only for --net pcap
    #[arg(short = 'f', value_name = "EXPR", help_heading = "As in nethogs")]
    pub packets: Option<String>,

    /// By which means traffic is counted
    #[arg(long, value_name = "RUNG", default_value = "auto", help_heading = "Source")]
    pub net: NetArg,

    /// Play back a recording that `record` made; without an interval sample by sample
    #[arg(long, value_name = "FILE", conflicts_with = "net", help_heading = "Source")]
    pub replay: Option<PathBuf>,

    /// For how many sockets the kernel maps have room (65536); what does not fit is counted as lost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24), help_heading = "Source")]
    pub net_sockets: Option<u32>,

    /// UNIX sockets too
    #[arg(long, help_heading = "Source")]
    pub unix: bool,

    /// Packets of UDP and other datagrams as they are on the wire, by hooks on every packet, instead of messages
    #[arg(long, help_heading = "Source")]
    pub net_packets: bool,

    /// Where packets are captured (--net pcap): only on these devices; otherwise all devices are counted anyway
    #[arg(long = "dev", value_name = "DEV", value_delimiter = ',', help_heading = "Source")]
    pub devices: Vec<String>,

    /// Set where the program is called nethogs
    #[arg(long, hide = true)]
    pub nethogs: bool,

    /// Print the version
    #[arg(short = 'V', action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// Print this help
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// Seconds between tables and their number, or names of devices as in nethogs
    #[arg(value_name = "INTERVAL|DEVICE")]
    pub rest: Vec<String>,
}

/// What the rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ByArg {
    /// Processes
    #[default]
    Process,
    /// Connections
    Connection,
    /// Containers
    Container,
    /// Remote addresses
    Remote,
    /// Services: protocol and port
    Port,
}

/// The interval, the number of samples and the devices, wherever they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Seconds between samples.
    pub seconds: f64,
    /// Samples to take; none is for ever.
    pub count: Option<u64>,
    /// Whether an interval was written as in pidstat.
    pub positional: bool,
    /// Devices.
    pub devices: Vec<String>,
}

impl NetArgs {
    /// Tells interval and count from devices: those are numbers, unless the program is called nethogs.
    ///
    /// # Errors
    /// What is wrong with the numbers.
    pub fn schedule(&self) -> Result<Schedule, String> {
        let mut schedule = Schedule {
            seconds: 1.0,
            count: self.refreshes.filter(|count| *count > 0),
            positional: false,
            devices: Vec::new(),
        };
        if let Some(text) = &self.delay {
            schedule.seconds = seconds("-d", text)?;
        }
        let mut numbers = 0;
        for word in &self.rest {
            let number = !self.nethogs && word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
            match (number, numbers) {
                (false, _) => schedule.devices.push(word.clone()),
                (true, 0) => {
                    (schedule.seconds, schedule.positional) = (seconds("the interval", word)?, true);
                    numbers = 1;
                }
                (true, 1) => {
                    let count = word.parse().ok().filter(|count| *count > 0);
                    let wrong = || format!("the count is a whole number from 1 on, not {word:?}");
                    schedule.count = Some(count.ok_or_else(wrong)?);
                    numbers = 2;
                }
                _ => {
                    return Err(format!("unexpected argument {word:?}: there is one interval and one count"));
                }
            }
        }
        schedule.devices.extend_from_slice(&self.devices);
        if self.replay.is_some() && numbers == 0 && self.delay.is_none() {
            // The next sample, however soon it was taken.
            schedule.seconds = 1e-9;
        }
        Ok(schedule)
    }
}

fn seconds(what: &str, text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.001..=1e9).contains(seconds));
    seconds.ok_or_else(|| format!("{what} is in seconds from 0.001 on, like 1 or 0.5, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, Command};

    fn net(words: &[&str]) -> NetArgs {
        match Args::try_read(words.iter().map(Into::into)).unwrap().command {
            Some(Command::Net(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_a_schedule_and_words_are_devices() {
        let schedule = net(&["kpidstat", "net", "0.5", "eth0", "3"]).schedule().unwrap();
        assert_eq!((schedule.seconds, schedule.count, schedule.positional), (0.5, Some(3), true));
        assert_eq!(schedule.devices, ["eth0"]);
        assert!(net(&["kpidstat", "net", "0"]).schedule().is_err());
        assert!(net(&["kpidstat", "net", "1", "0"]).schedule().is_err());
        assert!(net(&["kpidstat", "net", "1", "2", "3"]).schedule().is_err());
    }

    #[test]
    fn a_link_called_nethogs_takes_its_options() {
        let args = net(&[
            "/usr/sbin/nethogs",
            "-t",
            "-v",
            "2",
            "-d",
            "1",
            "-c",
            "4",
            "-C",
            "-P",
            "7",
            "-P",
            "8",
            "eth0",
        ]);
        assert!(args.nethogs && args.trace && args.udp && !args.by_sent);
        assert_eq!((args.mode, args.pids.as_slice()), (2, &[7, 8][..]));
        let schedule = args.schedule().unwrap();
        assert_eq!(
            (schedule.seconds, schedule.count, schedule.devices),
            (1.0, Some(4), vec!["eth0".to_owned()])
        );
        for all in ["-x", "-p", "-s", "-a", "-l", "-b", "-g 5", "-f tcp"] {
            net(&["nethogs"].into_iter().chain(all.split(' ')).collect::<Vec<_>>());
        }
    }
}
