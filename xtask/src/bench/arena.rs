//! A private place to measure in: a PID namespace with exactly the processes that were asked for, on one CPU.

use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    io::{self, Read, Write},
    mem,
    os::fd::{FromRawFd, OwnedFd},
    ptr, thread,
    time::Duration,
};

/// Who lives in the arena besides the bench and what it measures; all of them sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Nobody.
    Empty,
    /// So many processes of one thread.
    Processes(usize),
    /// One process of so many threads.
    Threads(usize),
}

impl Population {
    /// How many.
    pub fn size(self) -> usize {
        match self {
            Population::Empty => 0,
            Population::Processes(count) | Population::Threads(count) => count,
        }
    }
}

impl std::fmt::Display for Population {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Population::Empty => write!(f, "no processes"),
            Population::Processes(count) => write!(f, "{} processes", grouped(*count)),
            Population::Threads(count) => write!(f, "{} threads in one process", grouped(*count)),
        }
    }
}

/// `30 000`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Does `work` as the first process of new namespaces, with `population` around it, and returns what it wrote. With
/// `network` the arena has a loopback device of its own.
///
/// When the first process of a PID namespace ends, the kernel ends all others, so nothing is left whatever happens.
///
/// # Errors
/// What failed, in there or on the way in.
pub fn within(
    population: Population,
    network: bool,
    work: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<String> {
    let (read, write) = pipe()?;
    let mut flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::SIGCHLD;
    if network {
        flags |= libc::CLONE_NEWNET;
    }
    // SAFETY: without CLONE_VM this is fork(2) with new namespaces: the child gets a copy of the memory, and this process
    // has one thread, so no lock is held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    let pid = libc::pid_t::try_from(pid)?;
    if pid < 0 {
        return Err(io::Error::last_os_error()).context("a new PID namespace (root is needed)");
    }
    if pid == 0 {
        drop(read);
        let mut out = File::from(write);
        let done = enter(network).and_then(|()| populate(population)).and_then(|()| work(&mut out));
        if let Err(why) = &done {
            let _ = write!(out, "\0{why:#}");
        }
        // SAFETY: ends the process at once; nothing that its parent still needs is dropped twice.
        unsafe { libc::_exit(0) };
    }
    drop(write);
    let mut said = String::new();
    let read = File::from(read).read_to_string(&mut said);
    wait(pid);
    read?;
    match said.split_once('\0') {
        Some((_, why)) => bail!("{population}: {why}"),
        None => Ok(said),
    }
}

/// Waits for a child and returns the CPU time that it and those it waited for used, in milliseconds.
pub fn wait(pid: libc::pid_t) -> f64 {
    let mut status = 0;
    let mut usage = mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to memory of the right type for the call to write; zeros are a valid rusage.
    let usage = unsafe {
        while libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
        usage.assume_init()
    };
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    ms(usage.ru_utime) + ms(usage.ru_stime)
}

/// Does `work` in a child process and returns its pid.
///
/// # Errors
/// There are too many processes.
pub fn fork(work: impl FnOnce()) -> io::Result<libc::pid_t> {
    // SAFETY: this process has one thread, so the child may do whatever it likes.
    match unsafe { libc::fork() } {
        0 => {
            work();
            // SAFETY: ends the process at once, without running what its parent has still to run.
            unsafe { libc::_exit(0) }
        }
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

/// Binds this process, and all that it will start, to one CPU: what is measured and who empties its caches.
///
/// # Errors
/// There is no CPU that it may use.
pub fn pin() -> io::Result<()> {
    let mut set = mem::MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: zeros are the empty set, the calls read and write no more than its size, and every index is below
    // CPU_SETSIZE.
    unsafe {
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let allowed = set.assume_init();
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(|cpu| libc::CPU_ISSET(*cpu, &allowed));
        let mut one = mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(last.ok_or(io::ErrorKind::NotFound)?, &mut one);
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A pipe: its end to read, and its end to write.
///
/// # Errors
/// There are too many files.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the call fills the two numbers; on success both are new descriptors that nothing else owns.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Makes the new namespaces usable: a /proc that shows them, a loopback device that is up, one CPU.
fn enter(network: bool) -> Result<()> {
    // SAFETY: the strings end in NUL, null stands where the calls allow it, and prctl takes numbers alone.
    unsafe {
        // Whoever interrupts the bench ends the arena.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let private = libc::MS_REC | libc::MS_PRIVATE;
        if libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null()) != 0
            || libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), 0, ptr::null()) != 0
        {
            return Err(io::Error::last_os_error()).context("a /proc of its own");
        }
    }
    pin().context("one CPU")?;
    if network {
        loopback().context("a loopback device of its own")?;
    }
    Ok(())
}

fn loopback() -> io::Result<()> {
    // SAFETY: zeros are a valid ifreq; the name fits into it with a NUL behind; the calls read no more than it.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut request = mem::zeroed::<libc::ifreq>();
        (request.ifr_name[0], request.ifr_name[1]) = (b'l' as libc::c_char, b'o' as libc::c_char);
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let done = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        let error = io::Error::last_os_error();
        libc::close(socket);
        if done == 0 { Ok(()) } else { Err(error) }
    }
}

fn populate(population: Population) -> Result<()> {
    match population {
        Population::Empty => {}
        Population::Processes(count) => {
            for _ in 0..count {
                fork(sleep_for_ever).context("fork (pid_max may be too small)")?;
            }
        }
        Population::Threads(count) => {
            let (read, write) = pipe()?;
            fork(move || {
                for _ in 1..count {
                    let thread = thread::Builder::new().stack_size(16 << 10).spawn(sleep_for_ever);
                    if thread.is_err() {
                        return;
                    }
                }
                let _ = File::from(write).write_all(b"!");
                sleep_for_ever();
            })?;
            let ready = File::from(read).read_exact(&mut [0]);
            ready.context("the threads could not be started (pid_max may be too small)")?;
        }
    }
    // Whoever was just born still has a return from fork to run.
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

fn sleep_for_ever() {
    loop {
        // SAFETY: waits for a signal, and touches nothing.
        unsafe { libc::pause() };
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([1, 100, 1000, 30_000].map(grouped), ["1", "100", "1 000", "30 000"]);
    }
}
