//! The contract of the net family: what the socket hooks keep in the kernel and what they ship.
//!
//! Counters are cumulative since the socket was first seen. Nothing here is ever reset: a reset would race with the
//! hooks, so the loader subtracts (modulo 2^32 where the kernel's own counter is a u32).

/// Where the fields the programs load directly lie, in bytes from the start of their struct, as this kernel's BTF says.
///
/// The loader writes it into frozen rodata, so the verifier sees constants and checks each load by type.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetOffsets {
    /// `sock.__sk_common.skc_family`, u16.
    pub sk_family: u32,
    /// `sock.__sk_common.skc_state`, u8.
    pub sk_state: u32,
    /// `sock.sk_protocol`, u16.
    pub sk_protocol: u32,
    /// `sock.__sk_common.skc_flags` (`sk_flags`), unsigned long.
    pub sk_flags: u32,
    /// `sock.sk_shutdown`, u8.
    pub sk_shutdown: u32,
    /// `sock.__sk_common.skc_prot` (`sk_prot`), pointer.
    pub sk_prot: u32,
    /// `sock.sk_prot_creator`, pointer.
    pub sk_prot_creator: u32,
    /// `socket.sk`, pointer.
    pub socket_sk: u32,
    /// `tcp_sock.inet_conn.icsk_ulp_ops`, pointer.
    pub icsk_ulp_ops: u32,
    /// `tcp_ulp_ops.name`, 16 bytes.
    pub ulp_name: u32,
    /// `tcp_sock.copied_seq`, u32.
    pub copied_seq: u32,
    /// `tcp_sock.rcv_nxt`, u32.
    pub rcv_nxt: u32,
    /// `tcp_sock.bytes_received`, u64.
    pub bytes_received: u32,
    /// `tcp_sock.segs_in`, u32.
    pub segs_in: u32,
    /// `tcp_sock.segs_out`, u32.
    pub segs_out: u32,
    /// `tcp_sock.bytes_sent`, u64: what went out in segments, retransmissions included.
    pub bytes_sent: u32,
    /// `tcp_sock.total_retrans`, u32.
    pub total_retrans: u32,
    /// `tcp_sock.write_seq`, u32.
    pub write_seq: u32,
    /// `tcp_sock.snd_nxt`, u32.
    pub snd_nxt: u32,
    /// `tcp_sock.snd_una`, u32.
    pub snd_una: u32,
    /// `tcp_sock.srtt_us`, u32, in eighths of a microsecond.
    pub srtt_us: u32,
    /// `tcp_sock.snd_cwnd`, u32.
    pub snd_cwnd: u32,
    /// `tcp_sock.tcp_header_len`, u16.
    pub tcp_header_len: u32,
    /// `sock.__sk_common.skc_rcv_saddr`, 4 bytes.
    pub sk_local4: u32,
    /// `sock.__sk_common.skc_daddr`, 4 bytes.
    pub sk_remote4: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`, 16 bytes.
    pub sk_local6: u32,
    /// `sock.__sk_common.skc_v6_daddr`, 16 bytes.
    pub sk_remote6: u32,
    /// `sock.__sk_common.skc_num`, u16.
    pub sk_local_port: u32,
    /// `sock.__sk_common.skc_dport`, u16, in network order.
    pub sk_remote_port: u32,
    /// `sock.__sk_common.skc_net.net`, pointer.
    pub sk_net: u32,
    /// `net.ns.inum`, u32.
    pub net_inum: u32,
    /// `sock.sk_cgrp_data.cgroup`, pointer.
    pub sk_cgroup: u32,
    /// `cgroup.kn`, pointer.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`, u64.
    pub kn_id: u32,
    /// `task_struct.group_leader`, pointer.
    pub task_group_leader: u32,
    /// `task_struct.tgid`, s32.
    pub task_tgid: u32,
    /// `task_struct.start_boottime`, u64.
    pub task_start_boottime: u32,
    /// `task_struct.flags`, u32.
    pub task_flags: u32,
    /// `task_struct.comm`, 16 bytes.
    pub task_comm: u32,
    /// `task_struct.real_cred`, pointer.
    pub task_real_cred: u32,
    /// `cred.uid`, u32.
    pub cred_uid: u32,
    /// `task_struct.thread_pid`, pointer.
    pub task_thread_pid: u32,
    /// `pid.level`, u32.
    pub pid_level: u32,
    /// `pid.numbers[our level].nr`, s32.
    pub pid_nr: u32,
    /// `pid.numbers[our level].ns`, pointer.
    pub pid_ns: u32,
    /// `pid_namespace.ns.inum`, u32.
    pub ns_inum: u32,
    /// Not an offset: how deep the reader's PID namespace lies; 0 is the initial one, where every process has a number.
    pub our_level: u32,
    /// Not an offset: inode number of the reader's PID namespace.
    pub our_inum: u32,
    /// Not an offset: bytes waiting in the ring from which on the reader is woken.
    pub ring_wakeup_bytes: u32,
    /// Not an offset: 1 if the programs log what they see (`--debug-bpf`).
    pub debug: u32,
    /// `tcp_sock.bytes_acked`, u64.
    pub bytes_acked: u32,
    /// `sock.__sk_common.skc_cookie`, u64.
    pub sk_cookie: u32,
    /// `sock.sk_type`, u16.
    pub sk_type: u32,
    /// Not an offset: 1 if no hook counts bytes, so that records take them from the sequence numbers.
    pub sampled: u32,
    /// Not an offset: 1 if breakpoints count bytes, by turns.
    pub turns: u32,
    /// Not an offset: 1 if UNIX sockets are counted too.
    pub unix: u32,
    /// Not an offset: which argument of `udp_recvmsg` are the flags; it was another one before 5.19.
    pub recv_flags: u32,
    /// `sock.sk_socket`, pointer.
    pub sk_socket: u32,
    /// `socket.file`, pointer.
    pub socket_file: u32,
    /// `file.f_cred`, pointer.
    pub file_cred: u32,
    /// The number of the system call in `pt_regs`, the lower 32 bits of it.
    pub regs_call: u32,
    /// Not an offset: 1 if the kernel shows a task's registers, since 5.15.
    pub registers: u32,
    /// Not offsets: the system calls of those that only look at the files of others.
    pub looks: [u32; LOOKS],
}

