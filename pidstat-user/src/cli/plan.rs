//! What will be done: the command line and the environment turned into decisions, before anything is opened.

use super::{
    args::{Args, NetArg, PidArg, ScopeArg, SourceArg},
    choice,
    output::{Output, output},
    pypidstat,
    surroundings::Surroundings,
};
use crate::{
    column::{Column, DELAY, REPORTS, Report, Scope, sched::SCHED, unix::UNIX},
    sample::{Capturing, Exited, Facts, FoldTo, Pids, Want},
    select::{Filter, Follow, Name, Order, Pattern},
};
use regex::bytes::RegexBuilder;
use std::{path::PathBuf, time::Duration};

/// Where the numbers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// eBPF where it works, else files.
    Auto,
    /// eBPF or nothing.
    Ebpf,
    /// Files of the machine's procfs, or of another one.
    Files(Option<PathBuf>),
    /// Recorded instants.
    Instants(PathBuf),
    /// A recording.
    Recording(PathBuf),
}

/// Everything decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The reports in order of display.
    pub reports: Vec<&'static Report>,
    /// The columns chosen instead of all of the reports'.
    pub columns: Option<Vec<&'static Column>>,
    /// Who is followed.
    pub follow: Option<Follow>,
    /// Columns that every table has besides.
    pub extra: Vec<&'static Column>,
    /// Whether each process stands for itself and all its descendants.
    pub tree: bool,
    /// The order of the rows.
    pub order: Order,
    /// What the source has to read.
    pub want: Want,
    /// Which rows are shown.
    pub filter: Filter,
    /// Time between samples; none means one report since boot.
    pub interval: Option<Duration>,
    /// Samples to take; none means until interrupted.
    pub count: Option<u64>,
    /// Where the numbers come from.
    pub from: From,
    /// The output.
    pub output: Output,
    /// Whether `%CPU` is of the whole machine.
    pub of_machine: bool,
    /// How times and newcomers are counted.
    pub counting: Counting,
    /// Whether standard error is told what this source cannot do.
    pub notes: bool,
}

/// How times and newcomers are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// As exactly as the source knows.
    #[default]
    Exact,
    /// As sysstat does: times are cut to clock ticks, whoever was not seen in the sample before starts from zero, and a
    /// task whose stack is wanted and cannot be read has no row at all.
    Sysstat,
}

/// A command line that makes no sense; shown with exit code 2.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Usage(pub(super) String);

impl Usage {
    /// Says what is wrong.
    pub fn new(what: impl Into<String>) -> Usage {
        Usage(what.into())
    }
}

