//! Connections over an interval, and what groups of them add up to.

use crate::sample::{
    Cgroup, Comm, Connection, ConnectionKey, Interface, Missing, Moved, Reading, Sample, Task, TaskKey,
    socket::User,
};
use std::{collections::HashMap, net::IpAddr, rc::Rc};

/// What the rows of a report are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Processes.
    #[default]
    Process,
    /// Connections, one row for each process that uses it.
    Connection,
    /// Containers; whatever is in none is one row.
    Container,
    /// Remote addresses.
    Remote,
    /// Services: protocol and the smaller of the two ports.
    Port,
}

/// What a row is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineKey {
    /// A process.
    Process(TaskKey),
    /// A connection.
    Connection(ConnectionKey),
    /// A container.
    Container(Option<Rc<[u8]>>),
    /// A remote address; none is what is connected to nobody.
    Remote(Option<IpAddr>),
    /// A service.
    Port(u16, u16),
    /// All of them.
    Total,
}

/// The process of a row.
#[derive(Clone, Debug)]
pub struct Who {
    /// Identity; tgid 0 for what has no process here.
    pub key: TaskKey,
    /// Name.
    pub name: Rc<[u8]>,
    /// Command line; absent when not asked for or gone.
    pub cmdline: Option<Rc<[u8]>>,
    /// Real user id.
    pub uid: u32,
    /// That user's name; absent when not asked for or gone.
    pub user: Option<Rc<str>>,
    /// Whether it ended before the sample was taken.
    pub exited: bool,
}

/// One row: a connection, or connections that have something in common.
#[derive(Clone, Debug)]
pub struct Line {
    /// Identity.
    pub key: LineKey,
    /// The process, where the row is about one.
    pub who: Option<Who>,
    /// The connection, where the row is one; otherwise one of them.
    pub one: Connection,
    /// Connections in it that live or ended in the interval.
    pub connections: u64,
    /// How many of them ended.
    pub closed: u64,
    /// What they moved in the interval.
    pub gain: Reading<Moved>,
    /// What they moved since the tool started, or since the connection was first seen.
    pub total: Moved,
    /// Length of the interval in seconds.
    pub seconds: f64,
    /// Uptime at its end.
    pub uptime_ns: u64,
    /// Whether UNIX sockets are counted too.
    pub unix: bool,
}

impl Line {
    /// Whether it is one connection.
    pub fn is_connection(&self) -> bool {
        matches!(self.key, LineKey::Connection(_))
    }

    /// Whether it is about UNIX sockets alone.
    pub fn is_unix(&self) -> bool {
        matches!(self.key, LineKey::Connection(_) | LineKey::Port(..)) && self.one.is_unix()
    }

    /// Whether anything moved or ended in the interval.
    pub fn is_active(&self) -> bool {
        self.closed > 0 || self.gain != Ok(Moved::default())
    }

    /// Growth per second of a counter.
    pub fn per_sec(&self, counter: impl Fn(&Moved) -> u64) -> Reading<f64> {
        self.gain.map(|gain| counter(&gain) as f64 / self.seconds)
    }
}

/// A connection and what it moved since the sample before.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// As it is, or as it ended.
    pub now: &'a Connection,
    /// What it moved; everything, if it was not there before.
    pub gain: Reading<Moved>,
}

/// Every connection of `now` with what it moved since `before`.
pub fn changes<'a>(before: &'a Sample, now: &'a Sample) -> impl Iterator<Item = Change<'a>> {
    let mut earlier = before.connections.as_slice();
    now.connections.iter().map(move |connection| {
        // Both sides are sorted, so each is walked once.
        while let Some((first, rest)) = earlier.split_first()
            && first.key < connection.key
        {
            earlier = rest;
        }
        let known = earlier.first().filter(|first| first.key == connection.key);
        let was = known.map_or_else(Moved::default, |known| known.moved);
        Change { now: connection, gain: connection.moved.since(was).ok_or(Missing::WentBackwards) }
    })
}

/// Makes rows of connections and adds up what each row moved since the start.
#[derive(Debug, Default)]
pub struct Lines {
    by: By,
    /// Rows of every sample so far; connections carry their own totals.
    totals: HashMap<LineKey, Line>,
}