/// How many system calls [`NetOffsets::looks`] holds.
pub const LOOKS: usize = 10;

/// A process as a socket hook saw it: its group leader's identity.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `start_boottime` of the group leader in nanoseconds; with `tgid` it names the process for ever.
    pub start_ns: u64,
    /// Process id in the initial PID namespace.
    pub tgid: u32,
    /// Process id in the reader's PID namespace; 0 when the process is outside it.
    pub pid: u32,
    /// Real uid, in the initial user namespace.
    pub uid: u32,
    /// [`OWNER_KERNEL`] or nothing.
    pub flags: u32,
    /// Name of the group leader, NUL padded.
    pub comm: [u8; 16],
}

/// [`Owner::flags`]: a thread of the kernel, which uses sockets for a file system or a tunnel.
pub const OWNER_KERNEL: u32 = 1;

/// [`Owner::flags`]: no owner, but `start_ns` is the address of the credentials of whoever accepted the connection, which
/// somebody else closed who only looked at it. Each process has credentials of its own.
pub const OWNER_ACCEPTED: u32 = 2;

/// [`SockCounters::claim`]: the socket has no owner yet. `owner.start_ns` is 0, or as with [`OWNER_ACCEPTED`].
pub const CLAIM_FREE: u64 = 0;
/// [`SockCounters::claim`]: one CPU is writing the owner.
pub const CLAIM_WRITING: u64 = 1;
/// [`SockCounters::claim`]: the owner is complete and never changes again.
pub const CLAIM_READY: u64 = 2;
/// [`SockCounters::claim`]: nobody will own it any more; `owner.start_ns` as above.
pub const CLAIM_LEFT: u64 = 3;