impl Plan {
    /// Decides.
    ///
    /// # Errors
    /// What is wrong with the command line, in words that say what to write instead.
    pub fn new(args: &Args, around: &Surroundings) -> Result<Plan, Usage> {
        let (mut interval, count) = schedule(args)?;
        if args.replay.is_some() {
            // Without an interval, every sample of the recording is shown: none is closer to the next.
            interval = interval.or(Some(Duration::from_nanos(1)));
        }
        let (mut reports, letters) = reports(args)?;
        let style = pypidstat::style(args, &around.zone)?;
        let columns = match &style {
            Some(style) => Some(pypidstat::columns(style)),
            None => choice::columns(args, letters)?,
        };
        if let Some(columns) = &columns {
            reports = choice::reports_of(columns);
        }
        let order = choice::order(args)?;
        let exited = choice::exited(args, &reports)?;
        let mut extra = choice::extra(args, columns.as_deref())?;
        let pids = pids(args, around.own_pid);
        if !args.program.is_empty() && interval.is_none() {
            return Err(Usage("-e needs an interval".into()));
        }
        let mut filter = filter(args, around, &pids)?;
        if style.is_some() {
            pypidstat::adapt(&mut filter, pids.is_some(), interval.is_some());
        }
        let pids = choice::widen(args, pids, &mut filter)?;
        let (follow, pids) = choice::follow(args, interval.is_some(), pids, &mut filter)?;
        let mut facts = reports.iter().fold(Facts::NONE, |facts, report| facts | report.needs());
        facts = extra.iter().fold(facts, |facts, column| facts | column.needs);
        let beside = choice::beside_traffic(args, &extra)?;
        if !beside.is_empty() {
            facts |= Facts::TRAFFIC_GROUPS;
            extra.extend(beside);
        }
        facts |= order.sort.map_or(Facts::NONE, |sort| sort.by.needs());
        if let Some(condition) = &filter.condition {
            condition.names(&mut |name: &Name| facts |= name.needs());
        }
        facts |= Facts::OWNER;
        if args.user.is_some() || style.is_some() {
            facts |= Facts::USER;
        }
        if style.is_some() {
            facts |= Facts::EFFECTIVE;
        }
        if args.command_lines > 0 || follow.is_some() || args.command_line.is_some() {
            facts |= Facts::CMDLINE;
        }
        if exited == Exited::Fold(FoldTo::Cgroup) {
            facts |= Facts::CGROUP;
        }
        if args.own_cost || args.output.is_some() {
            facts |= Facts::COST;
        }
        if args.check {
            if pids.is_some() || interval.is_none() {
                return Err(Usage(
                    "--check is about all processes during an interval: no -p, and an interval".into(),
                ));
            }
            facts |= Facts::MACHINE | Facts::SWITCHES | Facts::IO | Facts::TRAFFIC;
            facts |= Facts::CONNECTIONS | Facts::INTERFACES;
        }
        if args.of_machine > 0 {
            facts |= Facts::TOTAL_CPU;
        }
        let elsewhere = args.root.is_some() || args.procfs.is_some() || args.replay.is_some();
        if elsewhere && args.source == SourceArg::Ebpf {
            return Err(Usage(
                "--source ebpf counts this machine; it cannot be used with --root, --procfs or --replay"
                    .into(),
            ));
        }
        let from = match (&args.root, &args.procfs, args.source) {
            _ if let Some(file) = &args.replay => From::Recording(file.clone()),
            (Some(root), _, _) => From::Instants(root.clone()),
            (_, Some(procfs), _) => From::Files(Some(procfs.clone())),
            (_, _, SourceArg::Proc) => From::Files(None),
            (_, _, SourceArg::Ebpf) => From::Ebpf,
            // What happened before the start is in files only.
            (_, _, SourceArg::Auto) if interval.is_none() => From::Files(None),
            (_, _, SourceArg::Auto) => From::Auto,
        };
        if args.net != NetArg::Auto {
            let rung = args.net.choice().name();
            if !facts.has(Facts::TRAFFIC) {
                return Err(Usage(format!("--net {rung} says how traffic is counted; ask for it with -n")));
            }
            let files = args.net == NetArg::Pcap && args.source == SourceArg::Proc && !elsewhere;
            let counts = matches!(from, From::Auto | From::Ebpf) || files && interval.is_some();
            if !counts {
                return Err(Usage(format!(
                    "--net {rung} counts on this machine, during intervals; it needs one, and no files as source"
                )));
            }
        }
        let listed = args.pids.len() + usize::from(!args.program.is_empty());
        if args.delayacct && matches!(from, From::Instants(_) | From::Files(Some(_))) {
            return Err(Usage(
                "--delayacct is about this machine; it cannot be used with --root or --procfs".into(),
            ));
        }
        let header_always = header_always(args, letters, listed) || interval.is_none();
        Ok(Plan {
            want: Want {
                facts,
                pids: pids.unwrap_or_default(),
                threads: args.threads > 0,
                sum_threads: true,
                exited,
                net: args.net.choice(),
                capturing: Capturing { devices: args.devices.clone(), ..Capturing::default() },
                net_sockets: args.net_sockets,
                net_packets: args.net_packets,
                sched_tasks: args.sched_tasks,
                debug: args.debug_bpf,
            },
            reports,
            columns,
            follow,
            extra,
            tree: args.tree,
            order,
            filter,
            interval,
            count,
            from,
            output: match style {
                Some(style) => Output::Pypidstat(style),
                None => output(args, around, header_always)?,
            },
            of_machine: args.of_machine > 0,
            counting: Counting::Exact,
            notes: true,
        })
    }
}

