//! The network devices of our namespace: `/proc/net/dev`, and the addresses they have.

use super::{Reader, number::Numbers};
use crate::sample::Interface;
use std::{
    ffi::CStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Reads all devices with their addresses; none where the file cannot be read.
pub fn read(reader: &mut Reader, out: &mut Vec<Interface>) {
    out.clear();
    let Ok(bytes) = reader.system_file("self/net/dev") else { return };
    out.extend(bytes.split(|b| *b == b'\n').filter_map(parse));
    for (name, address) in addresses() {
        // An alias (`eth0:1`) is another name of its device.
        let device = name.split(':').next().unwrap_or_default();
        if let Some(interface) = out.iter_mut().find(|interface| interface.name == device) {
            interface.addresses.push(address);
        }
    }
}

/// Reads a line `NAME: RX_BYTES RX_PACKETS 6 more TX_BYTES TX_PACKETS ...`; the two lines of titles are none.
fn parse(line: &[u8]) -> Option<Interface> {
    let colon = line.iter().rposition(|b| *b == b':')?;
    let name = String::from_utf8_lossy(&line[..colon]).trim().to_owned();
    let mut numbers = Numbers::new(&line[colon + 1..]);
    let mut fields = [0; 10];
    for field in &mut fields {
        *field = numbers.next()?;
    }
    Some(Interface {
        name,
        rx_bytes: fields[0],
        rx_packets: fields[1],
        tx_bytes: fields[8],
        tx_packets: fields[9],
        addresses: Vec::new(),
    })
}

/// Every address of every device, under the device's name.
fn addresses() -> Vec<(String, IpAddr)> {
    let mut found = Vec::new();
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `first` is valid for the call to fill; it is freed below if and only if the call succeeded.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return found;
    }
    let mut next = first;
    // SAFETY: a list that getifaddrs made: every node is valid until it is freed, and NULL ends it.
    while let Some(node) = unsafe { next.as_ref() } {
        next = node.ifa_next;
        // SAFETY: an address is NULL or a sockaddr as long as its family says.
        let address = unsafe { node.ifa_addr.as_ref() }.and_then(|address| unsafe { ip(address) });
        if let Some(address) = address {
            // SAFETY: the name is a C string that lives as long as the list.
            let name = unsafe { CStr::from_ptr(node.ifa_name) };
            found.push((name.to_string_lossy().into_owned(), address));
        }
    }
    // SAFETY: the list is ours and is not used again.
    unsafe { libc::freeifaddrs(first) };
    found
}

/// # Safety
/// `address` must be followed by what its family has.
unsafe fn ip(address: &libc::sockaddr) -> Option<IpAddr> {
    let at = &raw const *address;
    match i32::from(address.sa_family) {
        libc::AF_INET => {
            // SAFETY: by the caller's promise a sockaddr_in.
            let address = unsafe { at.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 => {
            // SAFETY: by the caller's promise a sockaddr_in6.
            let address = unsafe { at.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::procfs::PROC_ROOT;

    #[test]
    fn lines_of_devices_are_read_and_titles_are_not() {
        let line = b"  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let eth0 = parse(line).unwrap();
        assert_eq!(
            (eth0.name.as_str(), eth0.rx_bytes, eth0.rx_packets, eth0.tx_bytes, eth0.tx_packets),
            ("eth0", 1, 2, 9, 10)
        );
        // Old kernels put no blank behind the colon.
        assert_eq!(parse(b"br-a:1 2 3 4 5 6 7 8 9 10 11").unwrap().tx_packets, 10);
        assert_eq!(parse(b"Inter-|   Receive                    |  Transmit"), None);
        assert_eq!(parse(b" face |bytes    packets errs drop fifo frame"), None);
    }

    #[test]
    fn loopback_has_its_address() {
        let mut reader = Reader::open(PROC_ROOT.as_ref()).unwrap();
        let mut interfaces = Vec::new();
        read(&mut reader, &mut interfaces);
        let lo = interfaces.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.addresses.contains(&IpAddr::from([127, 0, 0, 1])), "{lo:?}");
    }
}
