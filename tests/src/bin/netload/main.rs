//! Does an exact, prime number of things with sockets and says what it did: one line per process, `PID tx rx txmsg rxmsg`.
//!
//! `netload CASE [4|6|mapped] [netns|pidns]`. Every process stops by itself: an alarm ends those that a fault leaves waiting.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a workload owns its socket, and to return is to close it"
)]

mod disk;
mod layers;
mod protocol;
mod ring;
mod share;
mod tcp;
mod udp;
mod unix;
mod veth;
mod wire;

use wire::Family;

fn main() {
    let mut args = std::env::args().skip(1);
    let case = args.next().unwrap_or_default();
    let family = match args.next().as_deref() {
        Some("6") => Family::V6,
        Some("mapped") => Family::Mapped,
        _ => Family::V4,
    };
    wire::stop_after(60);
    if case == "has" {
        let there = protocol::has(&std::env::args().nth(2).unwrap_or_default());
        std::process::exit(i32::from(!there));
    }
    match args.next().as_deref() {
        Some("netns") => wire::own_network(),
        Some("pidns") => wire::own_numbers(),
        _ => {}
    }
    let known = tcp::run(&case, family)
        || udp::run(&case, family)
        || share::run(&case, family)
        || unix::run(&case)
        || ring::run(&case, family)
        || layers::run(&case, family)
        || protocol::run(&case, family)
        || disk::run(&case)
        || veth::run(&case, family);
    if !known {
        eprintln!("netload: no case {case:?}");
        std::process::exit(2);
    }
}
