//! Finds the compiler and linker for the kernel side; shared with `pidstat-user/build.rs`.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// The release of bpf-linker that matches the LLVM of the pinned rustc, which it loads at run time.
pub const BPF_LINKER_VERSION: &str = "0.10.3";

/// What stands in a message when something is missing.
pub const SETUP: &str = "cargo xtask setup";

/// Names another directory than `target/tools`, for checkouts that share one.
pub const TOOLS_VARIABLE: &str = "KPIDSTAT_TOOLS";

/// How the kernel side is compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// A rustc that brings a prebuilt `core` for the BPF target (Debian's rustc-web).
    Prebuilt(PathBuf),
    /// A rustup nightly with rust-src; `core` is built on the way.
    Nightly,
}

/// Directory of the tools that `setup` installs for this checkout alone. Not below `CARGO_TARGET_DIR`: an IDE builds
/// with a target directory of its own and must find the same tools.
pub fn tools_dir(root: &Path) -> PathBuf {
    env::var_os(TOOLS_VARIABLE).map_or_else(|| root.join("target/tools"), PathBuf::from)
}

/// The compiler, if there is one: the checkout's own, else the machine's, else rustup's nightly.
pub fn compiler(root: &Path) -> Option<Compiler> {
    let own = tools_dir(root).join("rustc-web");
    for (rustc, usr) in [(own.join("bin/rustc"), own.join("usr")), ("/usr/bin/rustc".into(), "/usr".into())] {
        if rustc.exists() && usr.join("lib/rustlib/bpfel-unknown-none/lib").exists() {
            return Some(Compiler::Prebuilt(rustc));
        }
    }
    let out = Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(out.stdout).ok()?.trim());
    sysroot.join("lib/rustlib/src/rust/library/core").exists().then_some(Compiler::Nightly)
}

/// The linker, if there is one: the checkout's own, else the one on PATH.
pub fn linker(root: &Path) -> Option<PathBuf> {
    let own = tools_dir(root).join("bin/bpf-linker");
    if own.exists() {
        return Some(own);
    }
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("bpf-linker")).find(|path| path.exists())
}

/// What must be run before the kernel side builds, in one line; nothing if it can be built.
///
/// # Errors
/// The line.
pub fn ready(root: &Path) -> Result<(Compiler, PathBuf), String> {
    let linker = linker(root).ok_or_else(|| format!("bpf-linker is missing; run: {SETUP}"))?;
    let compiler =
        compiler(root).ok_or_else(|| format!("no Rust compiler for the BPF target; run: {SETUP}"))?;
    Ok((compiler, linker))
}

/// A cargo for the kernel side: the right compiler and linker, and nothing of the build that calls it.
///
/// # Errors
/// One line that names the command to run.
pub fn cargo(root: &Path, verb: &str) -> Result<Command, String> {
    let (compiler, linker) = ready(root)?;
    let outer = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = match compiler {
        Compiler::Prebuilt(_) => Command::new(&outer),
        Compiler::Nightly => {
            let mut rustup = Command::new("rustup");
            rustup.args(["run", "nightly", "cargo"]);
            rustup
        }
    };
    for (key, _) in env::vars_os().filter(|(key, _)| of_outer_build(key)) {
        cargo.env_remove(key);
    }
    let mut path = vec![linker.parent().unwrap_or(Path::new("/")).to_path_buf()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    // bpf-linker takes the first libLLVM on the library path. rustup puts its toolchain's there, but not for an IDE that
    // starts the toolchain's cargo by its path.
    let given = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    // An empty entry would mean the current directory.
    let mut libraries: Vec<PathBuf> =
        env::split_paths(&given).filter(|dir| !dir.as_os_str().is_empty()).collect();
    libraries.extend(Path::new(&outer).ancestors().nth(2).map(|toolchain| toolchain.join("lib")));
    let arch = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    let flags =
        ["-Cdebuginfo=2", "-Clink-arg=--btf", "--cfg", &format!("bpf_target_arch=\"{arch}\"")].join("\x1f");
    cargo
        .current_dir(root)
        // aya-ebpf uses unstable features; a released compiler takes them only when told to.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("PATH", env::join_paths(path).map_err(|e| format!("PATH: {e}"))?)
        .env("LD_LIBRARY_PATH", env::join_paths(libraries).map_err(|e| format!("LD_LIBRARY_PATH: {e}"))?)
        .args([verb, "--quiet", "--package", "pidstat-ebpf", "--target", "bpfel-unknown-none"]);
    match compiler {
        Compiler::Prebuilt(rustc) => cargo.env("RUSTC", rustc),
        Compiler::Nightly => cargo.args(["-Z", "build-std=core"]),
    };
    Ok(cargo)
}

/// Whether a variable belongs to the build that calls this one (or to clippy), and would bend it. What says where cargo
/// keeps its files and how it reaches the network stays.
fn of_outer_build(key: &OsStr) -> bool {
    let key = key.to_string_lossy();
    let kept = ["CARGO_HOME", "CARGO_NET", "CARGO_HTTP", "CARGO_REGISTR", "CARGO_SOURCE"];
    let rust = [
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "RUSTDOC",
        "RUSTFLAGS",
        "CLIPPY_ARGS",
    ];
    rust.contains(&&*key) || key.starts_with("CARGO_") && !kept.iter().any(|prefix| key.starts_with(prefix))
}
