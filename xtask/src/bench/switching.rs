//! What watching the scheduler costs those who switch, and what a sampler at short intervals does to those who wake.

use super::{
    arena::Population,
    duel::{Duel, Game, Watcher, both},
    page::Page,
    share::Share,
};
use anyhow::Result;
use std::{
    fs::File,
    io::{self, Read, Write},
    mem,
    path::Path,
};

/// Round trips of one game.
const TRIPS: u32 = 20_000;
/// Wake-ups of one game, one each millisecond.
const WAKE_UPS: usize = 1_000;
/// Between two of them.
const PERIOD_NS: i64 = 1_000_000;
/// What the wake-up latency may grow by and still be called what it was: a hundredth of the
/// period.
const SAME_US: f64 = 10.0;

/// Measures switching with and without `--sched`.
///
/// # Errors
/// The game could not be played.
pub fn sched(kpidstat: &Path, share: &Share) -> Result<Page> {
    const WATCHERS: [Watcher; 3] = ["nobody", "kpidstat -w 1", "kpidstat --sched 1"];
    const GAMES: [Game; 1] = [Game { name: "pipe, 1 byte: µs", play: pipes }];
    let rounds = share.rounds(if share.quick { 3 } else { 11 });
    let duel = Duel::play(kpidstat, Population::Processes(100), &WATCHERS, &GAMES, rounds)?;
    let mut page = Page::new("CPU time of a round trip through two pipes, which is two switches");
    (page.head, page.rows) = duel.table(&WATCHERS, &GAMES);
    page.absent = duel.absent;
    Ok(page)
}

fn pipes() -> Result<f64> {
    let ((mut here, mut to_there), (mut there, mut to_here)) = (pipe()?, pipe()?);
    // Whoever reads from a pipe keeps it open to write, too: nobody waits for its end.
    let echo = move || {
        let mut byte = [0];
        for _ in 0..TRIPS {
            here.read_exact(&mut byte)?;
            to_here.write_all(&byte)?;
        }
        Ok(())
    };
    let ask = move || {
        let mut byte = [1];
        for _ in 0..TRIPS {
            to_there.write_all(&byte)?;
            there.read_exact(&mut byte)?;
        }
        Ok(())
    };
    Ok(both(echo, ask)? / f64::from(TRIPS))
}

fn pipe() -> Result<(File, File)> {
    let (read, write) = super::arena::pipe()?;
    Ok((File::from(read), File::from(write)))
}

/// Measures how late timers wake a task while a sampler runs on the same CPU.
///
/// # Errors
/// The game could not be played.
pub fn latency(kpidstat: &Path, share: &Share) -> Result<Page> {
    const WATCHERS: [Watcher; 3] = ["nobody", "kpidstat -u -r -d -w 0.1", "pidstat -u -r -d -w 1"];
    const GAMES: [Game; 2] =
        [Game { name: "real-time: µs", play: real_time }, Game { name: "normal: µs", play: normal }];
    let population = Population::Processes(1_000);
    let rounds = share.rounds(if share.quick { 1 } else { 9 });
    let duel = Duel::play(kpidstat, population, &WATCHERS, &GAMES, rounds)?;
    let mut page = Page::new(
        "Wake-up latency of another task on the sampler's CPU, 99th percentile of a timer each millisecond, 1 000 processes",
    );
    (page.head, page.rows) = duel.table(&WATCHERS, &GAMES);
    for (game, kind) in ["real-time", "normal"].into_iter().enumerate() {
        let more = duel.watched(1, game).zip(duel.watched(0, game)).map(|(with, alone)| with - alone);
        page.less(
            &format!("a sampler each 0.1 s beside a {kind} task: wake-ups later at the 99th percentile by"),
            more,
            SAME_US,
            "µs",
            !share.quick,
        );
    }
    page.absent = duel.absent;
    Ok(page)
}

fn real_time() -> Result<f64> {
    wake_ups(true)
}

fn normal() -> Result<f64> {
    wake_ups(false)
}

/// The 99th percentile of how late a sleeper wakes, in microseconds.
fn wake_ups(real_time: bool) -> Result<f64> {
    let (mut said, mut say) = pipe()?;
    let pid = super::arena::fork(|| {
        let late = sleep_and_wake(real_time).and_then(|late| say.write_all(&late.to_ne_bytes()));
        if let Err(why) = late {
            eprintln!("xtask: wake-ups: {why}");
        }
    })?;
    drop(say);
    let mut late = [0; 8];
    let read = said.read_exact(&mut late);
    super::arena::wait(pid);
    read?;
    Ok(f64::from_ne_bytes(late))
}

fn sleep_and_wake(real_time: bool) -> io::Result<f64> {
    let check = |done: libc::c_int| if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let now = || {
        let mut time = mem::MaybeUninit::<libc::timespec>::zeroed();
        // SAFETY: the call writes one timespec; zeros are a valid one.
        let time = unsafe {
            libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
            time.assume_init()
        };
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    };
    // Else the kernel may take 50 µs of its own.
    // SAFETY: the calls take numbers, and one sched_param.
    unsafe {
        check(libc::prctl(libc::PR_SET_TIMERSLACK, 1))?;
        if real_time {
            let priority = libc::sched_param { sched_priority: 50 };
            check(libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority))?;
        }
    }
    let mut late = Vec::with_capacity(WAKE_UPS);
    let mut at = now() + PERIOD_NS;
    for _ in 0..WAKE_UPS {
        let until = libc::timespec { tv_sec: at / 1_000_000_000, tv_nsec: at % 1_000_000_000 };
        // SAFETY: reads one timespec; an absolute sleep has nothing left to say.
        unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const until,
                std::ptr::null_mut(),
            );
        }
        late.push(now() - at);
        at = (at + PERIOD_NS).max(now());
    }
    late.sort_unstable();
    Ok(late[WAKE_UPS * 99 / 100] as f64 / 1e3)
}