fn seconds(before: &Sample, now: &Sample) -> f64 {
    now.uptime_ns.saturating_sub(before.uptime_ns).max(1) as f64 / 1e9
}

/// Most rows whose totals are kept; those that moved nothing in a sample go first.
const KEPT: usize = 1 << 16;

impl Lines {
    /// For rows of this kind.
    pub fn new(by: By) -> Lines {
        Lines { by, totals: HashMap::new() }
    }

    /// The rows of an interval in order of their keys; of `wanted` connections only.
    pub fn of(&mut self, before: &Sample, now: &Sample, wanted: impl Fn(&Connection) -> bool) -> Vec<Line> {
        let seconds = seconds(before, now);
        let blank = |change: &Change<'_>, key| Line {
            key,
            who: None,
            one: change.now.clone(),
            connections: 0,
            closed: 0,
            gain: Ok(Moved::default()),
            total: Moved::default(),
            seconds,
            uptime_ns: now.uptime_ns,
            unix: now.origin.net_unix,
        };
        // What has no protocol keeps the bytes of the network and those of UNIX sockets apart.
        let mixed = !matches!(self.by, By::Connection | By::Port);
        let mut rows: HashMap<LineKey, Line> = HashMap::new();
        for change in changes(before, now).filter(|change| wanted(change.now)) {
            let key = self.key(change.now);
            // Nearly all connections are idle, and their rows would be left out anyway.
            if self.by == By::Connection && change.gain == Ok(Moved::default()) && !change.now.closed {
                continue;
            }
            let row = rows.entry(key.clone()).or_insert_with(|| blank(&change, key));
            row.connections += 1;
            row.closed += u64::from(change.now.closed);
            let gain = match change.gain {
                Ok(gain) if mixed && change.now.is_unix() => Ok(gain.of_unix()),
                gain => gain,
            };
            row.gain = match (row.gain, gain) {
                (Ok(sum), Ok(gain)) => Ok(sum.plus(gain)),
                (Err(why), _) | (_, Err(why)) => Err(why),
            };
            row.total = change.now.moved;
        }
        let mut rows: Vec<Line> = rows.into_values().collect();
        for row in &mut rows {
            if matches!(row.key, LineKey::Process(_) | LineKey::Connection(_)) {
                let mut who = who(&row.one, now);
                // A process that ended is called what it was called while it lived.
                if let Some(was) = self.totals.get(&row.key).and_then(|line| line.who.as_ref())
                    && who.exited
                {
                    (who.name, who.cmdline, who.user) =
                        (was.name.clone(), was.cmdline.clone(), was.user.clone());
                }
                row.who = Some(who);
            }
            if self.by != By::Connection {
                let earlier = self.totals.get(&row.key).map_or_else(Moved::default, |line| line.total);
                row.total = earlier.plus(row.gain.unwrap_or_default());
                if self.totals.len() < KEPT || self.totals.contains_key(&row.key) {
                    self.totals.insert(row.key.clone(), row.clone());
                }
            }
        }
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// Adds the rows that had traffic in earlier intervals and are not in `rows`.
    pub fn with_earlier(&self, rows: &mut Vec<Line>) {
        let there: std::collections::HashSet<LineKey> = rows.iter().map(|row| row.key.clone()).collect();
        for line in self.totals.values().filter(|line| !there.contains(&line.key)) {
            let mut line = line.clone();
            (line.connections, line.closed, line.gain) = (0, 0, Ok(Moved::default()));
            rows.push(line);
        }
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    }

    /// All rows as one.
    pub fn total(&self, rows: &[Line], before: &Sample, now: &Sample) -> Line {
        let user = User { comm: Comm::default(), uid: 0 };
        let mut total = Line {
            key: LineKey::Total,
            who: None,
            one: Connection::blank(ConnectionKey::default(), user),
            connections: 0,
            closed: 0,
            gain: Ok(Moved::default()),
            total: Moved::default(),
            seconds: seconds(before, now),
            uptime_ns: now.uptime_ns,
            unix: now.origin.net_unix,
        };
        let summed = |row: &Line, moved: Moved| if row.is_unix() { moved.of_unix() } else { moved };
        for row in rows {
            total.connections += row.connections;
            total.closed += row.closed;
            total.gain = total.gain.map(|sum| sum.plus(summed(row, row.gain.unwrap_or_default())));
        }
        let everything = self.totals.values().map(|line| summed(line, line.total));
        let of_connections = rows.iter().filter(|row| row.is_connection()).map(|row| summed(row, row.total));
        total.total = everything.chain(of_connections).fold(total.total, Moved::plus);
        total
    }