impl Plan {
    /// Whether the run is about certain processes, and over when they are.
    pub fn is_listed(&self) -> bool {
        matches!(self.want.pids, Pids::Only(_)) || self.filter.pids.is_some()
    }

    /// Adds a process to those that are shown.
    pub fn watch(&mut self, pid: u32) {
        let mut add = |pids: &mut Vec<u32>| {
            pids.push(pid);
            pids.sort_unstable();
            pids.dedup();
        };
        if let Pids::Only(pids) = &mut self.want.pids {
            add(pids);
        }
        self.filter.pids.as_mut().map(&mut add);
        self.follow.as_mut().and_then(Follow::listed).map(&mut add);
    }
}

fn schedule(args: &Args) -> Result<(Option<Duration>, Option<u64>), Usage> {
    if let Some(extra) = args.extra.first() {
        return Err(Usage(format!("unexpected argument {extra:?}: there is one interval and one count")));
    }
    let interval = match &args.interval {
        None => None,
        Some(text) => {
            let decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let seconds = text.parse::<f64>().ok().filter(|seconds| decimal && *seconds <= 1e9);
            let seconds = seconds
                .ok_or_else(|| Usage(format!("the interval is in seconds, like 1 or 0.5, not {text:?}")))?;
            if seconds > 0.0 && seconds < 0.001 {
                return Err(Usage("the shortest interval is 0.001 seconds".into()));
            }
            (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
        }
    };
    let count = match &args.count {
        None => None,
        Some(text) => {
            let count = text.parse::<u64>().ok().filter(|count| *count > 0);
            Some(count.ok_or_else(|| Usage(format!("the count is a whole number from 1 on, not {text:?}")))?)
        }
    };
    if count.is_some() && interval.is_none() {
        return Err(Usage("a count needs an interval above 0".into()));
    }
    Ok((interval, count))
}

/// The reports, and how many letters asked for them.
fn reports(args: &Args) -> Result<(Vec<&'static Report>, u32), Usage> {
    let counts = [
        ('u', args.cpu),
        ('r', args.memory),
        ('s', args.stack),
        ('d', args.disk),
        ('w', args.switches),
        ('v', args.kernel),
        ('R', args.realtime),
        ('n', args.network),
        (DELAY, args.delay),
    ];
    let letters = counts.iter().map(|(_, count)| u32::from(*count)).sum::<u32>()
        + u32::from(args.sched)
        + u32::from(args.unix);
    let asked = |flag| {
        letters == 0 && flag == 'u' || counts.iter().any(|(letter, count)| *letter == flag && *count > 0)
    };
    let all = args.scope.contains(&ScopeArg::All);
    let tasks = args.scope.is_empty() || all || args.scope.contains(&ScopeArg::Task);
    let children = all || args.scope.contains(&ScopeArg::Child);
    let wanted = |report: &&&'static Report| {
        (asked(report.flag) || args.sched && report.json == SCHED || args.unix && report.json == UNIX)
            && match report.scope {
                Scope::Task => tasks,
                Scope::Children => children,
            }
    };
    let chosen: Vec<_> = REPORTS.iter().filter(wanted).copied().collect();
    if chosen.is_empty() {
        return Err(Usage("-T CHILD has the reports -u and -r only".into()));
    }
    Ok((chosen, letters))
}

/// The processes asked for; none means all that are active.
fn pids(args: &Args, own_pid: u32) -> Option<Pids> {
    // What -e starts gets its number later.
    if args.pids.is_empty() && args.program.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for item in &args.pids {
        match item {
            PidArg::All => return Some(Pids::All),
            PidArg::Myself => list.push(own_pid),
            PidArg::Number(number) => list.push(*number),
        }
    }
    list.sort_unstable();
    list.dedup();
    Some(Pids::Only(list))
}

