//! What counting traffic costs those who cause it: ping-pongs over loopback with nobody watching, and with each watcher.

use super::{
    arena::{self, Population},
    measure::cpu_ms,
};
use crate::command::{self, output};
use anyhow::{Context, Result, bail};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// Who watches.
pub const WATCHERS: [&str; 4] = ["nobody", "kpidstat -n", "nethogs -a -t", "tcpdump -w /dev/null"];
/// What is played.
pub const GAMES: [&str; 2] = ["TCP, 1 byte", "UDP, 32 bytes"];

/// Who is absent, and why.
pub type Absent = Vec<(String, String)>;

/// CPU time of one round trip in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trip {
    /// Index in [`WATCHERS`].
    pub watcher: usize,
    /// Index in [`GAMES`].
    pub game: usize,
    /// Of the two players, the kernel's work on their behalf included.
    pub players_us: f64,
    /// Of the watcher itself.
    pub watcher_us: f64,
}

/// Plays so many rounds, in each of them once with every watcher. Returns the trips, and which watcher is absent and why.
///
/// # Errors
/// The games themselves could not be played.
pub fn play(kpidstat: &Path, rounds: usize, trips: u32) -> Result<(Vec<Trip>, Absent)> {
    let said = arena::within(Population::Empty, true, |out| {
        let mut absent = [false; WATCHERS.len()];
        for round in 0..rounds {
            for (number, name) in WATCHERS.iter().enumerate() {
                if absent[number] {
                    continue;
                }
                let mut watcher = match watcher(name, kpidstat) {
                    Ok(watcher) => watcher,
                    Err(why) => {
                        absent[number] = true;
                        writeln!(out, "absent\t{number}\t{why:#}")?;
                        continue;
                    }
                };
                // Every other round the other way round, so that neither game always finds the machine warm.
                for step in 0..GAMES.len() {
                    let game = (step + round) % GAMES.len();
                    let before = watcher.cpu_ms()?;
                    let players = if game == 0 { tcp(trips) } else { udp(trips) }?;
                    // What was captured is worked on after it happened.
                    thread::sleep(Duration::from_millis(300));
                    let own = watcher.cpu_ms()? - before;
                    let each = 1e3 / f64::from(trips);
                    writeln!(out, "trip\t{number}\t{game}\t{}\t{}", players * each, own * each)?;
                }
            }
        }
        Ok(())
    })?;
    let (mut trips, mut absent) = (Vec::new(), Vec::new());
    for line in said.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["trip", watcher, game, players, own] => trips.push(Trip {
                watcher: watcher.parse()?,
                game: game.parse()?,
                players_us: players.parse()?,
                watcher_us: own.parse()?,
            }),
            ["absent", watcher, why] => {
                absent.push((WATCHERS[watcher.parse::<usize>()?].to_owned(), (*why).to_owned()));
            }
            _ => bail!("the arena said {line:?}"),
        }
    }
    Ok((trips, absent))
}

/// A watcher at work; nobody has no process.
struct Watcher(Option<Child>);

impl Watcher {
    fn cpu_ms(&mut self) -> Result<f64> {
        match &self.0 {
            Some(child) => cpu_ms(libc::pid_t::try_from(child.id())?),
            None => Ok(0.0),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a watcher and returns when it watches.
fn watcher(name: &str, kpidstat: &Path) -> Result<Watcher> {
    let program = name.split(' ').next().unwrap_or_default();
    let mut command = match program {
        "nobody" => return Ok(Watcher(None)),
        "kpidstat" => {
            rung(kpidstat)?;
            let mut command = Command::new(kpidstat);
            command.args(["-n", "--source", "ebpf", "1"]);
            command
        }
        other if !command::has(other) => bail!("it is not installed"),
        other => Command::new(other),
    };
    match program {
        "nethogs" => command.args(["-a", "-t", "-d", "1", "lo"]),
        "tcpdump" => command.args(["-n", "-i", "lo", "-w", "/dev/null"]),
        _ => &mut command,
    };
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut watcher = Watcher(Some(quiet.spawn().with_context(|| name.to_owned())?));
    thread::sleep(Duration::from_secs(1));
    if let Some(child) = &mut watcher.0
        && let Some(status) = child.try_wait()?
    {
        bail!("it ended at once ({status})");
    }
    Ok(watcher)
}

/// Makes sure that our own program counts traffic here.
fn rung(kpidstat: &Path) -> Result<()> {
    let mut command = Command::new(kpidstat);
    let said = output(command.args(["-n", "--source", "ebpf", "-o", "ndjson", "0.1", "1"]))?;
    if said.contains("\"net_rung\": \"") {
        return Ok(());
    }
    let reason = said.split("\"net_reason\": \"").nth(1).and_then(|rest| rest.split('"').next());
    bail!("no rung: {}", reason.unwrap_or("this build counts no traffic"));
}

/// CPU time of both players, in milliseconds.
fn both(
    one: impl FnOnce() -> std::io::Result<()>,
    other: impl FnOnce() -> std::io::Result<()>,
) -> Result<f64> {
    let failed = |done: std::io::Result<()>| {
        if let Err(why) = done {
            eprintln!("xtask: ping-pong: {why}");
        }
    };
    let one = arena::fork(|| failed(one()))?;
    let other = arena::fork(|| failed(other()))?;
    Ok(arena::wait(one) + arena::wait(other))
}

fn tcp(trips: u32) -> Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = listener.local_addr()?;
    let server = move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut byte = [0];
        loop {
            match stream.read_exact(&mut byte) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            }
            stream.write_all(&byte)?;
        }
    };
    both(server, move || {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        let mut byte = [1];
        for _ in 0..trips {
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
        }
        Ok(())
    })
}

fn udp(trips: u32) -> Result<f64> {
    let (server, client) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    server.connect(client.local_addr()?)?;
    client.connect(server.local_addr()?)?;
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    }
    let echo = move || {
        let mut message = [0; 32];
        for _ in 0..trips {
            let count = server.recv(&mut message)?;
            server.send(&message[..count])?;
        }
        Ok(())
    };
    both(echo, move || {
        let mut message = [7; 32];
        for _ in 0..trips {
            client.send(&message)?;
            client.recv(&mut message)?;
        }
        Ok(())
    })
}
