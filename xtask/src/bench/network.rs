//! What counting traffic costs those who cause it: ping-pongs and bulk over loopback, beside other programs that look.

use super::{
    arena::{self, Population},
    bars::Bar,
    duel::{Duel, Game, Watcher, both},
    page::Page,
    share::Share,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Round trips of one game.
const TRIPS: u32 = 10_000;
/// What iperf3 sends in one game.
const BULK_MIB: u32 = 1_024;

const WATCHERS: [Watcher; 6] = [
    "nobody",
    "kpidstat -n 1",
    "kpidstat -n --net sampled 1",
    "kpidstat -n --net pcap 1",
    "nethogs -a -t -d 1 lo",
    "tcpdump -n -i lo -w /dev/null",
];
const NOBODY: usize = 0;
const HOOKS: usize = 1;
const SAMPLED: usize = 2;
const NETHOGS: usize = 4;
const TCPDUMP: usize = 5;

const GAMES: [Game; 3] = [
    Game { name: "TCP, 1 byte: µs", play: tcp },
    Game { name: "UDP, 32 bytes: µs", play: udp },
    Game { name: "iperf3: µs per MiB", play: bulk },
];
const BULK: usize = 2;

/// Plays, and judges.
///
/// # Errors
/// The games could not be played.
pub fn play(kpidstat: &Path, share: &Share) -> Result<Page> {
    let duel = Duel::play(
        kpidstat,
        Population::Empty,
        &WATCHERS,
        &GAMES,
        share.rounds(if share.quick { 3 } else { 21 }),
    )?;
    let mut page = Page::new("CPU time of a round trip over loopback, of both players together");
    (page.head, page.rows) = duel.table(&WATCHERS, &GAMES);
    for (game, name) in [(0, "TCP ping-pong"), (1, "UDP ping-pong")] {
        let of = |watcher| duel.change_pct(watcher, game);
        for other in [NETHOGS, TCPDUMP] {
            let program = WATCHERS[other].split(' ').next().unwrap_or_default();
            let costs = of(HOOKS).zip(of(other));
            page.bars.push(Bar {
                what: format!("{name}: kpidstat -n slows it by at most half of what {program} does"),
                measured: costs.map(|(ours, theirs)| format!("{ours:.1} against {theirs:.1} %")),
                asked: "issue 4",
                binding: !share.quick,
                kept: costs.is_some_and(|(ours, theirs)| ours <= theirs / 2.0),
            });
        }
        let noise = of(SAMPLED).zip(duel.noise_pct(NOBODY, game));
        page.bars.push(Bar {
            what: format!("{name}: --net sampled slows it by nothing that can be measured"),
            measured: noise.map(|(change, noise)| format!("{change:+.1} %, noise {noise:.1} %")),
            asked: "issue 4",
            binding: !share.quick,
            // What is less than a percent is not claimed to be measured.
            kept: noise.is_some_and(|(change, noise)| change <= noise.max(1.0)),
        });
    }
    page.less(
        "kpidstat -n itself at iperf3's full speed",
        duel.own_pct(HOOKS, BULK),
        2.0,
        "% of a core",
        true,
    );
    page.absent = duel.absent;
    Ok(page)
}

fn tcp() -> Result<f64> {
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
    let client = move || {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        let mut byte = [1];
        for _ in 0..TRIPS {
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
        }
        Ok(())
    };
    Ok(both(server, client)? / f64::from(TRIPS))
}

fn udp() -> Result<f64> {
    let (server, client) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    server.connect(client.local_addr()?)?;
    client.connect(server.local_addr()?)?;
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    }
    let echo = move || {
        let mut message = [0; 32];
        for _ in 0..TRIPS {
            let count = server.recv(&mut message)?;
            server.send(&message[..count])?;
        }
        Ok(())
    };
    let ask = move || {
        let mut message = [7; 32];
        for _ in 0..TRIPS {
            client.send(&message)?;
            client.recv(&mut message)?;
        }
        Ok(())
    };
    Ok(both(echo, ask)? / f64::from(TRIPS))
}

/// CPU time of iperf3's server and client for each MiB that is sent.
fn bulk() -> Result<f64> {
    const PORT: u16 = 5201;
    let start = |args: &[&str]| -> Result<libc::pid_t> {
        let mut iperf3 = Command::new("iperf3");
        iperf3.args(args).args(["--port", &PORT.to_string()]);
        let child = iperf3.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("iperf3")?;
        Ok(libc::pid_t::try_from(child.id())?)
    };
    let server = start(&["--server", "--one-off"])?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let port = format!(":{PORT:04X}");
    // Local address, remote address, state; what an earlier game left behind is in another state than TCP_LISTEN.
    let listens = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().skip(1).take(3).collect();
        matches!(words[..], [local, _, "0A"] if local.ends_with(&port))
    };
    // This is the arena's own network.
    while !["tcp", "tcp6"].iter().any(|of| {
        fs::read_to_string(format!("/proc/self/net/{of}")).is_ok_and(|sockets| sockets.lines().any(listens))
    }) {
        if Instant::now() > deadline {
            bail!("iperf3 does not listen");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let client = start(&["--client", "127.0.0.1", "--bytes", &format!("{BULK_MIB}M")])?;
    Ok((arena::wait(client) + arena::wait(server)) * 1e3 / f64::from(BULK_MIB))
}
