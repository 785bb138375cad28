//! Which rows a table shows, and in which order: activity, names, users, conditions.

pub mod expr;
pub mod follow;
pub mod jsonpath;
pub mod line;
pub mod name;
mod near;
pub mod order;
mod pattern;

pub use follow::Follow;
pub use name::Name;
pub use order::{Order, Sort};
pub use pattern::Pattern;

use crate::{
    column::Report,
    rate::{Before, Row},
    sample::Task,
};
use expr::Condition;
use name::OfRow;

/// What the user wants to see.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whether tasks that did nothing are shown too (`-p`).
    pub idle_too: bool,
    /// Only these processes, where the source reads others too; ascending.
    pub pids: Option<Vec<u32>>,
    /// Each process and each thread by its own name or command line (`-C`).
    pub name: Option<Pattern>,
    /// Processes by name or command line, with all their threads (`-G`).
    pub group: Option<Pattern>,
    /// Processes by command line, from its start (`--comm_regex`).
    pub command_line: Option<Pattern>,
    /// Tasks of this user (`-U NAME`).
    pub user: Option<String>,
    /// This process is left out (`--ignore`).
    pub except: Option<u32>,
    /// Names are tested against the whole command line where there is one (`-l`).
    pub by_command_line: bool,
    /// What must hold for a row (`--where`).
    pub condition: Option<Condition<Name>>,
    /// Whether only tasks that live in both samples are shown, as in pypidstat.
    pub compared_only: bool,
}

/// A row that may be shown.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The row.
    pub row: Row<'a>,
    verdict: Verdict,
    /// Whether the condition holds for it.
    fits: bool,
}

/// Whether a task passes everything that does not depend on the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Shown wherever it is active.
    Show,
    /// A thread that is shown where its process is.
    WithProcess,
    /// Never shown.
    Hide,
}

impl Filter {
    /// Whether nothing but activity is tested, so that no name need be looked at.
    fn is_trivial(&self) -> bool {
        self.pids.is_none()
            && self.name.is_none()
            && self.group.is_none()
            && self.command_line.is_none()
            && self.user.is_none()
            && self.except.is_none()
    }

    /// Tests one row; with `follow`, that says which processes it may be of.
    pub fn examine<'a>(&self, row: Row<'a>, follow: Option<&Follow>) -> Candidate<'a> {
        let known = matches!(row.before, Before::Known(_)) && !row.exited;
        let verdict = match () {
            () if self.compared_only && !known => Verdict::Hide,
            () if follow.is_some_and(|follow| !follow.has(&row)) => Verdict::Hide,
            () if self.is_trivial() => Verdict::Show,
            () => self.judge(row.now),
        };
        let fits = verdict != Verdict::Hide
            && self.condition.as_ref().is_none_or(|condition| condition.holds(&OfRow(&row)));
        Candidate { row, verdict, fits }
    }

    /// Tests one task.
    fn judge(&self, task: &Task) -> Verdict {
        if self.except == Some(task.key.tgid) {
            return Verdict::Hide;
        }
        if self.pids.as_ref().is_some_and(|pids| pids.binary_search(&task.key.tgid).is_err()) {
            return Verdict::Hide;
        }
        let text = match &task.cmdline {
            Some(line) if self.by_command_line && task.is_process() => line,
            _ => task.name(),
        };
        let fails = |regex: &Option<Pattern>| regex.as_ref().is_some_and(|regex| !regex.is_match(text));
        if fails(&self.name) {
            return Verdict::Hide;
        }
        if let Some(user) = &self.user
            && task.user.as_deref() != Some(user)
        {
            return Verdict::Hide;
        }
        if !task.is_process() {
            let by_process = self.group.is_some() || self.command_line.is_some();
            return if by_process { Verdict::WithProcess } else { Verdict::Show };
        }
        let line = task.cmdline.as_deref().unwrap_or(b"");
        if fails(&self.group) || self.command_line.as_ref().is_some_and(|regex| !regex.is_match(line)) {
            return Verdict::Hide;
        }
        Verdict::Show
    }
}

/// Decides which rows a table has; it is shown every candidate once, by process and thread.
#[derive(Debug)]
pub struct Sieve {
    /// A row stays if any of these finds it active.
    judges: Vec<&'static Report>,
    idle_too: bool,
    shown_process: Option<u32>,
}

impl Sieve {
    /// For a table whose rows `judges` decide about; with `idle_too` everything stays that has more than traffic.
    pub fn new(judges: Vec<&'static Report>, idle_too: bool) -> Sieve {
        Sieve { judges, idle_too, shown_process: None }
    }

    /// Whether the candidate becomes a row.
    pub fn passes(&mut self, Candidate { row, verdict, fits }: &Candidate<'_>) -> bool {
        let passes = match verdict {
            Verdict::Show => true,
            Verdict::WithProcess => self.shown_process == Some(row.now.key.tgid),
            Verdict::Hide => false,
        };
        let idle_too = self.idle_too && !row.traffic_only;
        let stays = passes && (idle_too || self.judges.iter().any(|judge| judge.is_active(row)));
        if stays && row.now.is_process() {
            self.shown_process = Some(row.now.key.tgid);
        }
        // Threads of a group stay with a process that the condition leaves out.
        stays && *fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Comm, Missing, TaskKey};

    fn regex(pattern: &str) -> Pattern {
        regex::bytes::Regex::new(pattern).unwrap().into()
    }

    fn named(tid: u32, name: &str) -> Task {
        Task::blank(TaskKey { tgid: 5, tid, start_ticks: 0 }, Comm::new(name.as_bytes()), Missing::NotAsked)
    }

    #[test]
    fn names_are_searched_unanchored_and_threads_on_their_own() {
        let filter = Filter { name: Some(regex("ell")), ..Filter::default() };
        assert_eq!(filter.judge(&named(0, "hello")), Verdict::Show);
        assert_eq!(filter.judge(&named(0, "other")), Verdict::Hide);
        assert_eq!(filter.judge(&named(6, "bell")), Verdict::Show);
    }

    #[test]
    fn a_group_brings_its_threads() {
        let filter = Filter { group: Some(regex("^main$")), ..Filter::default() };
        assert_eq!(filter.judge(&named(0, "main")), Verdict::Show);
        assert_eq!(filter.judge(&named(6, "worker")), Verdict::WithProcess);
    }

    #[test]
    fn a_command_line_is_matched_where_there_is_one() {
        let filter = Filter { name: Some(regex("--port")), by_command_line: true, ..Filter::default() };
        let mut server = named(0, "server");
        assert_eq!(filter.judge(&server), Verdict::Hide);
        server.cmdline = Some(b"server --port 80".as_slice().into());
        assert_eq!(filter.judge(&server), Verdict::Show);
    }

    #[test]
    fn a_user_without_a_name_matches_no_name() {
        let filter = Filter { user: Some("root".into()), ..Filter::default() };
        let mut task = named(0, "x");
        assert_eq!(filter.judge(&task), Verdict::Hide);
        task.user = Some("root".into());
        assert_eq!(filter.judge(&task), Verdict::Show);
    }
}