/// One task's credentials, and the process that it belongs to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Their address.
    pub address: u64,
    /// The process.
    pub owner: Owner,
}

/// [`SockCounters::flags`]: `copied_seq` holds a baseline, so differences to it are received bytes.
pub const SOCK_BASED: u16 = 1;
/// [`SockCounters::flags`]: the final record was sent (or counted as lost); a dump must skip the socket.
pub const SOCK_FINAL: u16 = 2;
/// [`SockCounters::flags`]: `segs_in`/`segs_out` hold what was counted before the socket was closed.
pub const SOCK_CLOSED: u16 = 4;
/// [`SockCounters::flags`]: the socket is older than the hooks.
pub const SOCK_OLDER: u16 = 8;
/// [`SockCounters::flags`]: this side asked for the connection.
pub const SOCK_ACTIVE: u16 = 16;
/// [`SockRecord::flags`]: an upper layer (kTLS, MPTCP) sits on this TCP socket, so that no descriptor may lead to it.
pub const SOCK_INNER: u16 = 32;

/// [`SockRecord::upper`]: kTLS.
pub const UPPER_TLS: u8 = 1;
/// [`SockRecord::upper`]: it is a subflow of MPTCP.
pub const UPPER_MPTCP: u8 = 2;
/// [`SockRecord::upper`]: something else.
pub const UPPER_OTHER: u8 = 3;

/// Which socket it is, whatever it moves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SockName {
    /// When the hooks saw the socket begin (CLOCK_BOOTTIME); 0 if it is older than they are.
    pub opened_ns: u64,
    /// Id of its group in the hierarchy of cgroup v2.
    pub cgroup_id: u64,
    /// Local address in network order: four words for IPv6, the first one for IPv4.
    pub local: [u32; 4],
    /// Remote address; zero while it is connected to nobody.
    pub remote: [u32; 4],
    /// Local port, in host order.
    pub local_port: u16,
    /// Remote port, in host order.
    pub remote_port: u16,
    /// Address family.
    pub family: u16,
    /// IP protocol number; 6 is TCP.
    pub protocol: u16,
    /// Inode number of its network namespace.
    pub netns: u32,
    /// Kind: `SOCK_STREAM`, `SOCK_DGRAM` and so on.
    pub kind: u16,
    /// Explicit padding.
    pub pad: u16,
}

/// Value of the socket storage: what is known of one socket, written by the hooks. The kernel adds 72 bytes and rounds up
/// to a power of two, so 184 bytes are the most before it takes twice as much.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SockCounters {
    /// Socket cookie: unique until reboot.
    pub cookie: u64,
    /// Whether `owner` is valid: one of `CLAIM_*`.
    pub claim: u64,
    /// The first process that used the socket.
    pub owner: Owner,
    /// Bytes the kernel accepted from the owner. Only TCP counts here; other protocols have no destroy hook.
    pub tx_bytes: u64,
    /// Bytes the owner took. Only TCP counts here.
    pub rx_bytes: u64,
    /// `tcp_sock.copied_seq` as far as it is counted, the FIN's sequence number left out.
    pub copied_seq: u32,
    /// Some of `SOCK_*`.
    pub flags: u16,
    /// See [`SockRecord::syns`].
    pub syns: u16,
    /// What to subtract (modulo 2^32) from `tcp_sock.segs_in`.
    pub base_segs_in: u32,
    /// What to subtract (modulo 2^32) from `tcp_sock.segs_out`.
    pub base_segs_out: u32,
    /// `segs_in` when the socket went to CLOSE, before `tcp_disconnect()` zeroes the counter.
    pub closed_segs_in: u32,
    /// `segs_out` at the same moment.
    pub closed_segs_out: u32,
    /// `bytes_sent` at the same moment.
    pub closed_bytes_sent: u64,
    /// `bytes_received` at the same moment.
    pub closed_bytes_received: u64,
    /// `total_retrans` at the same moment.
    pub closed_retransmits: u32,
    /// What the last dump shipped, folded into a word: a socket that did not move since is shipped as its cookie alone.
    pub shipped: u32,
    /// Taken while it is known: a closed socket has no port.
    pub name: SockName,
}

