//! One network namespace: its captures, its addresses, and the lines on which it is asked about sockets.

use super::{
    diag::Diag,
    frame::{self, Packet, Ports, Unread, Way},
    ledger::FlowKey,
    library::{ANY, Capture, Manner, Pcap},
};
use crate::{kernel::Reason, sample::Capturing};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd as _,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Bytes of the kernel's buffer for our own namespace and for each of the others.
const OWN_BUFFER_BYTES: i32 = 8 << 20;
const OTHER_BUFFER_BYTES: i32 = 1 << 20;
/// Frames that are taken at once from a capture; more wait for the next turn.
const AT_ONCE: usize = 1 << 16;
/// How old what is known of addresses may be.
const PLACES_AGE: Duration = Duration::from_millis(100);
/// Datagrams in fragments whose ports are remembered.
const FRAGMENTS_MAX: usize = 1 << 12;
/// Who sent a fragment to whom, its protocol and number.
type FragmentKey = (IpAddr, IpAddr, u8, u32);

/// One namespace.
#[derive(Debug)]
pub struct Space {
    /// Its inode number.
    pub inode: u32,
    /// Questions about it.
    pub diag: Diag,
    /// What is captured in it.
    pub captures: Vec<Capture>,
    addresses: HashSet<IpAddr>,
    /// Devices that are part of others, which have the same packets.
    parts: HashSet<u32>,
    looked: Instant,
    fragments: HashMap<FragmentKey, (u16, u16)>,
    promiscuous: bool,
    loopback: bool,
    /// Frames that could not be read, so far.
    pub unread: u64,
}

/// An end of a connection that is here, and whether it sent the packet.
pub type End = (FlowKey, bool);

impl Space {
    /// Opens what is wanted in our own namespace.
    ///
    /// # Errors
    /// No capture can be had, or one of those that were named.
    pub fn own(pcap: &Arc<Pcap>, inode: u32, capturing: &Capturing) -> Result<Space, Reason> {
        let manner = Manner {
            promiscuous: capturing.promiscuous,
            filter: capturing.filter.as_deref(),
            buffer_bytes: OWN_BUFFER_BYTES,
        };
        let all = [ANY.to_owned()];
        let devices = if capturing.devices.is_empty() { &all[..] } else { &capturing.devices };
        let captures = devices.iter().map(|device| Capture::open(pcap, device, &manner));
        let captures = captures.collect::<Result<Vec<Capture>, Reason>>()?;
        Space::with(inode, captures, capturing)
    }

