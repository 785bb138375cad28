//! Builds the kernel objects with the BPF toolchain and hands their paths to the crate, which embeds them.

#[path = "../xtask/src/toolchain.rs"]
#[allow(dead_code, reason = "xtask uses the rest")]
mod toolchain;

use std::{env, fs, path::Path, path::PathBuf, process::exit};

fn main() {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .parent()
        .expect("workspace")
        .to_path_buf();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for dir in ["pidstat-ebpf", "pidstat-common/src", "xtask/src/toolchain.rs", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(dir).display());
    }
    match toolchain::build_objects(&root) {
        Ok(dir) => {
            for family in toolchain::FAMILIES {
                fs::copy(dir.join(family), out.join(format!("{family}.o"))).expect("copy the kernel object");
            }
        }
        Err(why) => {
            println!("cargo::error={why}");
            exit(1);
        }
    }
}