/// Where the sequence numbers of one TCP socket stand for bytes; kept apart, for the rungs that need it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqCounters {
    /// `tcp_sock.write_seq` before the first byte that counts.
    pub first_tx: u32,
    /// `tcp_sock.write_seq` after the last byte, once `ended`.
    pub last_tx: u32,
    /// `tcp_sock.bytes_acked` at the first byte that counts; near enough to tell how often `write_seq` went round.
    pub base_acked: u64,
    /// `tcp_sock.bytes_received` at the first byte that counts, for `copied_seq`.
    pub base_received: u64,
    /// Bytes sent when the socket was closed, by the sequence numbers.
    pub closed_tx: u64,
    /// Bytes received at that moment.
    pub closed_rx: u64,
    /// Bytes sent through earlier connections of the same socket.
    pub earlier_tx: u64,
    /// Bytes received through them.
    pub earlier_rx: u64,
    /// 1 if nothing is written any more; the FIN that follows takes a sequence number too.
    pub ended: u64,
}

/// One use of a socket by one process: every use of a socket without a destroy hook, and every use of a TCP socket by
/// a process that is not its first owner.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Socket cookie.
    pub cookie: u64,
    /// `start_boottime` of the process' group leader: a reused tgid is another process.
    pub start_ns: u64,
    /// Process id in the initial PID namespace.
    pub tgid: u32,
    /// 0, or [`FLOW_FINAL`].
    pub kind: u32,
}

/// [`FlowKey::kind`]: no flow but the final record of a TCP socket that did not fit in the ring: the owner's bytes, and the
/// socket's segments for messages. The key has no process.
pub const FLOW_FINAL: u32 = 1;
/// Set in [`FlowCounters::tx_messages`] of such a record when all of it is there.
pub const FINAL_WHOLE: u64 = 1 << 63;

/// [`Turn::flags`]: nothing is written any more; only the FIN moves `write_seq` after this.
pub const TURN_ENDED: u64 = 1;

/// Whose turn it is to write to a TCP socket, and how far its sequence numbers are counted; by socket cookie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// `tcp_sock.write_seq` as far as it is counted; of 32 bits.
    pub tx_seq: u64,
    /// `tcp_sock.copied_seq` as far as it is counted, the FIN left out; of 32 bits.
    pub rx_seq: u64,
    /// Some of `TURN_*`.
    pub flags: u64,
    /// Who writes; all zero while nobody did.
    pub writer: FlowKey,
}

/// What one process did through one socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// The process.
    pub owner: Owner,
    /// Bytes the kernel accepted.
    pub tx_bytes: u64,
    /// Bytes the process took.
    pub rx_bytes: u64,
    /// Messages sent, empty ones included; 0 for byte streams, whose packets are segments.
    pub tx_messages: u64,
    /// Messages received, empty ones included.
    pub rx_messages: u64,
    /// The socket, as of the first use.
    pub name: SockName,
}

impl FlowCounters {
    /// One with nothing in it, as a constant.
    pub const EMPTY: FlowCounters = FlowCounters {
        owner: Owner { start_ns: 0, tgid: 0, pid: 0, uid: 0, flags: 0, comm: [0; 16] },
        tx_bytes: 0,
        rx_bytes: 0,
        tx_messages: 0,
        rx_messages: 0,
        name: SockName {
            opened_ns: 0,
            cgroup_id: 0,
            local: [0; 4],
            remote: [0; 4],
            local_port: 0,
            remote_port: 0,
            family: 0,
            protocol: 0,
            netns: 0,
            kind: 0,
            pad: 0,
        },
    };
}

