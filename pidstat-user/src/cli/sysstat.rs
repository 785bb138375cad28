//! sysstat's own command line, for whoever types `pidstat`: walked by hand, word by word, as pidstat walks it.
//!
//! It fills the same [`Plan`] as kpidstat's, with sysstat's rules of counting and of style in it. What pidstat does only
//! by accident is kept where a script can depend on it; what prints garbage is not (the man page has the list).

use super::{
    args::{Args, Format, PidArg, ScopeArg},
    output::Output,
    plan::{Counting, From, Plan},
    surroundings::Surroundings,
};
use crate::{
    sample::Pids,
    select::Pattern,
    sink::{Absent, text::Palette},
};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

/// Whose rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edition {
    /// 12.6.1, as in Debian 12.
    Old,
    /// The newest upstream.
    #[default]
    New,
}

impl Edition {
    /// What `-V` calls it.
    pub fn number(self) -> &'static str {
        match self {
            Edition::Old => "12.6.1",
            Edition::New => "12.8.0",
        }
    }

    fn named(version: &[u8]) -> Option<Edition> {
        match version {
            b"12.6" | b"12.6.1" => Some(Edition::Old),
            b"12.8" | b"12.8.0" => Some(Edition::New),
            _ => None,
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// A report, of a program that is to be started if one is named.
    Report(Box<Plan>, Vec<OsString>),
    /// The version.
    Version,
}

/// Why there will be no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The command line makes no sense.
    Usage,
    /// None of the reports exists for children.
    NoReport,
}

/// Whether the program was called by sysstat's name, or asked by its first argument to speak as sysstat.
pub fn is_meant(arguments: &[OsString]) -> bool {
    let name =
        arguments.first().map(|path| path.as_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default());
    name == Some(b"pidstat") || arguments.get(1).is_some_and(|first| first == "--sysstat")
}

/// What pidstat says to a command line that makes no sense; `name` is what it was called by.
pub fn usage(name: &OsStr, edition: Edition) -> Vec<u8> {
    let json = if edition == Edition::New { " [ -o JSON ]" } else { "" };
    let options = format!(
        " [ options ] [ <interval> [ <count> ] ] [ -e <program> <args> ]\n\
         Options are:\n\
         [ -d ] [ -H ] [ -h ] [ -I ] [ -l ] [ -R ] [ -r ] [ -s ] [ -t ] [ -U [ <username> ] ]\n\
         [ -u ] [ -V ] [ -v ] [ -w ] [ -C <command> ] [ -G <process_name> ]\n\
         [ -p {{ <pid> [,...] | SELF | ALL }} ] [ -T {{ TASK | CHILD | ALL }} ]\n\
         [ --dec={{ 0 | 1 | 2 }} ] [ --human ]{json}\n"
    );
    [b"Usage: ", name.as_bytes(), options.as_bytes()].concat()
}

/// A command line half read.
struct Walk {
    args: Args,
    edition: Edition,
    name: Option<Pattern>,
    group: Option<Pattern>,
    /// What `-p` listed by sysstat's count, which decides about headers.
    listed: usize,
    /// What `-p` and `-e` add to the header count: whether there was any.
    selected: bool,
    interval: Option<i32>,
    count: Option<i32>,
    program: Vec<OsString>,
}

/// Reads the command line; the edition is known even if the rest makes no sense.
pub fn read(arguments: &[OsString], around: &Surroundings) -> (Edition, Result<Asked, Refusal>) {
    let mut walk = Walk {
        args: Args::none(),
        edition: Edition::default(),
        name: None,
        group: None,
        listed: 0,
        selected: false,
        interval: None,
        count: None,
        program: Vec::new(),
    };
    let asked = match walk.words(arguments.iter().skip(1)) {
        Ok(true) => Ok(Asked::Version),
        Ok(false) => walk.plan(around),
        Err(refusal) => Err(refusal),
    };
    (walk.edition, asked)
}

