//! The net family: its programs, and where this kernel keeps what they read.

use super::{
    btf::{Btf, Kind},
    ladder::{Family, Globals, Hook, Program, Rung},
    reason::Reason,
};
use pidstat_common::net::{LOOKS, NetOffsets};

/// Follows a TCP socket's life: storage, owner of the active side, receive baseline.
pub const STATE: Program = Program { name: "ps_state", hook: Hook::Tracepoint("inet_sock_set_state") };
/// Sends the final record of a TCP socket.
pub const DESTROY: Program = Program { name: "ps_destroy", hook: Hook::Tracepoint("tcp_destroy_sock") };
/// Dumps the storage of all sockets.
pub const SOCKETS: Program = Program { name: "ps_sockets", hook: Hook::Iter("bpf_sk_storage_map") };
/// Gives sockets older than the tool owner and baseline.
pub const FILES: Program = Program { name: "ps_files", hook: Hook::Iter("task_file") };
/// Gives those that nobody accepted yet a baseline.
pub const UNACCEPTED: Program = Program { name: "ps_unaccepted", hook: Hook::Iter("tcp") };
/// Tells whose credentials are whose.
pub const ACCEPTED: Program = Program { name: "ps_accepted", hook: Hook::Iter("task") };
/// Counts what is read from TCP sockets.
pub const TCP_RECV: Program = Program { name: "ps_tcp_recv", hook: Hook::Tracepoint("tcp_rcv_space_adjust") };
/// Counts what is received by everything else.
pub const RECV: Program = Program { name: "ps_recv", hook: Hook::Tracepoint("sock_recv_length") };
/// Counts what is sent.
pub const SEND: Program = Program { name: "ps_send", hook: Hook::Tracepoint("sock_send_length") };

/// Counts packets on the wire, on request.
const PACKETS: [Program; 2] =
    [Program { name: "ps_p_out", hook: Hook::Egress }, Program { name: "ps_p_in", hook: Hook::Ingress }];

const fn fexit(name: &'static str, function: &'static str) -> Program {
    Program { name, hook: Hook::Return(function) }
}

/// The rung whose bytes come from the socket tracepoints of 6.5 and later.
///
/// The order is that of attaching: baselines exist before anything is counted against them, and new sockets make their
/// own while the walks look for the old ones.
pub const TRACEPOINT: Rung = Rung {
    name: "tracepoint",
    programs: &[STATE, DESTROY, SOCKETS, FILES, UNACCEPTED, ACCEPTED, TCP_RECV, RECV, SEND],
    where_present: &[],
    on_request: &PACKETS,
    shortfall: None,
    complete: sees_sendfile,
};

/// The rung whose bytes are what the protocols' own functions return.
pub const FEXIT: Rung = Rung {
    name: "fexit",
    programs: &[
        STATE,
        DESTROY,
        SOCKETS,
        FILES,
        UNACCEPTED,
        ACCEPTED,
        Program { name: "ps_e_cleanup", hook: Hook::Call("tcp_cleanup_rbuf") },
        fexit("ps_x_tcp_send", "tcp_sendmsg"),
        fexit("ps_x_udp_recv", "udp_recvmsg"),
        fexit("ps_x_udp_send", "udp_sendmsg"),
    ],
    where_present: &[
        fexit("ps_x_tcp_page", "tcp_sendpage"),
        fexit("ps_x_udp6_recv", "udpv6_recvmsg"),
        fexit("ps_x_udp6_send", "udpv6_sendmsg"),
        fexit("ps_x_mptcp_recv", "mptcp_recvmsg"),
        fexit("ps_x_mptcp_send", "mptcp_sendmsg"),
        fexit("ps_x_raw_recv", "raw_recvmsg"),
        fexit("ps_x_raw_send", "raw_sendmsg"),
        fexit("ps_x_raw6_recv", "rawv6_recvmsg"),
        fexit("ps_x_raw6_send", "rawv6_sendmsg"),
        fexit("ps_x_ping_recv", "ping_recvmsg"),
        fexit("ps_x_ping_send", "ping_v4_sendmsg"),
        fexit("ps_x_ping6_send", "ping_v6_sendmsg"),
    ],
    on_request: &[
        fexit("ps_x_ustr_send", "unix_stream_sendmsg"),
        fexit("ps_x_ustr_page", "unix_stream_sendpage"),
        fexit("ps_x_ustr_recv", "unix_stream_recvmsg"),
        fexit("ps_x_ustr_splic", "unix_stream_splice_read"),
        fexit("ps_x_useq_send", "unix_seqpacket_sendmsg"),
        fexit("ps_x_useq_recv", "unix_seqpacket_recvmsg"),
        fexit("ps_x_udgm_send", "unix_dgram_sendmsg"),
        fexit("ps_x_udgm_recv", "unix_dgram_recvmsg"),
        PACKETS[0],
        PACKETS[1],
    ],
    shortfall: Some("kTLS and SCTP are not counted"),
    complete: |_| Ok(()),
};