fn filter(args: &Args, around: &Surroundings, pids: &Option<Pids>) -> Result<Filter, Usage> {
    let regex = |option: &str, pattern: &Option<String>, anchored: bool| -> Result<Option<Pattern>, Usage> {
        let Some(pattern) = pattern else { return Ok(None) };
        if pattern.is_empty() {
            return Err(Usage(format!("{option} needs a regular expression")));
        }
        let built = |pattern: &str| {
            let built = RegexBuilder::new(pattern).unicode(false).dot_matches_new_line(true).build();
            built.map_err(|error| Usage(format!("{option}: {error}")))
        };
        // By itself first: `a)|(b` makes sense only between the parentheses that come around it.
        let regex = built(pattern)?;
        Ok(Some(if anchored { built(&format!("^(?:{pattern})"))?.into() } else { regex.into() }))
    };
    Ok(Filter {
        idle_too: pids.is_some(),
        name: regex("-C", &args.name, false)?,
        group: regex("-G", &args.group, false)?,
        command_line: regex("--comm_regex", &args.command_line, true)?,
        user: args.user.clone().filter(|name| !name.is_empty()),
        except: args.ignore.then_some(around.own_pid),
        by_command_line: args.command_lines > 0,
        condition: choice::condition(args)?,
        compared_only: false,
        pids: None,
    })
}

/// Whether a header stands before every table rather than once a screen: as sysstat decides it.
fn header_always(args: &Args, letters: u32, listed: usize) -> bool {
    let scopes: i64 = args.scope.iter().map(|scope| i64::from(*scope == ScopeArg::All)).sum();
    let repeated = i64::try_from(args.scope.len()).unwrap_or(i64::MAX).saturating_sub(1).max(0);
    let tables = i64::from(letters) - 1 + scopes + repeated;
    listed == 0 || tables > 0 || listed > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use std::ffi::OsString;

    fn plan(line: &str) -> Result<Plan, Usage> {
        let words = std::iter::once("kpidstat").chain(line.split_whitespace()).map(OsString::from);
        let around =
            Surroundings { terminal_rows: None, own_pid: 99, zone: TimeZone::UTC, variable: |_| None };
        Plan::new(&Args::try_read(words).unwrap(), &around)
    }

    #[test]
    fn only_what_is_shown_is_read() {
        let facts = plan("-u 1").unwrap().want.facts;
        assert!(facts.has(Facts::SCHED) && !facts.has(Facts::STACK) && !facts.has(Facts::TRAFFIC));
        assert!(plan("-n 1").unwrap().want.facts.has(Facts::TRAFFIC));
    }

    #[test]
    fn schedules_that_make_no_sense_are_refused_in_words() {
        for line in ["x", "1 0", "0 3", "1 x", "0.0001", "1e3", "inf"] {
            assert!(plan(line).is_err(), "{line}");
        }
        assert_eq!(plan("0.25 2").unwrap().interval, Some(Duration::from_millis(250)));
        assert_eq!(plan("").unwrap().interval, None);
        assert_eq!(plan("0").unwrap().interval, None);
    }

    #[test]
    fn headers_repeat_as_in_sysstat() {
        let always = |line: &str| match plan(line).unwrap().output {
            Output::Text(style) => style.header_always,
            _ => unreachable!("text is the default"),
        };
        assert!(always("1"));
        assert!(!always("-p 5 1"));
        assert!(!always("-u -p 5 1"));
        assert!(always("-u -r -p 5 1"));
        assert!(always("-p 5,6 1"));
        assert!(!always("-p ALL 1"));
    }

    #[test]
    fn a_pid_list_is_sorted_and_all_wins() {
        assert_eq!(plan("-p 7,SELF,7,3 1").unwrap().want.pids, Pids::Only(vec![3, 7, 99]));
        assert_eq!(plan("-p 7,ALL 1").unwrap().want.pids, Pids::All);
    }

    #[test]
    fn a_bad_regular_expression_is_named() {
        assert!(plan("-C [ 1").unwrap_err().to_string().starts_with("-C:"));
        assert!(plan("--comm_regex a)|(b 1").unwrap_err().to_string().contains("unopened group"));
    }
}