/// What went over the wire for one socket, of what is not TCP; bytes from the IP header on, once for each packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounters {
    /// Packets that it sent.
    pub tx_packets: u64,
    /// Packets that reached it, read or not.
    pub rx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Their bytes.
    pub rx_bytes: u64,
}

/// Set in the first word of a dumped record that is complete; a word without it is the cookie of a socket that did not
/// move since the dump before.
pub const RECORD_FULL: u64 = 1 << 63;

/// How many bytes of records an [`Outbox`] takes before its reader must empty it.
pub const OUTBOX_BYTES: usize = 1 << 20;
/// How many sockets a walk looks at in one go, during which the kernel may run nothing else on that CPU.
pub const WALK_STRETCH: u64 = 8_192;

/// Where a walk over the sockets leaves its records, in memory that the reader maps. An iterator's own buffer has 32 KiB,
/// and with each read of it the kernel counts its way through the whole list again.
#[repr(C)]
pub struct Outbox {
    /// Bytes that are used.
    pub used: u64,
    /// Sockets that were looked at since the reader emptied it.
    pub walked: u64,
    /// Records one behind the other, as [`SockRecord`] or a cookie; the last one may begin before [`OUTBOX_BYTES`].
    pub bytes: [u8; OUTBOX_BYTES + size_of::<SockRecord>()],
}

/// One socket, as the dump of the socket storage and the ring of destroyed TCP sockets ship it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SockRecord {
    /// Socket cookie; in a dump with [`RECORD_FULL`].
    pub cookie: u64,
    /// The first process that used the socket; all zero while there is none.
    pub owner: Owner,
    /// Which socket it is.
    pub name: SockName,
    /// See [`SockCounters::tx_bytes`].
    pub tx_bytes: u64,
    /// See [`SockCounters::rx_bytes`].
    pub rx_bytes: u64,
    /// Bytes sent in segments since the socket exists, retransmissions included.
    pub bytes_sent: u64,
    /// Bytes received in order since the socket exists, read or not.
    pub bytes_received: u64,
    /// Segments received since the tool saw the socket, modulo 2^32.
    pub segs_in: u32,
    /// Segments sent since the tool saw the socket, modulo 2^32.
    pub segs_out: u32,
    /// Segments sent again since the socket exists, modulo 2^32.
    pub retransmits: u32,
    /// Smoothed round trip time in microseconds, 0 before the first measurement.
    pub rtt_us: u32,
    /// Congestion window in segments.
    pub cwnd: u32,
    /// Bytes received and not read.
    pub unread_bytes: u32,
    /// Bytes accepted from the application and not sent once.
    pub unsent_bytes: u32,
    /// Bytes sent and not acknowledged.
    pub unacked_bytes: u32,
    /// Length of a segment's TCP header with its usual options, in bytes.
    pub header_bytes: u16,
    /// SYNs sent, modulo 2^16, by the side that asked for a connection, each counted when its attempt has succeeded or
    /// failed: they carry more options than other segments.
    pub syns: u16,
    /// TCP state; what `skc_state` holds for other protocols.
    pub state: u8,
    /// [`SOCK_OLDER`], [`SOCK_ACTIVE`] and [`SOCK_INNER`] of the socket.
    pub flags: u8,
    /// What sits on the TCP socket: 0 for nothing, or one of `UPPER_*`.
    pub upper: u8,
    /// Explicit padding.
    pub pad: u8,
}