const fn kprobe(name: &'static str, function: &'static str) -> Program {
    Program { name, hook: Hook::Probe(function) }
}

/// The rung of breakpoints at the start of functions, for kernels that allow nothing better.
pub const KPROBE: Rung = Rung {
    name: "kprobe",
    programs: &[
        STATE,
        DESTROY,
        SOCKETS,
        FILES,
        UNACCEPTED,
        ACCEPTED,
        kprobe("ps_k_cleanup", "tcp_cleanup_rbuf"),
        kprobe("ps_k_tcp_send", "tcp_sendmsg"),
        kprobe("ps_k_udp_recv", "skb_consume_udp"),
        kprobe("ps_k_udp_send", "udp_sendmsg"),
    ],
    where_present: &[kprobe("ps_k_tcp_page", "tcp_sendpage"), kprobe("ps_k_udp6_send", "udpv6_sendmsg")],
    on_request: &PACKETS,
    shortfall: Some("UDP sends count even if they fail, and of protocols only TCP and UDP are counted"),
    complete: |_| Ok(()),
};

/// The rung without a hook on any call: the sequence numbers of every TCP socket are read at each sample. States and
/// ends are hooked, which costs something per connection, nothing per byte or packet.
pub const SAMPLED: Rung = Rung {
    name: "sampled",
    programs: &[STATE, DESTROY, SOCKETS, FILES, UNACCEPTED, ACCEPTED],
    where_present: &[],
    on_request: &[],
    shortfall: Some("only TCP is counted, and a socket that several processes use is its first owner's"),
    complete: |_| Ok(()),
};

/// Whether a program that runs on request was asked for.
pub fn requested(program: &Program, options: Options) -> bool {
    match program.hook {
        Hook::Egress | Hook::Ingress => options.packets,
        _ => options.unix,
    }
}

/// Whether a rung counts UNIX sockets on request.
pub fn counts_unix(rung: &Rung) -> bool {
    rung.name == TRACEPOINT.name || rung.name == FEXIT.name
}

/// Whether a rung knows who uses a socket of UDP.
pub fn counts_datagrams(rung: &Rung) -> bool {
    rung.name != SAMPLED.name
}

/// Whether the bytes of TCP are taken from its sequence numbers, so that owners have to be looked for.
pub fn by_sequence(rung: &Rung) -> bool {
    rung.name == SAMPLED.name || rung.name == KPROBE.name
}

/// The object and its rungs, the best first.
pub const FAMILY: Family = Family {
    name: "net",
    object: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/net.o")),
    rungs: &[TRACEPOINT, FEXIT, KPROBE, SAMPLED],
    globals: |btf| globals(btf, &TRACEPOINT, PidNamespace::default(), Options::default()),
};

/// The PID namespace whose numbers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidNamespace {
    /// How deep it lies; 0 is the initial one.
    pub level: u32,
    /// Its inode number, not used at level 0.
    pub inum: u32,
}

/// How much the maps hold, and what is counted besides TCP and UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Flows: uses of UDP sockets, and of TCP sockets by other processes than their first owner.
    pub flows: u32,
    /// Bytes of the ring of closed connections, a power of two of at least a page; a connection takes 192.
    pub ring_bytes: u32,
    /// Whether UNIX sockets are counted.
    pub unix: bool,
    /// Whether packets on the wire are counted for what is not TCP.
    pub packets: bool,
    /// Whether the programs log what they see; otherwise the verifier removes the logging.
    pub debug: bool,
}

/// Rooms for sockets that `--net-sockets` may ask for.
pub const SOCKETS_MAX: u32 = 1 << 24;

impl Options {
    /// Maps for so many sockets at a time: one flow each, and a final record each for those that close between two looks
    /// at the ring.
    pub fn for_sockets(sockets: Option<u32>) -> Options {
        let Some(sockets) = sockets.map(|sockets| sockets.clamp(1, SOCKETS_MAX)) else {
            return Options::default();
        };
        // A record has a header of 8 bytes; the ring's size is a power of two of whole pages.
        let record = size_of::<pidstat_common::net::SockRecord>() as u32 + 8;
        let ring_bytes = sockets.saturating_mul(record).clamp(4096, 1 << 30).next_power_of_two();
        Options { flows: sockets, ring_bytes, ..Options::default() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            flows: pidstat_common::net::FLOWS_MAX as u32,
            ring_bytes: pidstat_common::net::RING_BYTES as u32,
            unix: false,
            packets: false,
            debug: false,
        }
    }
}

