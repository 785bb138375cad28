//! Workloads in which several processes use one socket, and the process that holds the tool.

use crate::wire::{Did, Family, process, read_all, recv, report, send, sleep_ms, wait, write_all};
use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, RawFd},
        unix::net::UnixStream,
    },
};

pub fn run(case: &str, family: Family) -> bool {
    match case {
        "fork-readers" => fork_readers(family),
        "fork-writers" => fork_writers(family),
        "fork-udp" => fork_udp(family),
        "passed" => passed(family),
        "hold" => hold(),
        _ => return false,
    }
    true
}

/// One connection; the accepted side is read by two processes at once.
fn fork_readers(family: Family) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let to = family.local(listener.local_addr().expect("address").port());
    let client =
        process(|| Did::sent(write_all(&mut TcpStream::connect(to).expect("connect"), 400_009, 1009)));
    let mut s = listener.accept().expect("accept").0;
    let one = process(|| Did::received(read_all(&mut s, 701)));
    let two = process(|| Did::received(read_all(&mut s, 503)));
    wait(&[client, one, two]);
    // It accepted the connection and did nothing with it.
    report(Did::default());
}

/// One connection; the active side is written by its parent, which connected, and two children.
fn fork_writers(family: Family) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let to = family.local(listener.local_addr().expect("address").port());
    let server = process(|| Did::received(read_all(&mut listener.accept().expect("accept").0, 701)));
    let s = TcpStream::connect(to).expect("connect");
    let writer = |count: u64| {
        (0..count).for_each(|_| assert_eq!(send(&s, &[1; 101], 0), Some(101)));
        Did::sent(101 * count)
    };
    let one = process(|| writer(503));
    let two = process(|| writer(607));
    let own = writer(709);
    wait(&[one, two]);
    drop(s);
    wait(&[server]);
    report(own);
}

/// One UDP socket that three processes send through.
fn fork_udp(family: Family) {
    let inbox = UdpSocket::bind(family.any_port()).expect("bind");
    let to = family.local(inbox.local_addr().expect("address").port());
    let s = UdpSocket::bind(family.any_port()).expect("bind");
    let writer = |count: u64| {
        let tx = (0..count).map(|_| s.send_to(&[1; 103], to).expect("send") as u64).sum();
        Did { tx, tx_messages: count, ..Did::default() }
    };
    let one = process(|| writer(53));
    let two = process(|| writer(61));
    let own = writer(71);
    wait(&[one, two]);
    report(own);
}

/// A process accepts, reads a part and passes the socket to another by SCM_RIGHTS, which reads the rest.
fn passed(family: Family) {
    let listener = TcpListener::bind(family.any_port()).expect("bind");
    let to = family.local(listener.local_addr().expect("address").port());
    let (near, far) = UnixStream::pair().expect("socketpair");
    let second = process(|| {
        // SAFETY: the descriptor was received for this process alone.
        let mut s = unsafe { TcpStream::from_raw_fd(receive_descriptor(&far)) };
        Did::received(read_all(&mut s, 503))
    });
    let first = process(|| {
        let s = listener.accept().expect("accept").0;
        let rx = recv(&s, &mut [0; 1013], libc::MSG_WAITALL).expect("recv");
        pass_descriptor(&near, s.as_raw_fd());
        Did::received(rx)
    });
    let client = process(|| {
        let mut s = TcpStream::connect(to).expect("connect");
        let tx = write_all(&mut s, 1013, 1013);
        sleep_ms(50);
        Did::sent(tx + write_all(&mut s, 30_011, 1009))
    });
    wait(&[second, first, client]);
}

#[repr(C, align(8))]
struct Control([u8; 64]);

fn pass_descriptor(over: &UnixStream, fd: RawFd) {
    let mut control = Control([0; 64]);
    let mut byte = [1u8];
    // SAFETY: the control buffer is aligned and larger than one descriptor's message; all pointers outlive the call.
    unsafe {
        let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(4) as _;
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(message).cast::<RawFd>().write_unaligned(fd);
        assert_eq!(libc::sendmsg(over.as_raw_fd(), &raw const header, 0), 1);
    }
}

fn receive_descriptor(over: &UnixStream) -> RawFd {
    let mut control = Control([0; 64]);
    let mut byte = [0u8];
    // SAFETY: as above; the message is checked to be there.
    unsafe {
        let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control.0.len() as _;
        assert_eq!(libc::recvmsg(over.as_raw_fd(), &raw mut header, 0), 1);
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        assert!(!message.is_null(), "no descriptor in the message");
        libc::CMSG_DATA(message).cast::<RawFd>().read_unaligned()
    }
}

/// Opens the net family by the rung that is named next, or by the best, and holds it until it is killed.
fn hold() {
    use pidstat_tests::paths;
    use pidstat_user::{
        kernel::{
            Kernel,
            net::{Options, PidNamespace},
        },
        sample::NetChoice,
        source::ebpf::net::Net,
    };
    let kernel = Kernel::open().expect("kernel");
    let named = std::env::args().nth(2).unwrap_or_default();
    let choice = paths::choice(&named).unwrap_or(NetChoice::Auto);
    let everything = Options { unix: true, packets: true, ..Options::default() };
    let net = Net::open(&kernel, PidNamespace::default(), choice, everything);
    let net = net.expect("net");
    crate::wire::pause("ready");
    drop(net);
}
