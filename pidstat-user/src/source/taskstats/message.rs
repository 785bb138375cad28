//! Generic netlink as bytes: requests to the kernel, and what comes back.

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
const ERROR: u16 = 2;
/// Lengths of `nlmsghdr` and of `genlmsghdr`.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;

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

/// What the kernel sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A number of errno, 0 if all went well, and the sequence of the request.
    Outcome(i32, u32),
    /// A family's message: its number, the sequence of the request, and the attributes.
    Attributes(u16, u32, &'a [u8]),
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The messages of a packet; it ends at the first whose length makes no sense.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok().filter(|length| *length >= HEADER)?;
        let body = bytes.get(HEADER..length)?;
        let (kind, sequence) = (u16_at(bytes, 4)?, u32_at(bytes, 8)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(match kind {
            ERROR => Message::Outcome(-(u32_at(body, 0)?.cast_signed()), sequence),
            family => Message::Attributes(family, sequence, body.get(FAMILY_HEADER..)?),
        })
    })
}

/// The attributes of a message, or of an attribute that has some: kind and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Bits of the kind that say how the value is made.
    const FLAGS: u16 = 0xc000;
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)? & !FLAGS);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let [Message::Attributes(16, 7, first), Message::Attributes(31, 8, other)] = read[..] else {
            panic!("{read:?}");
        };
        assert_eq!(attributes(first).collect::<Vec<_>>(), [(2, &b"TASKSTATS\0"[..])]);
        assert_eq!(attributes(other).collect::<Vec<_>>(), [(1, &77u32.to_ne_bytes()[..])]);
    }

    #[test]
    fn lengths_that_make_no_sense_end_it() {
        let mut packet = Vec::new();
        request(&mut packet, 31, GET_STATS, 8, (1, &[1, 2, 3, 4]));
        for length in 0..packet.len() {
            assert_eq!(messages(&packet[..length]).count(), 0, "{length}");
        }
        for (length, count) in [(0u32, 0), (15, 0), (19, 0), (u32::MAX, 0), (20, 1)] {
            packet[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(messages(&packet).take(9).count(), count, "{length}");
        }
        assert_eq!(attributes(&[3, 0, 1, 0, 9, 9, 9, 9]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 9, 9, 9, 9]).count(), 0);
        assert_eq!(attributes(&[0; 8]).take(9).count(), 0);
    }

    #[test]
    fn errors_are_numbers_of_errno() {
        let mut packet = vec![36, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
        packet.extend((-3i32).to_ne_bytes());
        packet.resize(36, 0);
        assert_eq!(messages(&packet).collect::<Vec<_>>(), [Message::Outcome(3, 5)]);
    }
}