/// Before 6.5 splice and sendfile went by `sendpage` and not by the socket tracepoints.
fn sees_sendfile(btf: &Btf) -> Result<(), Reason> {
    for name in ["sock_send_length", "sock_recv_length"] {
        if !btf.has(Kind::Typedef, &format!("btf_trace_{name}")) {
            return Err(Reason::NoHook(format!("tracepoint {name}")));
        }
    }
    if btf.has(Kind::Func, "tcp_sendpage") {
        return Err(Reason::NoHook("tracepoint that sees sendfile (it has tcp_sendpage)".into()));
    }
    Ok(())
}

/// Values for the object's globals and the sizes of its maps.
///
/// # Errors
/// A field that the programs need is not in this kernel.
pub fn globals(btf: &Btf, rung: &Rung, ours: PidNamespace, options: Options) -> Result<Globals, Reason> {
    let mut offsets = offsets(btf, ours)?;
    offsets.ring_wakeup_bytes = options.ring_bytes / 4;
    offsets.debug = u32::from(options.debug);
    offsets.sampled = u32::from(rung.name == SAMPLED.name);
    offsets.turns = u32::from(rung.name == KPROBE.name);
    offsets.unix = u32::from(options.unix);
    let mut globals = Globals::default();
    globals.set("NET_OFFSETS", &offsets);
    globals.size("ps_flows", options.flows).size("ps_closed", options.ring_bytes);
    globals.size("ps_turns", if rung.name == KPROBE.name { options.flows } else { 1 });
    globals.size("ps_packets", if options.packets { options.flows } else { 1 });
    Ok(globals)
}

/// System calls that look at the files of others, or read what an iterator says of them, and close nothing of their own.
const LOOKING: [libc::c_long; LOOKS] = [
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_preadv,
    libc::SYS_readlinkat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_openat,
    libc::SYS_getdents64,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(not(target_arch = "x86_64"))]
    -1,
];

