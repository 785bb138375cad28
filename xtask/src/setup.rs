//! `cargo xtask setup`: makes the machine ready to build the kernel side, and says each step.

use crate::{
    apt,
    command::{self, cargo, run, say},
    toolchain::{self, BPF_LINKER_VERSION},
};
use anyhow::{Context, Result, bail};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// A rustc of its own that brings `core` for the BPF target.
const COMPILER: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

/// What cargo itself needs to link a program.
const LINKER: [&str; 2] = ["gcc", "libc6-dev"];

/// A program that a verb starts, and the package that brings it.
pub type Need = (&'static str, &'static str);

/// What `test` starts besides the project's own programs.
pub const TESTS: [Need; 7] = [
    ("git", "git"),
    ("pidstat", "sysstat"),
    ("strace", "strace"),
    ("tmux", "tmux"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("ps", "procps"),
];

/// What `vm` starts.
pub const VM: [Need; 1] = [("qemu-system-x86_64", "qemu-system-x86")];

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
        None => install_compiler(&root)?,
    }
    match toolchain::linker(&root) {
        Some(path) => say(format_args!("bpf-linker: there ({})", path.display())),
        None => install_linker(&root)?,
    }
    if tests {
        for needs in [&TESTS[..], &VM[..]] {
            ensure(needs)?;
        }
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

fn install_compiler(root: &Path) -> Result<()> {
    if !apt::is_debian_12() {
        bail!(
            "this is not Debian 12, so the compiler for the kernel side comes from rustup; run:\n  \
             rustup toolchain install nightly --component rust-src\n  \
             {}\n\
             then the same command again (the kernel side is then built with -Z build-std=core)",
            toolchain::SETUP
        );
    }
    let plan = apt::plan(&COMPILER)?;
    if plan.remove.is_empty() && command::is_root() {
        say(format_args!("a Rust compiler for the BPF target: apt-get install {}", COMPILER.join(" ")));
        return apt::install(&COMPILER);
    }
    if command::is_root() {
        say(format_args!("apt would remove {}, so the compiler is not installed", plan.remove.join(" ")));
    } else {
        say("apt installs for root only, so the compiler is not installed");
    }
    unpack_compiler(root, &plan.install)
}

/// Unpacks the compiler and every library that it needs and the system lacks below the tools directory.
fn unpack_compiler(root: &Path, packages: &[String]) -> Result<()> {
    let into = toolchain::tools_dir(root).join("rustc-web");
    say(format_args!("but unpacked below {}: {}", into.display(), packages.join(" ")));
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    let debs = into.join("debs");
    for package in packages {
        apt::unpack(&apt::download(package, &debs)?, &into)?;
    }
    fs::remove_dir_all(&debs)?;
    // The compiler finds its own libraries after those of the caller: rustup's cargo puts its libLLVM first, which is
    // the one that bpf-linker was pinned for. Written last: its presence says that the rest is complete.
    let wrapper = format!(
        "#!/bin/sh\n\
         # Runs the unpacked compiler with the libraries that were unpacked beside it.\n\
         here=$(dirname \"$(readlink -f \"$0\")\")/../usr\n\
         LD_LIBRARY_PATH=${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}$here/lib/{0}-linux-gnu:$here/lib\n\
         export LD_LIBRARY_PATH\n\
         exec \"$here/bin/rustc\" --sysroot \"$here\" \"$@\"\n",
        std::env::consts::ARCH
    );
    let rustc = into.join("bin/rustc");
    fs::create_dir_all(into.join("bin"))?;
    fs::write(&rustc, wrapper)?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755))?;
    Ok(())
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