    /// Opens all devices of the namespace of a process.
    ///
    /// # Errors
    /// It cannot be entered, or no capture can be had there.
    pub fn other(pcap: &Arc<Pcap>, inode: u32, of: &Path, capturing: &Capturing) -> Result<Space, Reason> {
        let open = || {
            let space = File::open(of).map_err(|error| Reason::Other(error.to_string()))?;
            // SAFETY: the descriptor is open; only this thread, which ends soon, changes its namespace.
            if unsafe { libc::setns(space.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                return Err(Reason::Other(format!("setns: {}", std::io::Error::last_os_error())));
            }
            let manner = Manner {
                promiscuous: false,
                filter: capturing.filter.as_deref(),
                buffer_bytes: OTHER_BUFFER_BYTES,
            };
            Space::with(inode, vec![Capture::open(pcap, ANY, &manner)?], capturing)
        };
        // Sockets stay in the namespace they were made in, whoever uses them.
        let opened = thread::scope(|scope| scope.spawn(open).join());
        opened.unwrap_or_else(|_| Err(Reason::Other("the thread that opens captures failed".into())))
    }

    fn with(inode: u32, captures: Vec<Capture>, capturing: &Capturing) -> Result<Space, Reason> {
        let failed = |error: std::io::Error| Reason::Other(format!("sock_diag: {error}"));
        let mut diag = Diag::open().map_err(failed)?;
        let (addresses, parts) = diag.places().map_err(failed)?;
        Ok(Space {
            inode,
            diag,
            captures,
            addresses,
            parts,
            looked: Instant::now(),
            fragments: HashMap::new(),
            promiscuous: capturing.promiscuous,
            loopback: !capturing.no_loopback || !capturing.devices.is_empty(),
            unread: 0,
        })
    }

    /// Hands over every packet that has come, with the ends of it that are here.
    ///
    /// # Errors
    /// A capture failed; it is closed and the others go on.
    pub fn drain(&mut self, mut take: impl FnMut(&mut Diag, End, &Packet, i64)) -> Result<(), String> {
        if self.looked.elapsed() >= PLACES_AGE {
            self.looked = Instant::now();
            if let Ok((addresses, parts)) = self.diag.places() {
                (self.addresses, self.parts) = (addresses, parts);
            }
        }
        let mut failed = Ok(());
        let mut captures = std::mem::take(&mut self.captures);
        captures.retain_mut(|capture| {
            let drained =
                capture.drain(AT_ONCE, |link, frame| match frame::parse(link, frame.bytes, frame.length) {
                    Ok(packet) => {
                        let ends = self.ends(&packet);
                        for end in ends.into_iter().flatten() {
                            take(&mut self.diag, end, &packet, frame.epoch_ns);
                        }
                    }
                    Err(Unread::Damaged) => self.unread += 1,
                    Err(Unread::NotIp) => {}
                });
            match drained {
                Ok(()) => true,
                Err(why) => {
                    failed = Err(why);
                    false
                }
            }
        });
        self.captures = captures;
        failed
    }

    /// The ends of a packet that are here: the sender's and the receiver's.
    fn ends(&mut self, packet: &Packet) -> [Option<End>; 2] {
        let nobody = [None, None];
        if packet.way == Way::Elsewhere && !self.promiscuous || self.parts.contains(&packet.device) {
            return nobody;
        }
        let own = |address: IpAddr| address.is_loopback() || self.addresses.contains(&address);
        let from_here = own(packet.source) || packet.source.is_unspecified();
        let to_here = own(packet.destination);
        if from_here && to_here && !self.loopback {
            return nobody;
        }
        let to_group = packet.way == Way::Group || packet.destination.is_multicast();
        // What goes out is seen where it comes in, too, if it stays here.
        let sent = from_here && !(packet.way == Way::Out && to_here);
        let others = !from_here && !to_here && self.promiscuous;
        let received = packet.way != Way::Out && (to_here || to_group && !from_here || others);
        let (source, destination) = self.ports(packet);
        let source = end(packet.source, source, packet.device);
        let destination = end(packet.destination, destination, packet.device);
        let key = |local, remote| FlowKey { space: self.inode, protocol: packet.protocol, local, remote };
        [sent.then(|| (key(source, destination), true)), received.then(|| (key(destination, source), false))]
    }

    /// The ports, of a later fragment those of the first one.
    fn ports(&mut self, packet: &Packet) -> (u16, u16) {
        let key = packet.fragment.map(|number| (packet.source, packet.destination, packet.protocol, number));
        match (packet.ports, key) {
            (Ports::Are(source, destination), key) => {
                if let Some(key) = key {
                    if self.fragments.len() >= FRAGMENTS_MAX {
                        self.fragments.clear();
                    }
                    self.fragments.insert(key, (source, destination));
                }
                (source, destination)
            }
            (Ports::OfFragment, Some(key)) => self.fragments.get(&key).copied().unwrap_or_default(),
            _ => (0, 0),
        }
    }

    /// Frames that did not fit in the kernel's buffers, so far.
    pub fn dropped(&mut self) -> u64 {
        let captures = self.captures.iter_mut();
        captures
            .map(|capture| {
                capture.count();
                capture.dropped
            })
            .sum()
    }
}

/// An end; addresses that mean something on one link only carry the device that is on it.
fn end(address: IpAddr, port: u16, device: u32) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, device).into(),
        _ => SocketAddr::new(address, port),
    }
}
