//! Finds the compiler and linker for the kernel side and builds the objects; shared with `pidstat-user/build.rs`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The families: one `[[bin]]` of pidstat-ebpf each.
pub const FAMILIES: [&str; 2] = ["task", "net"];

/// The release of bpf-linker that matches the LLVM of the pinned rustc.
pub const BPF_LINKER_VERSION: &str = "0.10.3";

/// What stands in a message when something is missing.
pub const SETUP: &str = "cargo xtask setup";

/// How the kernel side is compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// A rustc that brings a prebuilt `core` for the BPF target (Debian's rustc-web).
    Prebuilt(PathBuf),
    /// A rustup nightly with rust-src; `core` is built on the way.
    Nightly,
}

/// Where everything of this checkout that is not source lives.
pub fn target_dir(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Directory of the tools that `setup` installs for this checkout alone.
pub fn tools_dir(root: &Path) -> PathBuf {
    env::var_os("KPIDSTAT_TOOLS").map_or_else(|| root.join("target/tools"), PathBuf::from)
}

/// The compiler, if there is one.
pub fn compiler(root: &Path) -> Option<Compiler> {
    let unpacked = tools_dir(root).join("rustc-web/usr");
    for usr in [PathBuf::from("/usr"), unpacked] {
        let rustc = usr.join("bin/rustc");
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

/// Builds every kernel object and returns the directory that holds them.
///
/// # Errors
/// One line that names the command to run, or the compiler's own words.
pub fn build_objects(root: &Path) -> Result<PathBuf, String> {
    let linker = linker(root).ok_or_else(|| format!("bpf-linker is missing; run: {SETUP}"))?;
    let compiler =
        compiler(root).ok_or_else(|| format!("no Rust compiler for the BPF target; run: {SETUP}"))?;
    let target = target_dir(root).join("bpf");
    let arch = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    let flags =
        ["-Cdebuginfo=2", "-Clink-arg=--btf", "--cfg", &format!("bpf_target_arch=\"{arch}\"")].join("\x1f");
    // rustup's cargo puts its own libLLVM on the library path, which is where bpf-linker finds one.
    let mut cargo = match compiler {
        Compiler::Prebuilt(_) => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
        Compiler::Nightly => {
            let mut c = Command::new("rustup");
            c.args(["run", "nightly", "cargo"]);
            c
        }
    };
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        let of_outer_build = name.starts_with("CARGO_")
            && !name.starts_with("CARGO_HOME")
            && !name.starts_with("CARGO_NET")
            && !name.starts_with("CARGO_HTTP")
            && !name.starts_with("CARGO_REGISTR")
            && !name.starts_with("CARGO_SOURCE");
        if of_outer_build
            || ["RUSTC", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "RUSTDOC"]
                .contains(&&*name)
        {
            cargo.env_remove(&key);
        }
    }
    let mut path = vec![linker.parent().unwrap_or(Path::new("/")).to_path_buf()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    cargo
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", &flags)
        .env("PATH", env::join_paths(path).map_err(|e| e.to_string())?)
        .args([
            "build",
            "--quiet",
            "--package",
            "pidstat-ebpf",
            "--profile",
            "bpf",
            "--target",
            "bpfel-unknown-none",
        ])
        .arg("--target-dir")
        .arg(&target);
    match compiler {
        Compiler::Prebuilt(ref rustc) => {
            cargo.env("RUSTC", rustc);
        }
        Compiler::Nightly => {
            cargo.args(["-Z", "build-std=core"]);
        }
    }
    let out = cargo.output().map_err(|e| format!("cargo for the kernel side: {e}"))?;
    if !out.status.success() {
        return Err(format!("the kernel side did not build:\n{}", String::from_utf8_lossy(&out.stderr)));
    }
    Ok(target.join("bpfel-unknown-none/bpf"))
}
