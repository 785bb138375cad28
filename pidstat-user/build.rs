//! Builds the kernel objects with the BPF toolchain and copies them where the crate embeds them from.

#[path = "../xtask/src/toolchain.rs"]
#[expect(dead_code, reason = "xtask uses the rest")]
mod toolchain;

use std::{
    env, fs,
    path::{Path, PathBuf},
};
use toolchain::Compiler;

/// The families: one `[[bin]]` of pidstat-ebpf each.
const FAMILIES: [&str; 3] = ["task", "net", "sched"];

/// What the objects are made from, besides the tools.
const INPUTS: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "pidstat-ebpf",
    "pidstat-common/Cargo.toml",
    "pidstat-common/src",
    "xtask/src/toolchain.rs",
];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = root.parent().expect("the crate lies in the workspace");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-env-changed={}", toolchain::TOOLS_VARIABLE);
    for input in INPUTS.iter().map(|input| root.join(input)).chain(tools(root)) {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    if let Err(why) = objects(root, &out) {
        // `cargo::error` alone fails the build; a non-zero exit would add everything that this script printed.
        for line in why.lines() {
            println!("cargo::error={line}");
        }
    }
}

/// Builds every object and copies it into `out` under its family's name; or one line that names the command to run, or
/// the compiler's own words.
fn objects(root: &Path, out: &Path) -> Result<(), String> {
    // A target directory of its own: the outer cargo holds the lock of the other one for as long as this runs.
    let target = target_dir(out).join("bpf");
    let mut cargo = toolchain::cargo(root, "build")?;
    let built = cargo.args(["--profile", "bpf", "--target-dir"]).arg(&target).output();
    let built = built.map_err(|e| format!("cargo for the kernel side: {e}"))?;
    let said = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() {
        return Err(format!("the kernel side did not build:\n{said}"));
    }
    for line in said.lines() {
        println!("cargo::warning={line}");
    }
    for family in FAMILIES {
        let object = target.join("bpfel-unknown-none/bpf").join(family);
        fs::copy(&object, out.join(format!("{family}.o")))
            .map_err(|e| format!("{}: {e}", object.display()))?;
    }
    Ok(())
}

/// The tools whose change makes the objects out of date though no source changed.
fn tools(root: &Path) -> Vec<PathBuf> {
    let rustc = match toolchain::compiler(root) {
        Some(Compiler::Prebuilt(rustc)) => Some(rustc),
        Some(Compiler::Nightly) | None => None,
    };
    toolchain::linker(root).into_iter().chain(rustc).collect()
}

/// The outer build's target directory: every profile and every IDE then shares one build of the kernel side, whatever
/// `CARGO_TARGET_DIR` or a configuration file says. `OUT_DIR` is `TARGET_DIR/[TRIPLE/]PROFILE/build/PACKAGE/out`.
fn target_dir(out: &Path) -> PathBuf {
    let dir = out.ancestors().nth(4).expect("OUT_DIR lies in a target directory");
    let triple = env::var_os("TARGET").expect("cargo sets it");
    match dir.parent() {
        Some(parent) if dir.file_name() == Some(&triple) => parent.to_path_buf(),
        _ => dir.to_path_buf(),
    }
}