impl Walk {
    /// Takes every word in; `true` as soon as the version is asked for.
    fn words<'a>(&mut self, mut words: impl Iterator<Item = &'a OsString> + Clone) -> Result<bool, Refusal> {
        while let Some(word) = words.next() {
            let word = word.as_bytes();
            let mut next = || words.next().map(|word| word.as_bytes()).ok_or(Refusal::Usage);
            match word {
                b"-e" => {
                    self.program = words.cloned().collect();
                    self.selected = true;
                    return if self.program.is_empty() { Err(Refusal::Usage) } else { Ok(false) };
                }
                b"-p" => self.pids(next()?)?,
                b"-C" => self.name = Some(pattern(next()?)?),
                b"-G" => self.group = Some(pattern(next()?)?),
                b"-T" => self.args.scope.push(scope(next()?)?),
                b"-o" if self.edition == Edition::New => {
                    if next()? != b"JSON" {
                        return Err(Refusal::Usage);
                    }
                    self.args.output = Some(Format::Json);
                }
                b"--human" => self.args.human = true,
                // Ours: whose rules, and a story instead of this machine.
                b"--sysstat" => self.edition = Edition::named(next()?).ok_or(Refusal::Usage)?,
                b"--root" => self.args.root = Some(OsString::from_vec(next()?.to_vec()).into()),
                b"-U" => {
                    let name =
                        words.clone().next().and_then(|word| word.to_str()).filter(|word| {
                            !word.starts_with('-') && !word.bytes().all(|b| b.is_ascii_digit())
                        });
                    self.args.user = Some(name.unwrap_or_default().to_owned());
                    if name.is_some() {
                        words.next();
                    }
                }
                _ => match word.strip_prefix(b"--dec=") {
                    Some([digit]) => self.args.decimals = self.decimals(*digit)?,
                    _ => match word.strip_prefix(b"-") {
                        Some(letters) if self.letters(letters)? => return Ok(true),
                        Some(_) => {}
                        None => self.number(word)?,
                    },
                },
            }
        }
        Ok(false)
    }

    /// A cluster of letters; `true` if one of them asks for the version.
    fn letters(&mut self, letters: &[u8]) -> Result<bool, Refusal> {
        let args = &mut self.args;
        for letter in letters {
            let counter = match letter {
                b'u' => &mut args.cpu,
                b'r' => &mut args.memory,
                b's' => &mut args.stack,
                b'd' => &mut args.disk,
                b'w' => &mut args.switches,
                b'v' => &mut args.kernel,
                b'R' => &mut args.realtime,
                b't' => &mut args.threads,
                b'h' => &mut args.one_line,
                b'H' => &mut args.epoch,
                b'I' => &mut args.of_machine,
                b'l' => &mut args.command_lines,
                b'U' => {
                    args.user.get_or_insert_default();
                    continue;
                }
                b'V' => return Ok(true),
                _ => return Err(Refusal::Usage),
            };
            *counter = counter.saturating_add(1);
        }
        Ok(false)
    }

    /// Items between commas; none at all is a list, too.
    fn pids(&mut self, list: &[u8]) -> Result<(), Refusal> {
        self.selected = true;
        for item in list.split(|b| *b == b',').filter(|item| !item.is_empty()) {
            let (pid, counts) = match item {
                b"SELF" => (PidArg::Myself, 1),
                b"ALL" => (PidArg::All, 2),
                _ => match u32::try_from(whole(item)?) {
                    Ok(pid) if pid > 0 => (PidArg::Number(pid), 1),
                    _ => return Err(Refusal::Usage),
                },
            };
            self.listed += counts;
            self.args.pids.push(pid);
        }
        Ok(())
    }

    fn decimals(&self, digit: u8) -> Result<u8, Refusal> {
        match digit {
            b'0'..=b'2' => Ok(digit - b'0'),
            b'3'..=b'9' => Err(Refusal::Usage),
            // 12.6.1 does not look whether it is a digit.
            _ if self.edition == Edition::Old => Ok(0),
            _ => Err(Refusal::Usage),
        }
    }

    /// The interval, then the count.
    fn number(&mut self, word: &[u8]) -> Result<(), Refusal> {
        let number = whole(word)?;
        match (self.interval, self.count) {
            (None, _) if number >= 0 => self.interval = Some(number),
            (Some(_), None) if number >= 1 => self.count = Some(number),
            _ => return Err(Refusal::Usage),
        }
        Ok(())
    }

    fn plan(&mut self, around: &Surroundings) -> Result<Asked, Refusal> {
        let interval = self.interval.filter(|interval| *interval > 0);
        if interval.is_none() && (self.count.is_some() || !self.program.is_empty()) {
            return Err(Refusal::Usage);
        }
        self.args.interval = interval.map(|interval| interval.to_string());
        self.args.count = self.count.map(|count| count.to_string());
        let args = &self.args;
        let letters =
            [args.cpu, args.memory, args.stack, args.disk, args.switches, args.kernel, args.realtime];
        let letters: i64 = letters.iter().map(|count| i64::from(*count)).sum();
        let children_only =
            !args.scope.is_empty() && args.scope.iter().all(|scope| *scope == ScopeArg::Child);
        if children_only && letters > 0 && args.cpu == 0 && args.memory == 0 {
            return Err(Refusal::NoReport);
        }
        let mut plan = Plan::new(args, around).map_err(|_| Refusal::Usage)?;
        plan.counting = Counting::Sysstat;
        plan.notes = false;
        plan.want.sum_threads = false;
        plan.filter.name = self.name.take();
        plan.filter.group = self.group.take();
        if self.selected && self.args.pids.is_empty() {
            plan.want.pids = Pids::Only(Vec::new());
            plan.filter.idle_too = true;
        }
        let few = matches!(plan.want.pids, Pids::Only(_));
        if plan.from == From::Auto && (few || !self.program.is_empty()) {
            // A few processes are read from files sooner than a program is loaded, and what -e starts does not wait.
            plan.from = From::Files(None);
        }
        let always = self.headers(letters) || interval.is_none();
        self.style(&mut plan.output, always, around);
        Ok(Asked::Report(Box::new(plan), std::mem::take(&mut self.program)))
    }

    /// Whether a header stands before every table: as sysstat counts tables, which is not always right.
    fn headers(&self, letters: i64) -> bool {
        let all = self.args.scope.iter().filter(|scope| **scope == ScopeArg::All).count();
        let repeated = self.args.scope.len().saturating_sub(1);
        let extra = i64::try_from(all + repeated).unwrap_or(i64::MAX);
        !self.selected || letters - 1 + extra > 0 || self.listed > 1
    }

    fn style(&self, output: &mut Output, header_always: bool, around: &Surroundings) {
        match output {
            Output::Text(style) => {
                style.absent = Absent::Number;
                style.signed_users = true;
                style.header_always = header_always;
                if self.edition == Edition::Old {
                    style.palette = around.palette(Palette::old);
                    if around.terminal_rows.is_none() {
                        style.header_period = u64::MAX;
                    }
                }
            }
            Output::Json(style) => style.plain = true,
            Output::Csv { .. } | Output::Pypidstat(_) => {}
        }
    }
}