    fn key(&self, connection: &Connection) -> LineKey {
        match self.by {
            By::Process => LineKey::Process(connection.key.owner),
            By::Connection => LineKey::Connection(connection.key),
            By::Container => {
                let group: Option<&Rc<Cgroup>> = connection.cgroup.as_ref().ok();
                LineKey::Container(group.and_then(|group| group.container.clone()))
            }
            By::Remote => LineKey::Remote(connection.remote.map(|remote| remote.ip())),
            By::Port => LineKey::Port(connection.protocol, service(connection)),
        }
    }
}

/// The port that a service is known by: the smaller one that is not 0.
pub fn service(connection: &Connection) -> u16 {
    let ports = [connection.local.port(), connection.remote.map_or(0, |remote| remote.port())];
    ports.into_iter().filter(|port| *port > 0).min().unwrap_or(0)
}

/// The process of a connection: its row where it has one.
fn who(connection: &Connection, now: &Sample) -> Who {
    let key = connection.key.owner;
    let task: Option<&Task> =
        now.tasks.binary_search_by(|task| task.key.cmp(&key)).ok().map(|at| &now.tasks[at]);
    Who {
        key,
        name: task.map_or_else(|| connection.user.comm.as_bytes().into(), |task| task.name().into()),
        cmdline: task.and_then(|task| task.cmdline.clone()),
        uid: task.map_or(connection.user.uid, |task| task.uid),
        user: task.and_then(|task| task.user.clone()),
        exited: task.is_none() && key.tgid != 0,
    }
}

/// How much of what a device moved the connections account for.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributed {
    /// Name of the device.
    pub name: String,
    /// Bytes it received in the interval.
    pub rx_bytes: Reading<u64>,
    /// Bytes it sent in the interval.
    pub tx_bytes: Reading<u64>,
    /// Bytes that connections with its addresses received, headers included.
    pub rx_attributed_bytes: u64,
    /// Bytes that they sent, headers included.
    pub tx_attributed_bytes: u64,
    /// Length of the interval in seconds.
    pub seconds: f64,
}

impl Attributed {
    /// Which part of the received and of the sent bytes is accounted for, in percent, 100 at most since headers are
    /// estimated. `DoesNotApply` where nothing moved.
    pub fn pct(&self) -> [Reading<f64>; 2] {
        [(self.rx_bytes, self.rx_attributed_bytes), (self.tx_bytes, self.tx_attributed_bytes)].map(
            |(all, part)| match all? {
                0 => Err(Missing::DoesNotApply),
                all => Ok((part as f64 / all as f64 * 100.0).min(100.0)),
            },
        )
    }
}

/// Compares the devices with the connections of the same network namespace. Connections whose local address is no
/// device's, 127.0.0.0/8 aside, belong to none.
pub fn attributed(before: &Sample, now: &Sample, netns: u32) -> Vec<Attributed> {
    let seconds = seconds(before, now);
    let mut by_address: HashMap<IpAddr, Moved> = HashMap::new();
    for change in changes(before, now).filter(|change| change.now.netns == netns) {
        let sum = by_address.entry(change.now.local.ip()).or_default();
        *sum = sum.plus(change.gain.unwrap_or_default());
    }
    let fallen = Err(Missing::WentBackwards);
    let of = |device: &Interface| {
        let was = before.interfaces.iter().find(|other| other.name == device.name);
        let sum = by_address
            .iter()
            .filter(|(address, _)| belongs(**address, device))
            .fold(Moved::default(), |sum, (_, moved)| sum.plus(*moved));
        let grown = |counter: fn(&Interface) -> u64| {
            counter(device).checked_sub(was.map_or(0, counter)).map_or(fallen, Ok)
        };
        Attributed {
            name: device.name.clone(),
            rx_bytes: grown(|device| device.rx_bytes),
            tx_bytes: grown(|device| device.tx_bytes),
            rx_attributed_bytes: sum.rx_wire_bytes,
            tx_attributed_bytes: sum.tx_wire_bytes,
            seconds,
        }
    };
    now.interfaces.iter().map(of).collect()
}