/// What the programs could not do, counted at each place of failure since load.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetLosses {
    /// `bpf_sk_storage_get` gave nothing although it should create.
    pub storage_null: u64,
    /// A flow did not fit in the map.
    pub flow_insert_failed: u64,
    /// Whose turn it is did not fit in the map.
    pub turn_insert_failed: u64,
    /// Packets of one more socket could not be counted.
    pub packet_insert_failed: u64,
    /// A final record fitted neither in the ring nor in the map of flows.
    pub ring_full: u64,
    /// First read of a TCP socket whose baseline nobody took.
    pub no_baseline: u64,
    /// What nobody could be charged with because of all but the last; at most, because an earlier dump may have shown a part
    /// of what a final record held.
    pub inet: Uncounted,
    /// The same of UNIX sockets.
    pub unix: Uncounted,
}

/// What was moved and has no place of its own in any map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Messages sent.
    pub tx_messages: u64,
    /// Messages received.
    pub rx_messages: u64,
    /// Segments, and packets on the wire where they are counted, sent.
    pub tx_packets: u64,
    /// The same, received.
    pub rx_packets: u64,
}

/// How many entries `ps_flows` has unless the loader says otherwise.
pub const FLOWS_MAX: usize = 65_536;
/// How many bytes `ps_closed` has unless the loader says otherwise; a record takes 192.
pub const RING_BYTES: usize = 4 << 20;

const _: () = assert!(size_of::<NetOffsets>() == (62 + LOOKS) * 4);
const _: () = assert!(size_of::<Owner>() == 40);
const _: () = assert!(size_of::<Credentials>() == 48);
const _: () = assert!(size_of::<SockName>() == 64);
const _: () = assert!(size_of::<SockCounters>() == 184);
const _: () = assert!(size_of::<SeqCounters>() == 64);
const _: () = assert!(size_of::<FlowKey>() == 24);
const _: () = assert!(size_of::<Turn>() == 48);
const _: () = assert!(size_of::<FlowCounters>() == 136);
const _: () = assert!(size_of::<PacketCounters>() == 32);
const _: () = assert!(size_of::<SockRecord>() == 184);
const _: () = assert!(size_of::<Outbox>() == 16 + OUTBOX_BYTES + size_of::<SockRecord>());
const _: () = assert!(size_of::<NetLosses>() == 6 * 8 + 2 * size_of::<Uncounted>());

#[cfg(feature = "user")]
mod pod {
    use super::{
        Credentials, FlowCounters, FlowKey, NetLosses, NetOffsets, PacketCounters, SeqCounters, SockCounters,
        SockRecord, Turn,
    };

    // SAFETY: repr(C), u32 fields only: no padding and every bit pattern is a value.
    unsafe impl aya::Pod for NetOffsets {}
    // SAFETY: repr(C), integers and byte arrays without padding: every bit pattern is a value.
    unsafe impl aya::Pod for Credentials {}
    // SAFETY: repr(C), integers and byte arrays with explicit padding: every bit pattern is a value.
    unsafe impl aya::Pod for SockCounters {}
    // SAFETY: repr(C), integers with explicit padding: every bit pattern is a value.
    unsafe impl aya::Pod for FlowKey {}
    // SAFETY: repr(C), integers only: every bit pattern is a value.
    unsafe impl aya::Pod for SeqCounters {}
    // SAFETY: repr(C), integers with explicit padding: every bit pattern is a value.
    unsafe impl aya::Pod for Turn {}
    // SAFETY: repr(C), integers and byte arrays with explicit padding: every bit pattern is a value.
    unsafe impl aya::Pod for FlowCounters {}
    // SAFETY: repr(C), integers and byte arrays with explicit padding: every bit pattern is a value.
    unsafe impl aya::Pod for SockRecord {}
    // SAFETY: repr(C), u64 fields only: no padding and every bit pattern is a value.
    unsafe impl aya::Pod for PacketCounters {}
    // SAFETY: repr(C), u64 fields only: no padding and every bit pattern is a value.
    unsafe impl aya::Pod for NetLosses {}
}
