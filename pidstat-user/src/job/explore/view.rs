//! The views of a recording: Procpath's sixteen, and our queries.

use crate::job::plot::query::QUERIES;

/// How a view is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines: `ts`, `pid`, `value`.
    Lines,
    /// Areas on each other: the same, by name.
    Areas,
    /// Reading above, writing below, waiting as lines: `ts`, `pid`, `read`, `write`, `wait`.
    Disk,
    /// When each process lived.
    Lives,
    /// When each process was how busy.
    Busy,
    /// Who is whose child.
    Tree,
    /// Both: lives in the order of the tree.
    Forest,
}

impl Kind {
    /// What the page calls it.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Lines => "lines",
            Kind::Areas | Kind::Disk => "areas",
            Kind::Lives | Kind::Busy | Kind::Tree | Kind::Forest => "processes",
        }
    }
}

/// A view.
#[derive(Clone, Debug)]
pub struct View {
    /// In addresses.
    pub id: &'static str,
    /// In the list and above the picture.
    pub title: &'static str,
    /// How it is drawn.
    pub kind: Kind,
    /// Where its figures come from.
    pub sql: String,
}

/// A process per row, with what is known of it over the whole recording.
const PROCESSES: &str = "\
SELECT stat_pid AS pid, stat_ppid AS ppid, stat_comm AS comm, cmdline,
  min(ts) AS first, max(ts) AS last, count(*) AS samples,
  max(stat_rss) * (SELECT value FROM meta WHERE key = 'page_size') / 1048576.0 AS rss_mib,
  100.0 * (max(stat_utime + stat_stime) - min(stat_utime + stat_stime))
    / (SELECT value FROM meta WHERE key = 'clock_ticks') / (max(ts) - min(ts)) AS cpu_pct
FROM record
GROUP BY stat_pid, stat_starttime
ORDER BY stat_pid, first";

const BUSY: &str = "\
SELECT ts, stat_pid AS pid, stat_comm AS comm, cmdline, stat_ppid AS ppid, stat_priority AS priority,
  lag(ts) OVER process AS since,
  100.0 * (stat_utime + stat_stime - lag(stat_utime + stat_stime) OVER process)
    / (SELECT value FROM meta WHERE key = 'clock_ticks') / (ts - lag(ts) OVER process) AS cpu_pct
FROM record
WINDOW process AS (PARTITION BY stat_pid, stat_starttime ORDER BY record_id)
ORDER BY stat_pid, record_id";

const TOTAL_RSS: &str = "\
SELECT ts, stat_comm AS pid,
  sum(stat_rss) * (SELECT value FROM meta WHERE key = 'page_size') / 1048576.0 AS value
FROM record
GROUP BY stat_comm, ts
ORDER BY stat_comm, ts";

const TOTAL_CPU: &str = "\
WITH step AS (
  SELECT ts, stat_comm, ts - lag(ts) OVER process AS seconds,
    stat_utime + stat_stime - lag(stat_utime + stat_stime) OVER process AS ticks
  FROM record
  WINDOW process AS (PARTITION BY stat_pid, stat_starttime ORDER BY record_id)
)
SELECT ts, stat_comm AS pid,
  sum(100.0 * ticks / seconds) / (SELECT value FROM meta WHERE key = 'clock_ticks') AS value
FROM step
WHERE ticks >= 0
GROUP BY stat_comm, ts
ORDER BY stat_comm, ts";

const TOTAL_DISK: &str = "\
WITH step AS (
  SELECT ts, stat_comm, ts - lag(ts) OVER process AS seconds,
    io_read_bytes - lag(io_read_bytes) OVER process AS read_bytes,
    io_write_bytes - lag(io_write_bytes) OVER process AS write_bytes,
    stat_delayacct_blkio_ticks - lag(stat_delayacct_blkio_ticks) OVER process AS wait_ticks
  FROM record
  WINDOW process AS (PARTITION BY stat_pid, stat_starttime ORDER BY record_id)
)
SELECT ts, stat_comm AS pid, sum(read_bytes / seconds) AS read, -sum(write_bytes / seconds) AS write,
  sum(100.0 * wait_ticks / seconds) / (SELECT value FROM meta WHERE key = 'clock_ticks') AS wait
FROM step
WHERE read_bytes >= 0 AND write_bytes >= 0
GROUP BY stat_comm, ts
ORDER BY stat_comm, ts";

/// All of them, in the order of the list; what a recording lacks is there all the same, and says so.
pub fn views() -> Vec<View> {
    let lines = QUERIES.iter().filter_map(|query| {
        Some(View { id: query.name?, title: query.title, kind: Kind::Lines, sql: query.sql() })
    });
    let others = [
        ("total-rss", "Total Resident Set Size, MiB", Kind::Areas, TOTAL_RSS),
        ("total-cpu", "Total CPU Usage, %", Kind::Areas, TOTAL_CPU),
        ("total-disk", "Total Disk IO, B/s and % IO wait", Kind::Disk, TOTAL_DISK),
        ("timeline-pid", "Process Timeline, PID", Kind::Lives, PROCESSES),
        ("timeline-cpu", "Process Timeline, CPU", Kind::Busy, BUSY),
        ("tree", "Process Tree", Kind::Tree, PROCESSES),
        ("forest", "Process Forest Timeline", Kind::Forest, PROCESSES),
    ];
    let others = others.into_iter().map(|(id, title, kind, sql)| View { id, title, kind, sql: sql.into() });
    lines.chain(others).collect()
}
