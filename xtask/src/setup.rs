//! `cargo xtask setup`: makes the machine ready to build the kernel side, and says each step.

use crate::{
    apt,
    command::{self, cargo, run, say},
    pypi,
    toolchain::{self, BPF_LINKER_VERSION},
    unpacked::Unpacked,
};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// A rustc of its own that brings `core` for the BPF target; `toolchain` looks for it under the same names.
const COMPILER: Unpacked = Unpacked {
    name: "rustc-web",
    packages: &["rustc-web", "libstd-rust-web-dev-bpf"],
    programs: &["bin/rustc"],
    environment: "",
    arguments: "--sysroot \"$top/usr\"",
};

/// What cargo itself needs to link a program.
const LINKER: [&str; 2] = ["gcc", "libc6-dev"];

/// A program that a verb starts, or a library that is opened, and the package that brings it.
pub type Need = (&'static str, &'static str);

/// What `test` starts besides the project's own programs.
const INSTALLED: [Need; 19] = [
    ("git", "git"),
    ("pidstat", "sysstat"),
    ("strace", "strace"),
    ("tmux", "tmux"),
    ("iotop-py", "iotop"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("ps", "procps"),
    ("jq", "jq"),
    ("python3", "python3"),
    ("taskset", "util-linux"),
    ("sqlite3", "sqlite3"),
    ("gnuplot", "gnuplot-nox"),
    ("iperf3", "iperf3"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("libpcap.so.0.8", "libpcap0.8"),
    ("setpriv", "util-linux"),
    ("dnsmasq", "dnsmasq-base"),
];

/// What `test` starts too, and whose packages start a service of their own.
const UNPACKED: [Unpacked; 2] = [
    Unpacked {
        name: "nginx",
        packages: &["nginx"],
        programs: &["sbin/nginx"],
        environment: "",
        arguments: "",
    },
    Unpacked {
        name: "redis",
        packages: &["redis-server"],
        programs: &["bin/redis-server", "bin/redis-cli", "bin/redis-benchmark"],
        environment: "",
        arguments: "",
    },
];

/// What `vm` starts.
const QEMU: Unpacked = Unpacked {
    name: "qemu",
    packages: &["qemu-system-x86"],
    programs: &["bin/qemu-system-x86_64"],
    // Its firmware and its modules, which it looks for where the package would have put them.
    environment: "QEMU_MODULE_DIR=\"$top/usr/lib/$triple/qemu\"",
    arguments: "-L \"$top/usr/share/seabios\" -L \"$top/usr/share/qemu\"",
};

/// What `fresh` starts.
pub const FRESH: [Need; 3] = [("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("git", "git")];

/// Makes everything ready that building needs; with `tests`, also what testing needs.
///
/// # Errors
/// The exact commands to type, where it may not or cannot do it itself.
pub fn setup(tests: bool) -> Result<()> {
    let root = command::root();
    if command::has("cc") {
        say("a C linker: there");
    } else {
        if !(apt::is_debian_12() && command::is_root()) {
            bail!("cargo needs a C linker; on Debian run: sudo apt-get install {}", LINKER.join(" "));
        }
        say(format_args!("a C linker: apt-get install {}", LINKER.join(" ")));
        apt::install(&LINKER)?;
    }
    match toolchain::compiler(&root) {
        Some(compiler) => say(format_args!("a Rust compiler for the BPF target: there ({compiler:?})")),
        None => install_compiler()?,
    }
    match toolchain::linker(&root) {
        Some(path) => say(format_args!("bpf-linker: there ({})", path.display())),
        None => install_linker(&root)?,
    }
    if tests {
        for_tests()?;
        qemu()?;
    }
    say("ready");
    Ok(())
}

/// Installs or unpacks what the suites start besides the project's own programs.
///
/// # Errors
/// The command to type, where it may not or cannot.
pub fn for_tests() -> Result<()> {
    ensure(&INSTALLED)?;
    for unpacked in UNPACKED {
        unpacked.ensure()?;
    }
    pypi::program(pypi::PROCPATH, "procpath")?;
    pypi::program(pypi::DUCKDB, "python3").map(|_| ())
}

/// Calls [`setup`] if the kernel side could not be built without it.
///
/// # Errors
/// As `setup`.
pub fn if_missing() -> Result<()> {
    match toolchain::ready(&command::root()) {
        Ok(_) => Ok(()),
        Err(why) => {
            say(why);
            setup(false)
        }
    }
}

/// Installs what a verb starts and this machine lacks.
///
/// # Errors
/// The command to type, where it may not install.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|(program, _)| !command::has(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if !command::is_root() || !command::has("apt-get") {
        bail!(
            "missing: {}; install them first (Debian: sudo apt-get install --no-install-recommends {})",
            programs.join(", "),
            packages.join(" ")
        );
    }
    say(format_args!("{}: apt-get install {}", programs.join(", "), packages.join(" ")));
    apt::install(&packages)
}

fn install_compiler() -> Result<()> {
    if !apt::is_debian_12() {
        bail!(
            "the kernel side needs a Rust compiler for the BPF target; this is not Debian 12, so rustup brings it. Run:\n  \
             rustup toolchain install nightly --component rust-src\n  \
             {}\n\
             The kernel side is then built with -Z build-std=core.",
            toolchain::SETUP
        );
    }
    COMPILER.install_or_unpack()
}

/// QEMU's program, after installing or unpacking it where it is missing.
///
/// # Errors
/// When apt is not there or fails.
pub fn qemu() -> Result<PathBuf> {
    if command::has("qemu-system-x86_64") {
        return Ok("qemu-system-x86_64".into());
    }
    if let Some(unpacked) = QEMU.there() {
        return Ok(unpacked);
    }
    if !command::has("apt-get") {
        bail!("qemu-system-x86_64 is missing; install it first");
    }
    QEMU.install_or_unpack()?;
    Ok(QEMU.there().unwrap_or_else(|| "qemu-system-x86_64".into()))
}

fn install_linker(root: &Path) -> Result<()> {
    say(format_args!("bpf-linker {BPF_LINKER_VERSION}: cargo install (about a minute)"));
    let tools = toolchain::tools_dir(root);
    // Outside the workspace, so that its rust-toolchain.toml still rules but nothing of its profiles does.
    run(cargo("install")
        .args(["--quiet", "--locked", "--version", BPF_LINKER_VERSION, "bpf-linker", "--root"])
        .arg(&tools)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0"))
    .context("cargo install bpf-linker")
}