/// Whether a device has an address; loopback has all that begin with 127.
fn belongs(address: IpAddr, device: &Interface) -> bool {
    device.addresses.contains(&address)
        || address.is_loopback() && device.addresses.iter().any(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(cookie: u64, tgid: u32, tx_bytes: u64, local: &str, remote: &str) -> Connection {
        let key = ConnectionKey { cookie, owner: TaskKey { tgid, tid: 0, start_ticks: 1 } };
        Connection {
            local: local.parse().unwrap(),
            remote: remote.parse().ok(),
            protocol: 6,
            moved: Moved { tx_bytes, tx_wire_bytes: tx_bytes + 66, ..Moved::default() },
            ..Connection::blank(key, User { comm: Comm::new(b"x"), uid: 3 })
        }
    }

    fn sample(uptime_ns: u64, connections: Vec<Connection>) -> Sample {
        Sample { uptime_ns, connections, ..Sample::default() }
    }

    #[test]
    fn a_connection_starts_from_zero_and_goes_on_from_what_it_was() {
        let before = sample(
            1_000_000_000,
            vec![connection(1, 7, 10, "127.0.0.1:1", ""), connection(3, 7, 5, "127.0.0.1:3", "")],
        );
        let now = sample(
            3_000_000_000,
            vec![
                connection(1, 7, 30, "127.0.0.1:1", ""),
                connection(2, 7, 4, "127.0.0.1:2", ""),
                connection(3, 7, 1, "127.0.0.1:3", ""),
            ],
        );
        let gains: Vec<_> =
            changes(&before, &now).map(|change| change.gain.map(|gain| gain.tx_bytes)).collect();
        assert_eq!(gains, [Ok(20), Ok(4), Err(Missing::WentBackwards)]);
    }

    #[test]
    fn rows_add_up_and_keep_their_totals() {
        let empty = sample(0, vec![]);
        let one = sample(
            1_000_000_000,
            vec![
                connection(1, 7, 30, "10.0.0.1:5000", "10.0.0.2:80"),
                connection(2, 7, 4, "10.0.0.1:5001", "10.0.0.3:80"),
                connection(3, 9, 1, "10.0.0.1:80", "10.0.0.2:40000"),
            ],
        );
        let sums = |by| -> Vec<u64> {
            Lines::new(by).of(&empty, &one, |_| true).iter().map(|line| line.total.tx_bytes).collect()
        };
        assert_eq!(sums(By::Process), [34, 1]);
        assert_eq!(sums(By::Connection), [30, 4, 1]);
        assert_eq!(sums(By::Remote), [31, 4]);
        assert_eq!(sums(By::Port), [35]);
        assert_eq!(sums(By::Container), [35]);
        let mut lines = Lines::new(By::Process);
        lines.of(&empty, &one, |_| true);
        let later = sample(2_000_000_000, vec![connection(1, 7, 31, "10.0.0.1:5000", "10.0.0.2:80")]);
        let mut rows = lines.of(&one, &later, |_| true);
        assert_eq!((rows.len(), rows[0].total.tx_bytes, rows[0].per_sec(|m| m.tx_bytes)), (1, 35, Ok(1.0)));
        lines.with_earlier(&mut rows);
        assert_eq!((rows.len(), rows[1].total.tx_bytes, rows[1].is_active()), (2, 1, false));
    }

    #[test]
    fn devices_are_compared_with_the_connections_of_their_addresses() {
        let device = |tx_bytes| Interface {
            name: "eth0".into(),
            rx_bytes: 0,
            tx_bytes,
            rx_packets: 0,
            tx_packets: 0,
            addresses: vec!["10.0.0.1".parse().unwrap()],
        };
        let mut before = sample(0, vec![]);
        before.interfaces.push(device(1000));
        let mut now = sample(
            1_000_000_000,
            vec![connection(1, 7, 34, "10.0.0.1:1", ""), connection(2, 7, 9, "10.9.9.9:1", "")],
        );
        now.interfaces.push(device(1200));
        let found = attributed(&before, &now, 0);
        assert_eq!(found[0].pct(), [Err(Missing::DoesNotApply), Ok(50.0)]);
        assert_eq!(attributed(&before, &now, 5)[0].tx_attributed_bytes, 0);
    }
}
