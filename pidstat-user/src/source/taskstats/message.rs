//! Generic netlink as bytes: requests to the kernel.

use crate::source::netlink::HEADER;

/// `GENL_ID_CTRL`: who knows the numbers of the families.
pub const CONTROL: u16 = 16;
/// `CTRL_CMD_GETFAMILY`.
pub const GET_FAMILY: u8 = 3;
/// `CTRL_ATTR_FAMILY_ID`.
pub const FAMILY_ID: u16 = 1;
/// `CTRL_ATTR_FAMILY_NAME`.
pub const FAMILY_NAME: u16 = 2;
/// `TASKSTATS_CMD_GET`.
pub const GET_STATS: u8 = 1;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
/// Length of `genlmsghdr`, which stands before the attributes of a message.
pub const FAMILY_HEADER: usize = 4;

/// Adds a request with one attribute to a packet; the answer carries the same `sequence`.
pub fn request(packet: &mut Vec<u8>, family: u16, command: u8, sequence: u32, (kind, value): (u16, &[u8])) {
    let attribute = 4 + value.len();
    let length = HEADER + FAMILY_HEADER + attribute.next_multiple_of(4);
    let start = packet.len();
    packet.extend((length as u32).to_ne_bytes());
    packet.extend(family.to_ne_bytes());
    packet.extend(REQUEST.to_ne_bytes());
    packet.extend(sequence.to_ne_bytes());
    packet.extend([0; 4]);
    packet.extend([command, 1, 0, 0]);
    packet.extend((attribute as u16).to_ne_bytes());
    packet.extend(kind.to_ne_bytes());
    packet.extend(value);
    packet.resize(start + length, 0);
}

/// Has the last request, which begins at `start`, answered even if there is nothing to say.
pub fn acknowledge(packet: &mut [u8], start: usize) {
    if let Some(flags) = packet.get_mut(start + 6..start + 8) {
        flags.copy_from_slice(&(REQUEST | ACKNOWLEDGE).to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::{Message, attributes, messages, u16_at};

    #[test]
    fn what_is_written_reads_back() {
        let mut packet = Vec::new();
        request(&mut packet, CONTROL, GET_FAMILY, 7, (FAMILY_NAME, b"TASKSTATS\0"));
        let second = packet.len();
        request(&mut packet, 31, GET_STATS, 8, (1, &77u32.to_ne_bytes()));
        acknowledge(&mut packet, second);
        assert_eq!((packet.len(), second), (36 + 28, 36));
        assert_eq!(u16_at(&packet, second + 6), Some(5));
        let read: Vec<Message<'_>> = messages(&packet).collect();
        let [Message::Data(16, 7, first), Message::Data(31, 8, other)] = read[..] else {
            panic!("{read:?}");
        };
        assert_eq!(attributes(&first[FAMILY_HEADER..]).collect::<Vec<_>>(), [(2, &b"TASKSTATS\0"[..])]);
        assert_eq!(attributes(&other[FAMILY_HEADER..]).collect::<Vec<_>>(), [(1, &77u32.to_ne_bytes()[..])]);
    }

    #[test]
    fn lengths_that_make_no_sense_end_it() {
        let mut packet = Vec::new();
        request(&mut packet, 31, GET_STATS, 8, (1, &[1, 2, 3, 4]));
        for length in 0..packet.len() {
            assert_eq!(messages(&packet[..length]).count(), 0, "{length}");
        }
        for (length, count) in [(0u32, 0), (15, 0), (u32::MAX, 0), (16, 1), (20, 1)] {
            packet[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(messages(&packet).take(9).count(), count, "{length}");
        }
        assert_eq!(attributes(&[3, 0, 1, 0, 9, 9, 9, 9]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 9, 9, 9, 9]).count(), 0);
        assert_eq!(attributes(&[0; 8]).take(9).count(), 0);
    }
}