/// A regular expression; only an empty one is refused.
fn pattern(text: &[u8]) -> Result<Pattern, Refusal> {
    /// What pidstat has room for.
    const MOST: usize = 4095;
    if text.is_empty() { Err(Refusal::Usage) } else { Ok(Pattern::posix(&text[..text.len().min(MOST)])) }
}

fn scope(text: &[u8]) -> Result<ScopeArg, Refusal> {
    match text {
        b"TASK" => Ok(ScopeArg::Task),
        b"CHILD" => Ok(ScopeArg::Child),
        b"ALL" => Ok(ScopeArg::All),
        _ => Err(Refusal::Usage),
    }
}

/// Decimal digits, or nothing, as the C library's atoi has it: what does not fit an int keeps its low bits.
fn whole(text: &[u8]) -> Result<i32, Refusal> {
    let mut number: i64 = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return Err(Refusal::Usage);
        }
        number = number.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
    }
    #[expect(clippy::cast_possible_truncation, reason = "what atoi does")]
    Ok(number as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn asked(line: &str) -> Result<Asked, Refusal> {
        let words: Vec<OsString> =
            std::iter::once("pidstat").chain(line.split_whitespace()).map(OsString::from).collect();
        let around =
            Surroundings { terminal_rows: None, own_pid: 99, zone: TimeZone::UTC, variable: |_| None };
        read(&words, &around).1
    }

    fn plan(line: &str) -> (Plan, Vec<OsString>) {
        match asked(line) {
            Ok(Asked::Report(plan, program)) => (*plan, program),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_name_decides() {
        let meant = |words: &[&str]| is_meant(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(
            meant(&["/usr/bin/pidstat"]) && meant(&["pidstat", "-u"]) && meant(&["kpidstat", "--sysstat"])
        );
        assert!(!meant(&["kpidstat"]) && !meant(&["/pidstat/kpidstat"]) && !meant(&[]));
    }

    #[test]
    fn the_rules_are_in_the_plan() {
        let (plan, program) = plan("-urd 1 3");
        assert_eq!((plan.counting, plan.notes, plan.want.sum_threads), (Counting::Sysstat, false, false));
        assert_eq!((plan.reports.len(), plan.count), (3, Some(3)));
        assert!(program.is_empty());
    }

    #[test]
    fn a_program_takes_the_rest_and_is_the_only_process() {
        let (mut plan, program) = plan("-u 1 -e sleep -x 5");
        assert_eq!(program, ["sleep", "-x", "5"]);
        plan.watch(77);
        assert_eq!(plan.want.pids, Pids::Only(vec![77]));
        assert_eq!(asked("-e true").unwrap_err(), Refusal::Usage);
    }

    #[test]
    fn editions_differ() {
        assert!(matches!(plan("-o JSON 1").0.output, Output::Json(style) if style.plain));
        assert_eq!(asked("--sysstat 12.6 -o JSON 1").unwrap_err(), Refusal::Usage);
        assert_eq!(asked("--dec=x").unwrap_err(), Refusal::Usage);
        assert!(asked("--sysstat 12.6 --dec=x").is_ok());
        assert_eq!(asked("--sysstat 11").unwrap_err(), Refusal::Usage);
    }

    #[test]
    fn numbers_are_those_of_atoi() {
        assert_eq!(whole(b""), Ok(0));
        assert_eq!(whole(b"4294967396"), Ok(100));
        assert_eq!(whole(b"99999999999999999999999"), Ok(-1));
        assert_eq!(whole(b"+5"), Err(Refusal::Usage));
        assert_eq!(plan("-p 100,,200, 1").0.want.pids, Pids::Only(vec![100, 200]));
    }
}
