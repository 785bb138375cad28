//! One captured frame: who sent it to whom, and how much is in it. Bytes in, plain data out; nothing here trusts a length.

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`: devices whose frames have an Ethernet header.
const WITH_ETHERNET: [u16; 2] = [1, 772];

/// What stands before the network layer, as pcap-linktype(7) numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet.
    Ethernet,
    /// What libpcap makes of any device (SLL), and its second version, which names the device.
    Cooked,
    /// See [`Link::Cooked`].
    Cooked2,
    /// Nothing: tunnels.
    Ip,
    /// A word with the address family: BSD's loopback.
    Null,
}

impl Link {
    /// The link type of a number.
    pub fn of(number: i32) -> Option<Link> {
        Some(match number {
            0 | 108 => Link::Null,
            1 => Link::Ethernet,
            12 | 14 | 101 | 228 | 229 => Link::Ip,
            113 => Link::Cooked,
            276 => Link::Cooked2,
            _ => return None,
        })
    }
}

/// Which way a frame went, as far as the link layer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From here.
    Out,
    /// To here.
    In,
    /// To everybody, or to a group.
    Group,
    /// To another machine.
    Elsewhere,
    /// The link layer does not say.
    Unsaid,
}

/// The ends of a packet within the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Source and destination.
    Are(u16, u16),
    /// Those of the first fragment, which has the same number.
    OfFragment,
    /// There are none, or they cannot be read.
    None,
}

/// What the sequence numbers need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Number of the first byte.
    pub sequence: u32,
    /// Whether it opens a connection, from either side.
    pub opens: bool,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Number of the device; 0 if the frame does not say.
    pub device: u32,
    /// Which way it went.
    pub way: Way,
    /// Its length with all headers, Ethernet's included where the device has one.
    pub wire_bytes: u64,
    /// IP protocol number.
    pub protocol: u8,
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// The ports.
    pub ports: Ports,
    /// The number that all fragments of a datagram have, if it is one.
    pub fragment: Option<u32>,
    /// Bytes behind the header of the transport layer.
    pub payload_bytes: u64,
    /// What TCP says of it.
    pub segment: Option<Segment>,
}

/// Why a frame is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It carries something else than IP.
    NotIp,
    /// It carries IP that makes no sense.
    Damaged,
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Reads a frame: its first bytes, and how long it was on the wire.
///
/// # Errors
/// Why it is no packet.
pub fn parse(link: Link, bytes: &[u8], length: u32) -> Result<Packet, Unread> {
    let length = length as usize;
    let word = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|two| u16::from_be_bytes(*two));
    let long =
        |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|four| u32::from_be_bytes(*four));
    let (device, way, kind, header, ethernet) = match link {
        Link::Ethernet => {
            let group = bytes.first().is_some_and(|first| first & 1 != 0);
            let way = if group { Way::Group } else { Way::Unsaid };
            (0, way, word(12), ETHERNET, true)
        }
        Link::Cooked => (0, way(word(0)), word(14), 16, has_ethernet(word(2))),
        Link::Cooked2 => {
            let way = way(bytes.get(10).map(|way| (*way).into()));
            (long(4).unwrap_or(0), way, word(0), 20, has_ethernet(word(8)))
        }
        Link::Ip => (0, Way::Unsaid, version(bytes.first()), 0, false),
        Link::Null => (0, Way::Unsaid, version(bytes.get(4)), 4, false),
    };
    let kind = kind.ok_or(Unread::NotIp)?;
    let inner = bytes.get(header..).ok_or(Unread::NotIp)?;
    let on_wire = length.saturating_sub(header);
    let packet = LaxSlicedPacket::from_ether_type(EtherType(kind), inner);
    let innermost = packet.ether_payload();
    let Some(net) = packet.net.as_ref() else {
        let claims = innermost.is_some_and(|payload| matches!(payload.ether_type.0, IPV4 | IPV6));
        return Err(if claims { Unread::Damaged } else { Unread::NotIp });
    };
    let ip = Ip::of(net)?;
    // A packet larger than 64 KiB has no length in its header; then it is as long as the frame says.
    let tags = innermost.map_or(0, |payload| inner.len().saturating_sub(payload.payload.len()));
    let length = if ip.length == 0 { on_wire.saturating_sub(tags) } else { ip.length };
    let within = length.saturating_sub(ip.headers);
    let (ports, header, segment) = match (&packet.transport, ip.fragment) {
        (Some(TransportSlice::Tcp(tcp)), _) => {
            let segment = Segment { sequence: tcp.sequence_number(), opens: tcp.syn() };
            (Ports::Are(tcp.source_port(), tcp.destination_port()), tcp.header_slice().len(), Some(segment))
        }
        (Some(TransportSlice::Udp(udp)), _) => {
            (Ports::Are(udp.source_port(), udp.destination_port()), 8, None)
        }
        (_, Some((_, 0))) if matches!(ip.protocol, TCP | UDP) => {
            let header = if ip.protocol == UDP {
                8
            } else {
                ip.payload.get(12).map_or(20, |at| usize::from(at >> 4) * 4)
            };
            (ports(ip.payload), header, None)
        }
        (_, Some((_, 1..))) => (Ports::OfFragment, 0, None),
        _ if matches!(ip.protocol, TCP | UDP) => (ports(ip.payload), 0, None),
        _ => (Ports::None, 0, None),
    };
    Ok(Packet {
        device,
        way,
        wire_bytes: (on_wire + if ethernet { ETHERNET } else { 0 }) as u64,
        protocol: ip.protocol,
        source: ip.source,
        destination: ip.destination,
        ports,
        fragment: ip.fragment.map(|(number, _)| number),
        payload_bytes: within.saturating_sub(header) as u64,
        segment,
    })
}

/// `sll_pkttype` of packet(7).
fn way(number: Option<u16>) -> Way {
    match number {
        Some(0) => Way::In,
        Some(1 | 2) => Way::Group,
        Some(3) => Way::Elsewhere,
        Some(4) => Way::Out,
        _ => Way::Unsaid,
    }
}

fn has_ethernet(kind: Option<u16>) -> bool {
    kind.is_some_and(|kind| WITH_ETHERNET.contains(&kind))
}

/// The EtherType of a packet that begins with this byte.
fn version(first: Option<&u8>) -> Option<u16> {
    match first? >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}

/// The first four bytes of TCP and of UDP.
fn ports(payload: &[u8]) -> Ports {
    match payload.first_chunk() {
        Some([a, b, c, d]) => Ports::Are(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        None => Ports::None,
    }
}

/// What is wanted of both versions.
struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// Of the whole packet as it says itself; 0 if it does not.
    length: usize,
    /// Of the header with all its extensions.
    headers: usize,
    /// Number and offset.
    fragment: Option<(u32, u16)>,
    payload: &'a [u8],
}

impl Ip<'_> {
    fn of<'a>(net: &'a LaxNetSlice<'a>) -> Result<Ip<'a>, Unread> {
        match net {
            LaxNetSlice::Ipv4(packet) => {
                let header = packet.header();
                let auth = packet.extensions().auth.map_or(0, |auth| auth.slice().len());
                let fragment = header.is_fragmenting_payload();
                Ok(Ip {
                    source: Ipv4Addr::from(header.source()).into(),
                    destination: Ipv4Addr::from(header.destination()).into(),
                    protocol: packet.payload().ip_number.0,
                    length: header.total_len().into(),
                    headers: header.slice().len() + auth,
                    fragment: fragment
                        .then(|| (header.identification().into(), header.fragments_offset().value())),
                    payload: packet.payload().payload,
                })
            }
            LaxNetSlice::Ipv6(packet) => {
                let header = packet.header();
                let extensions = packet.extensions();
                let payload = usize::from(header.payload_length());
                let fragment = extensions.clone().into_iter().find_map(|extension| match extension {
                    etherparse::Ipv6ExtensionSlice::Fragment(fragment)
                        if fragment.is_fragmenting_payload() =>
                    {
                        Some((fragment.identification(), fragment.fragment_offset().value()))
                    }
                    _ => None,
                });
                Ok(Ip {
                    source: Ipv6Addr::from(header.source()).into(),
                    destination: Ipv6Addr::from(header.destination()).into(),
                    protocol: packet.payload().ip_number.0,
                    length: if payload == 0 { 0 } else { payload + 40 },
                    headers: 40 + extensions.slice().len(),
                    fragment,
                    payload: packet.payload().payload,
                })
            }
            LaxNetSlice::Arp(_) => Err(Unread::NotIp),
        }
    }
}

#[cfg(test)]
mod tests;
