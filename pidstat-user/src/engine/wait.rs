//! What the loop waits for between two samples.

use crate::{clock::Clock, sink::End, source::Source};
use std::{
    fs::File,
    io::{self, Read as _},
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
};

/// What ends a run early: SIGINT, SIGTERM, and the end of the program that is watched.
pub(crate) struct Signals {
    interrupt: Interrupt,
    terminate: Signal,
    child: Signal,
    program: Option<Child>,
}

impl Signals {
    /// Those that end a report: SIGINT too if it was ignored when we were started, for that is how pidstat is asked for its
    /// averages in the background.
    pub(crate) fn new(program: Option<Child>) -> io::Result<Signals> {
        Signals::with(Interrupt(Some(signal(SignalKind::interrupt())?)), program)
    }

    /// Those that end what is left running in the background.
    pub(crate) fn unless_ignored() -> io::Result<Signals> {
        Signals::with(Interrupt::unless_ignored()?, None)
    }

    fn with(interrupt: Interrupt, program: Option<Child>) -> io::Result<Signals> {
        let (terminate, child) = (signal(SignalKind::terminate())?, signal(SignalKind::child())?);
        Ok(Signals { interrupt, terminate, child, program })
    }

    pub(crate) async fn any(&mut self) {
        let Signals { interrupt, terminate, child, program } = self;
        // The program may have ended before its signal was listened to.
        let ended = async {
            let Some(program) = program else { return std::future::pending().await };
            while matches!(program.try_wait(), Ok(None)) {
                child.recv().await;
            }
        };
        tokio::select! {
            () = interrupt.come() => remember(),
            _ = terminate.recv() => remember(),
            () = ended => {}
        }
    }

    /// The exit code of the program, if it ended by itself.
    pub(crate) fn program_code(&mut self) -> Option<i32> {
        self.program.as_mut()?.try_wait().ok()??.code()
    }
}

/// Has a program start with no signal blocked, whatever is blocked here: it would never hear of the end.
pub(crate) fn unblock(command: &mut Command) -> &mut Command {
    // SAFETY: sigemptyset fills the set that it is handed, pthread_sigmask reads it; neither allocates or takes a lock.
    unsafe {
        command.pre_exec(|| {
            let mut none = MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
            Ok(())
        })
    }
}

static ENDED: AtomicBool = AtomicBool::new(false);

/// Notes that the user ended what ran.
pub(crate) fn remember() {
    ENDED.store(true, Ordering::Relaxed);
}

/// Whether the user ended anything that ran in this process: then nothing more is begun.
pub(crate) fn is_ended() -> bool {
    ENDED.load(Ordering::Relaxed)
}

/// SIGINT; none where it is ignored.
pub(crate) struct Interrupt(Option<Signal>);

impl Interrupt {
    /// A shell that runs a script ignores SIGINT for what it starts in the background: Ctrl+C is for the script alone. Then
    /// it stays ignored.
    pub(crate) fn unless_ignored() -> io::Result<Interrupt> {
        let mut known = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action the call only fills the old one, and a zeroed one is valid, too.
        let known = unsafe {
            libc::sigaction(libc::SIGINT, ptr::null(), known.as_mut_ptr());
            known.assume_init()
        };
        let ignored = known.sa_sigaction == libc::SIG_IGN;
        (!ignored).then(|| signal(SignalKind::interrupt())).transpose().map(Interrupt)
    }

    /// Waits for it.
    pub(crate) async fn come(&mut self) {
        match &mut self.0 {
            Some(interrupt) => {
                interrupt.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// The moments of the samples.
pub(crate) struct Ticks {
    /// None where a story moves the clock.
    timer: Option<Timer>,
    period: Duration,
    wakeup: Wakeup,
}

impl Ticks {
    pub(crate) fn new(clock: &Clock, period: Duration, wakeup: Option<OwnedFd>) -> io::Result<Ticks> {
        let timer = matches!(clock, Clock::Real).then(|| Timer::new(period)).transpose()?;
        Ok(Ticks { timer, period, wakeup: Wakeup::new(wakeup)? })
    }

    /// Waits for the next sample; the source may empty its buffers meanwhile.
    pub(crate) async fn next(
        &mut self,
        clock: &mut Clock,
        signals: &mut Signals,
        source: &mut dyn Source,
    ) -> End {
        let Some(timer) = &self.timer else {
            clock.advance(self.period);
            return End::Complete;
        };
        loop {
            tokio::select! {
                biased;
                () = signals.any() => return End::Interrupted,
                () = timer.tick() => return End::Complete,
                () = self.wakeup.come() => source.drain(),
            }
        }
    }
}

/// The kernel's own timer: it wakes once per period, where the runtime's wheel of timers turns up to five times, and between
/// two samples that is a good part of what they cost.
struct Timer(AsyncFd<File>);

impl Timer {
    /// Comes first after a period.
    fn new(period: Duration) -> io::Result<Timer> {
        let span = libc::timespec {
            tv_sec: libc::time_t::try_from(period.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(period.subsec_nanos()),
        };
        let times = libc::itimerspec { it_interval: span, it_value: span };
        // SAFETY: the first call has no memory to touch, and its result belongs to nobody else; the second reads `times`.
        let file = unsafe {
            let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let file = File::from_raw_fd(fd);
            if libc::timerfd_settime(file.as_raw_fd(), 0, &raw const times, ptr::null_mut()) < 0 {
                return Err(io::Error::last_os_error());
            }
            file
        };
        // SAFETY: the AsyncFd owns the descriptor, so it stays open and is the same one for as long as it is registered.
        let registered = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) };
        Ok(Timer(registered.map_err(io::Error::from)?))
    }

    /// Waits for the end of the period. A late sample makes its interval longer; it is not made up for: one read takes all
    /// periods that have ended.
    async fn tick(&self) {
        // Neither fails for a timer that was set.
        if let Ok(mut guard) = self.0.readable().await {
            let _ = self.0.get_ref().read(&mut [0; 8]);
            // It is empty now; should a period end just here, that is reported anew.
            guard.clear_ready();
        }
    }
}

/// A descriptor that is readable when buffers want emptying; none never is.
pub(crate) struct Wakeup(Option<AsyncFd<OwnedFd>>);

impl Wakeup {
    pub(crate) fn new(fd: Option<OwnedFd>) -> io::Result<Wakeup> {
        // SAFETY: the AsyncFd owns the descriptor, so it stays open and is the same one for as long as it is registered.
        let register = |fd| unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        fd.map(register).transpose().map_err(io::Error::from).map(Wakeup)
    }

    /// Waits until it is readable.
    pub(crate) async fn come(&self) {
        match &self.0 {
            Some(fd) => {
                if let Ok(mut guard) = fd.readable().await {
                    guard.clear_ready();
                }
            }
            None => std::future::pending().await,
        }
    }
}
