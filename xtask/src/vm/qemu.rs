//! One boot: QEMU without KVM, the guest's words on a serial line, its exit code as a marker in the kernel's log.

use crate::{
    command::{self, say},
    test::Tally,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A boot takes 2 to 5 s and the checks less than 60; the rest is for a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(600);

/// What init writes to the kernel's console when the checks have ended, before the exit code.
const MARKER: &str = "VM-EXIT:";

/// A QEMU that does not outlive us.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail when it has ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots a kernel with the guest as its init, shows what the guest says and counts its checks.
///
/// # Errors
/// With the end of the kernel's log, when the guest did not come to its end.
pub fn boot(program: &Path, kernel: &Path, initrd: &Path, name: &str, log: &Path) -> Result<Tally> {
    let start = Instant::now();
    if log.exists() {
        fs::remove_file(log)?;
    }
    let mut qemu = Command::new(program);
    // "pc" and software emulation: "microvm" hung now and then under load, and nested KVM is rarely there.
    qemu.args(["-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1G"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none"])
        .args(["-serial", &format!("file:{}", log.display()), "-serial", "stdio"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        // A panic reboots at once, and -no-reboot makes QEMU end then.
        .args([
            "-append",
            &format!("console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off kernel={name}"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and touches no memory of ours.
    unsafe {
        qemu.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut machine = Machine(qemu.spawn().with_context(|| command::line(&qemu))?);
    let words = machine.0.stdout.take().context("stdout was piped")?;
    let label = name.to_owned();
    let reader = thread::spawn(move || listen(&label, BufReader::new(words)));
    while machine.0.try_wait()?.is_none() {
        if start.elapsed() > LIMIT {
            drop(machine);
            bail!("vm {name}: not done after {} s; {}", LIMIT.as_secs(), tail(log));
        }
        thread::sleep(Duration::from_millis(50));
    }
    let tally =
        reader.join().map_err(|_| anyhow::anyhow!("vm {name}: the reader of the serial line died"))?;
    let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let exit =
        said.rsplit_once(MARKER).map(|(_, after)| after.lines().next().unwrap_or("").trim().to_owned());
    say(format_args!("vm {name}: {} s", start.elapsed().as_secs()));
    match exit.as_deref() {
        Some("0") if tally.failed == 0 && tally.passed > 0 => Ok(tally),
        Some(_) if tally.failed > 0 => Ok(tally),
        Some(code) => bail!("vm {name}: the guest exited with {code}, {} checks passed", tally.passed),
        None => bail!("vm {name}: the guest did not come to its end; {}", tail(log)),
    }
}

/// Shows each line; `ok …` and `FAILED …` are checks.
fn listen(name: &str, words: impl BufRead) -> Tally {
    let mut tally = Tally::default();
    for line in words.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        println!("{name}: {line}");
        tally.passed += u32::from(line.starts_with("ok "));
        tally.failed += u32::from(line.starts_with("FAILED "));
    }
    tally
}

fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    format!("the end of {}:\n{}", log.display(), lines[lines.len().saturating_sub(40)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{Tally, listen};

    #[test]
    fn only_lines_that_are_checks_count() {
        let words: &[u8] = b"hello\r\nok boots\r\nFAILED btf: absent\r\nokay\r\n";
        assert_eq!(listen("x", words), Tally { passed: 1, failed: 1 });
    }
}
