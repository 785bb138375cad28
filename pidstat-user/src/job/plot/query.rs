//! What can be plotted: the built-in queries, each declared once, and the SQL that says the same.

/// Which number of a row is plotted.
#[derive(Clone, Copy, Debug)]
pub enum Measure<'a> {
    /// The value of an expression.
    Gauge(&'a str),
    /// An expression that only grows, per second.
    PerSecond(&'a str),
    /// An expression in clock ticks, as percents of one CPU's time.
    TicksPct(&'a str),
    /// A counter in nanoseconds, as percents of the time that passed.
    NsPct(&'a str),
    /// A column of the table `rate`, which has a row for each interval in which a process did anything, times a factor.
    Interval(&'a str, f64),
}

/// A query over the recorded rows.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// What `-q` calls it; expressions have none.
    pub name: Option<&'a str>,
    /// On the axis.
    pub title: &'a str,
    /// The recorded files whose columns it needs besides stat's.
    pub files: &'a [&'a str],
    /// What is plotted.
    pub measure: Measure<'a>,
}

const fn query(
    name: &'static str,
    title: &'static str,
    files: &'static [&'static str],
    measure: Measure<'static>,
) -> Query<'static> {
    Query { name: Some(name), title, files, measure }
}

/// How many of the queries are Procpath's.
pub const PROCPATHS: usize = 9;

/// Procpath's nine, and ours of the tables that only our recorder makes.
pub const QUERIES: [Query<'static>; 17] = [
    query("cpu", "CPU Usage, %", &[], Measure::TicksPct("stat_utime + stat_stime")),
    query(
        "rss",
        "Resident Set Size, MiB",
        &[],
        Measure::Gauge("stat_rss / 1024.0 / 1024 * (SELECT value FROM meta WHERE key = 'page_size')"),
    ),
    query(
        "pss",
        "Proportional Set Size, MiB",
        &["smaps_rollup"],
        Measure::Gauge("smaps_rollup_pss / 1024.0"),
    ),
    query(
        "uss",
        "Unique Set Size, MiB",
        &["smaps_rollup"],
        Measure::Gauge("(smaps_rollup_private_clean + smaps_rollup_private_dirty) / 1024.0"),
    ),
    query("swap", "Swap, MiB", &["smaps_rollup"], Measure::Gauge("smaps_rollup_swap / 1024.0")),
    query(
        "fd",
        "Open File Descriptors",
        &["fd"],
        Measure::Gauge("fd_anon + fd_dir + fd_chr + fd_blk + fd_reg + fd_fifo + fd_lnk + fd_sock"),
    ),
    query("rbs", "Disk Read, B/s", &["io"], Measure::PerSecond("io_read_bytes")),
    query("wbs", "Disk Write, B/s", &["io"], Measure::PerSecond("io_write_bytes")),
    query("wait", "I/O wait, %", &[], Measure::TicksPct("stat_delayacct_blkio_ticks")),
    query("rxbs", "Network Received, B/s", &[], Measure::Interval("rx_kib_per_sec", 1024.0)),
    query("txbs", "Network Sent, B/s", &[], Measure::Interval("tx_kib_per_sec", 1024.0)),
    query("rxps", "Network Received, packets/s", &[], Measure::Interval("rx_packets_per_sec", 1.0)),
    query("txps", "Network Sent, packets/s", &[], Measure::Interval("tx_packets_per_sec", 1.0)),
    query("tcp", "TCP Connections", &["net"], Measure::Gauge("net_tcp")),
    query("sockets", "Open Sockets", &["net"], Measure::Gauge("net_sockets")),
    query("runq", "Waiting for a CPU, %", &[], Measure::Interval("wait_pct", 1.0)),
    query("iodelay", "Block I/O Delay, %", &["delay"], Measure::NsPct("delay_block_io_ns")),
];

impl Query<'_> {
    /// The column of the recording that tells whether a file was recorded.
    pub fn missing<'s>(&'s self, columns: &'s [String]) -> impl Iterator<Item = &'s str> {
        self.files.iter().copied().filter(|file| {
            let start = format!("{file}_");
            !columns.iter().any(|column| column.starts_with(&start))
        })
    }

    /// The rows that it is made from, in the order in which they were recorded: time, process, its start and name, value
    /// or counter. Rates are made from all of a process's rows; only values may leave out rows by their time.
    pub fn rows(&self, columns: &[String]) -> String {
        let has = |column: &'static str| if columns.iter().any(|c| c == column) { column } else { "NULL" };
        if let Measure::Interval(column, factor) = self.measure {
            return format!(
                "SELECT ts, pid, start_ticks, comm, {column} * {factor:?}\nFROM rate\n\
                 WHERE tid = 0 AND (:pid_list IS NULL OR instr(:pid_list, ',' || pid || ','))\nORDER BY sample_id"
            );
        }
        let (value, times) = match self.measure {
            Measure::Gauge(value) => {
                (value, "(:after IS NULL OR :after <= ts) AND (:before IS NULL OR ts <= :before)\n  AND ")
            }
            Measure::PerSecond(value)
            | Measure::TicksPct(value)
            | Measure::NsPct(value)
            | Measure::Interval(value, _) => (value, ""),
        };
        // The expression may end in a comment.
        format!(
            "SELECT ts, stat_pid, {}, {}, {value}\nFROM record\n\
             WHERE {times}(:pid_list IS NULL OR instr(:pid_list, ',' || stat_pid || ','))\nORDER BY record_id",
            has("stat_starttime"),
            has("stat_comm"),
        )
    }

    /// The same as one SQL statement, for people to read and change.
    pub fn sql(&self) -> String {
        let rate = |counter: &str, factor: &str| {
            format!(
                "WITH step AS (\n  SELECT record_id, ts, stat_pid,\n    ts - lag(ts) OVER process AS seconds,\n    \
                 ({counter})\n      - lag({counter}) OVER process AS counted\n  FROM record\n  \
                 WINDOW process AS (PARTITION BY stat_pid, stat_starttime ORDER BY record_id)\n)\n\
                 SELECT ts, stat_pid AS pid, {factor}counted / seconds AS value\nFROM step\n\
                 WHERE counted >= 0\nORDER BY stat_pid, record_id"
            )
        };
        match self.measure {
            Measure::Gauge(value) => {
                format!(
                    "SELECT ts, stat_pid AS pid,\n  {value} AS value\nFROM record\nORDER BY stat_pid, record_id"
                )
            }
            Measure::Interval(column, factor) => format!(
                "SELECT ts, pid, {column} * {factor:?} AS value\nFROM rate\nWHERE tid = 0\nORDER BY pid, sample_id"
            ),
            Measure::NsPct(counter) => rate(counter, "1e-7 * "),
            Measure::PerSecond(counter) => rate(counter, ""),
            Measure::TicksPct(counter) => {
                rate(counter, "100.0 / (SELECT value FROM meta WHERE key = 'clock_ticks') * ")
            }
        }
    }
}