fn offsets(btf: &Btf, ours: PidNamespace) -> Result<NetOffsets, Reason> {
    let at = |of: &str, field: &str, name: &'static str| btf.offset(of, field).ok_or(Reason::NoField(name));
    let upid = btf.size("upid").ok_or(Reason::NoField("upid"))?;
    let number = at("pid", "numbers", "pid.numbers")?
        .checked_add(ours.level.checked_mul(upid).ok_or(Reason::NoField("pid.numbers"))?)
        .ok_or(Reason::NoField("pid.numbers"))?;
    // x86-64 and arm64 call the number of the system call so.
    let regs_call = btf
        .offset_of_any("pt_regs", &["orig_ax", "syscallno"])
        .filter(|_| btf.has(Kind::Func, "bpf_task_pt_regs"));
    Ok(NetOffsets {
        sk_family: at("sock", "__sk_common.skc_family", "sock.skc_family")?,
        sk_state: at("sock", "__sk_common.skc_state", "sock.skc_state")?,
        sk_protocol: at("sock", "sk_protocol", "sock.sk_protocol")?,
        sk_flags: at("sock", "__sk_common.skc_flags", "sock.sk_flags")?,
        sk_shutdown: at("sock", "sk_shutdown", "sock.sk_shutdown")?,
        sk_prot: at("sock", "__sk_common.skc_prot", "sock.sk_prot")?,
        sk_prot_creator: at("sock", "sk_prot_creator", "sock.sk_prot_creator")?,
        socket_sk: at("socket", "sk", "socket.sk")?,
        icsk_ulp_ops: at("inet_connection_sock", "icsk_ulp_ops", "inet_connection_sock.icsk_ulp_ops")?,
        ulp_name: at("tcp_ulp_ops", "name", "tcp_ulp_ops.name")?,
        copied_seq: at("tcp_sock", "copied_seq", "tcp_sock.copied_seq")?,
        rcv_nxt: at("tcp_sock", "rcv_nxt", "tcp_sock.rcv_nxt")?,
        bytes_received: at("tcp_sock", "bytes_received", "tcp_sock.bytes_received")?,
        bytes_acked: at("tcp_sock", "bytes_acked", "tcp_sock.bytes_acked")?,
        segs_in: at("tcp_sock", "segs_in", "tcp_sock.segs_in")?,
        segs_out: at("tcp_sock", "segs_out", "tcp_sock.segs_out")?,
        bytes_sent: at("tcp_sock", "bytes_sent", "tcp_sock.bytes_sent")?,
        total_retrans: at("tcp_sock", "total_retrans", "tcp_sock.total_retrans")?,
        write_seq: at("tcp_sock", "write_seq", "tcp_sock.write_seq")?,
        snd_nxt: at("tcp_sock", "snd_nxt", "tcp_sock.snd_nxt")?,
        snd_una: at("tcp_sock", "snd_una", "tcp_sock.snd_una")?,
        srtt_us: at("tcp_sock", "srtt_us", "tcp_sock.srtt_us")?,
        snd_cwnd: at("tcp_sock", "snd_cwnd", "tcp_sock.snd_cwnd")?,
        tcp_header_len: at("tcp_sock", "tcp_header_len", "tcp_sock.tcp_header_len")?,
        sk_local4: at("sock", "__sk_common.skc_rcv_saddr", "sock.skc_rcv_saddr")?,
        sk_remote4: at("sock", "__sk_common.skc_daddr", "sock.skc_daddr")?,
        sk_local6: at("sock", "__sk_common.skc_v6_rcv_saddr", "sock.skc_v6_rcv_saddr")?,
        sk_remote6: at("sock", "__sk_common.skc_v6_daddr", "sock.skc_v6_daddr")?,
        sk_local_port: at("sock", "__sk_common.skc_num", "sock.skc_num")?,
        sk_remote_port: at("sock", "__sk_common.skc_dport", "sock.skc_dport")?,
        sk_net: at("sock", "__sk_common.skc_net.net", "sock.skc_net")?,
        net_inum: at("net", "ns.inum", "net.ns.inum")?,
        sk_cgroup: at("sock", "sk_cgrp_data.cgroup", "sock.sk_cgrp_data")?,
        cgroup_kn: at("cgroup", "kn", "cgroup.kn")?,
        kn_id: at("kernfs_node", "id", "kernfs_node.id")?,
        task_group_leader: at("task_struct", "group_leader", "task_struct.group_leader")?,
        task_tgid: at("task_struct", "tgid", "task_struct.tgid")?,
        task_start_boottime: btf
            .offset_of_any("task_struct", &["start_boottime", "real_start_time"])
            .ok_or(Reason::NoField("task_struct.start_boottime"))?,
        task_flags: at("task_struct", "flags", "task_struct.flags")?,
        task_comm: at("task_struct", "comm", "task_struct.comm")?,
        task_real_cred: at("task_struct", "real_cred", "task_struct.real_cred")?,
        cred_uid: at("cred", "uid", "cred.uid")?,
        task_thread_pid: at("task_struct", "thread_pid", "task_struct.thread_pid")?,
        pid_level: at("pid", "level", "pid.level")?,
        pid_nr: number + at("upid", "nr", "upid.nr")?,
        pid_ns: number + at("upid", "ns", "upid.ns")?,
        ns_inum: at("pid_namespace", "ns.inum", "pid_namespace.ns.inum")?,
        our_level: ours.level,
        our_inum: ours.inum,
        ring_wakeup_bytes: 0,
        debug: 0,
        sk_type: at("sock", "sk_type", "sock.sk_type")?,
        sk_cookie: at("sock", "__sk_common.skc_cookie", "sock.sk_cookie")?,
        sampled: 0,
        turns: 0,
        unix: 0,
        // (sk, msg, size, flags, ...) since 5.19; before there was a nonblock before the flags.
        sk_socket: at("sock", "sk_socket", "sock.sk_socket")?,
        socket_file: at("socket", "file", "socket.file")?,
        file_cred: at("file", "f_cred", "file.f_cred")?,
        regs_call: regs_call.unwrap_or(0),
        registers: u32::from(regs_call.is_some()),
        looks: LOOKING.map(|call| u32::try_from(call).unwrap_or(u32::MAX)),
        recv_flags: if btf.params(Kind::Func, "udp_recvmsg") == Some(6) { 4 } else { 3 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_every_field() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        let first = offsets(&btf, PidNamespace::default()).unwrap();
        let third = offsets(&btf, PidNamespace { level: 2, inum: 1 }).unwrap();
        assert_eq!(Some(third.pid_nr - first.pid_nr), btf.size("upid").map(|size| 2 * size));
        assert!(first.segs_in > first.icsk_ulp_ops, "inet_connection_sock is the head of tcp_sock");
    }
}
