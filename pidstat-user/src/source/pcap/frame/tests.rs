//! Frames that a library built, frames that were cut, and frames that nobody would build.

use super::*;
use etherparse::PacketBuilder;
use proptest::prelude::*;

const LINKS: [Link; 5] = [Link::Ethernet, Link::Cooked, Link::Cooked2, Link::Ip, Link::Null];

fn built(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

/// An IPv4 packet of TCP with 100 bytes in it.
fn tcp4() -> Vec<u8> {
    built(|to| {
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(5000, 80, 77, 1000).ack(5);
        builder.write(to, &[9; 100]).unwrap();
    })
}

fn udp6() -> Vec<u8> {
    built(|to| {
        let builder = PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(53, 4000);
        builder.write(to, &[9; 30]).unwrap();
    })
}

/// Puts what a link has before a packet.
fn on(link: Link, kind: u16, packet: &[u8]) -> Vec<u8> {
    let kind = kind.to_be_bytes();
    let head = match link {
        Link::Ethernet => [&[2; 12][..], &kind].concat(),
        Link::Cooked => [&[0, 4, 0, 1, 0, 6][..], &[0; 8], &kind].concat(),
        Link::Cooked2 => [&kind[..], &[0, 0, 0, 0, 0, 7, 0, 1, 4, 6], &[0; 8]].concat(),
        Link::Ip => Vec::new(),
        Link::Null => vec![2, 0, 0, 0],
    };
    [&head[..], packet].concat()
}

fn read(link: Link, frame: &[u8]) -> Packet {
    parse(link, frame, frame.len() as u32).unwrap()
}

#[test]
fn every_link_gives_the_same_packet() {
    for (kind, packet) in [(IPV4, tcp4()), (IPV6, udp6())] {
        let plain = read(Link::Ip, &packet);
        for link in LINKS {
            let got = read(link, &on(link, kind, &packet));
            let ethernet = if matches!(link, Link::Ip | Link::Null) { 0 } else { 14 };
            assert_eq!(got.wire_bytes, packet.len() as u64 + ethernet, "{link:?}");
            assert_eq!(
                (got.source, got.ports, got.payload_bytes),
                (plain.source, plain.ports, plain.payload_bytes)
            );
            let cooked = matches!(link, Link::Cooked | Link::Cooked2);
            assert_eq!(got.way, if cooked { Way::Out } else { Way::Unsaid });
            assert_eq!(got.device, if link == Link::Cooked2 { 7 } else { 0 });
        }
    }
    let tcp = read(Link::Ip, &tcp4());
    assert_eq!((tcp.protocol, tcp.ports, tcp.payload_bytes), (TCP, Ports::Are(5000, 80), 100));
    assert_eq!(tcp.segment, Some(Segment { sequence: 77, opens: false }));
    assert_eq!((tcp.source.to_string(), tcp.destination.to_string()), ("10.0.0.1".into(), "10.0.0.2".into()));
    let udp = read(Link::Ip, &udp6());
    assert_eq!(
        (udp.protocol, udp.ports, udp.payload_bytes, udp.segment),
        (UDP, Ports::Are(53, 4000), 30, None)
    );
}

#[test]
fn tags_and_what_fills_a_short_frame_are_no_payload() {
    let tagged = built(|to| {
        let builder =
            PacketBuilder::ethernet2([2; 6], [4; 6]).single_vlan(etherparse::VlanId::try_new(5).unwrap());
        builder.ipv4([1; 4], [2; 4], 9).udp(1, 2).write(to, &[7; 3]).unwrap();
    });
    let padded = [&tagged[..], &[0; 20]].concat();
    let got = read(Link::Ethernet, &padded);
    assert_eq!((got.payload_bytes, got.wire_bytes, got.ports), (3, padded.len() as u64, Ports::Are(1, 2)));
}

#[test]
fn a_cut_frame_has_all_its_lengths() {
    let whole = on(Link::Ethernet, IPV4, &tcp4());
    let got = parse(Link::Ethernet, &whole[..54], 65_000).unwrap();
    assert_eq!((got.payload_bytes, got.wire_bytes, got.ports), (100, 65_000, Ports::Are(5000, 80)));
    // A packet above 64 KiB has a length of 0.
    let mut big = whole;
    big[16..18].fill(0);
    let got = parse(Link::Ethernet, &big[..80], 100_054).unwrap();
    assert_eq!((got.payload_bytes, got.ports), (100_000, Ports::Are(5000, 80)));
}

#[test]
fn fragments_say_whose_they_are() {
    let packet = built(|to| {
        PacketBuilder::ipv4([1; 4], [2; 4], 9).udp(10, 20).write(to, &[7; 48]).unwrap();
    });
    let fragment = |offset: u16, more: bool| {
        let mut bytes = packet.clone();
        bytes[4..6].copy_from_slice(&99u16.to_be_bytes());
        bytes[6..8].copy_from_slice(&((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
        read(Link::Ip, &bytes)
    };
    let (first, second) = (fragment(0, true), fragment(56, false));
    assert_eq!((first.ports, first.fragment, first.payload_bytes), (Ports::Are(10, 20), Some(99), 48));
    assert_eq!((second.ports, second.fragment, second.payload_bytes), (Ports::OfFragment, Some(99), 56));
    let v6 = |offset: u16, more: u16| {
        let mut bytes = udp6();
        bytes[6] = 44;
        let length = u16::from_be_bytes([bytes[4], bytes[5]]) + 8;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        let field = (offset | more).to_be_bytes();
        bytes.splice(40..40, [UDP, 0, field[0], field[1], 0, 0, 1, 2]);
        read(Link::Ip, &bytes)
    };
    assert_eq!(
        (v6(0, 1).ports, v6(0, 1).fragment, v6(0, 1).payload_bytes),
        (Ports::Are(53, 4000), Some(258), 30)
    );
    assert_eq!((v6(64, 0).ports, v6(64, 0).payload_bytes), (Ports::OfFragment, 38));
    // A header that says of itself that the packet is whole.
    assert_eq!((v6(0, 0).ports, v6(0, 0).fragment, v6(0, 0).payload_bytes), (Ports::Are(53, 4000), None, 30));
}

#[test]
fn what_is_no_ip_is_told_from_what_claims_to_be() {
    let arp = on(Link::Ethernet, 0x0806, &[0; 28]);
    assert_eq!(parse(Link::Ethernet, &arp, 42), Err(Unread::NotIp));
    for bad in [&[][..], &[0x45; 5], &[0x41; 20], &[0x65; 20]] {
        assert_eq!(
            parse(Link::Ethernet, &on(Link::Ethernet, IPV4, bad), 60),
            Err(Unread::Damaged),
            "{bad:?}"
        );
    }
    for link in LINKS {
        assert_eq!(parse(link, &[], 0), Err(Unread::NotIp));
    }
}

#[test]
fn a_group_is_known_by_its_address_on_the_link() {
    let mut frame = on(Link::Ethernet, IPV6, &udp6());
    frame[0] = 0x33;
    assert_eq!(read(Link::Ethernet, &frame).way, Way::Group);
    for (number, is) in
        [(0, Way::In), (1, Way::Group), (2, Way::Group), (3, Way::Elsewhere), (4, Way::Out), (9, Way::Unsaid)]
    {
        let mut frame = on(Link::Cooked2, IPV6, &udp6());
        frame[10] = number;
        assert_eq!(read(Link::Cooked2, &frame).way, is);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_are_too_hostile(link in 0..5usize, bytes in proptest::collection::vec(any::<u8>(), 0..120), length in any::<u32>()) {
        let _ = parse(LINKS[link], &bytes, length);
    }

    #[test]
    fn a_packet_with_bytes_turned_is_never_more_than_the_wire(
        v6 in any::<bool>(), link in 0..5usize, turned in proptest::collection::vec((0..200usize, any::<u8>()), 0..6), cut in 0..200usize,
    ) {
        let (kind, packet) = if v6 { (IPV6, udp6()) } else { (IPV4, tcp4()) };
        let mut frame = on(LINKS[link], kind, &packet);
        for (at, byte) in turned {
            if let Some(there) = frame.get_mut(at) {
                *there = byte;
            }
        }
        let length = frame.len() as u32;
        if let Ok(packet) = parse(LINKS[link], &frame[..cut.min(frame.len())], length) {
            prop_assert!(packet.payload_bytes <= 1 << 17 && packet.wire_bytes <= u64::from(length) + 14);
        }
    }
}
