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
    program: "rustc",
    environment: "",
    arguments: "--sysroot \"$top/usr\"",
};

/// What cargo itself needs to link a program.
const LINKER: [&str; 2] = ["gcc", "libc6-dev"];

/// A program that a verb starts, and the package that brings it.
pub type Need = (&'static str, &'static str);

/// What `test` starts besides the project's own programs.
pub const TESTS: [Need; 9] = [
    ("git", "git"),
    ("pidstat", "sysstat"),
    ("strace", "strace"),
    ("tmux", "tmux"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("ps", "procps"),
    ("jq", "jq"),
    ("python3", "python3"),
];

/// What `vm` starts.
const QEMU: Unpacked = Unpacked {
    name: "qemu",
    packages: &["qemu-system-x86"],
    program: "qemu-system-x86_64",
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
        ensure(&TESTS)?;
        pypi::program(pypi::PROCPATH, "procpath")?;
        qemu()?;
    }
    say("ready");
    Ok(())
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
    if command::has(QEMU.program) {
        return Ok(QEMU.program.into());
    }
    if let Some(unpacked) = QEMU.there() {
        return Ok(unpacked);
    }
    if !command::has("apt-get") {
        bail!("{} is missing; install it first", QEMU.program);
    }
    QEMU.install_or_unpack()?;
    Ok(QEMU.there().unwrap_or_else(|| QEMU.program.into()))
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
