//! Netlink as bytes: what the kernel sends, whatever the family.

const ERROR: u16 = 2;
/// Length of `nlmsghdr`.
pub const HEADER: usize = 16;

/// What the kernel sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A number of errno, 0 if all went well, and the sequence of the request.
    Outcome(i32, u32),
    /// A message of a family: its kind, the sequence of the request, and what stands behind the header.
    Data(u16, u32, &'a [u8]),
}

/// The 16 bits there, in the machine's order.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// The 32 bits there, in the machine's order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
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
            kind => Message::Data(kind, sequence, body),
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
    fn errors_are_numbers_of_errno() {
        let mut packet = vec![36, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
        packet.extend((-3i32).to_ne_bytes());
        packet.resize(36, 0);
        assert_eq!(messages(&packet).collect::<Vec<_>>(), [Message::Outcome(3, 5)]);
    }
}
