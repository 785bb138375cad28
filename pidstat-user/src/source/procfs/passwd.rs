//! `etc/passwd` of a recorded machine: names of users.

use super::number::entry;

/// Name of the first entry with this user id, as getpwuid(3) finds it. Lines that are no entries are skipped.
pub fn name(bytes: &[u8], uid: u32) -> Option<&[u8]> {
    entries(bytes).find_map(|(name, number)| (number == uid).then_some(name))
}

/// Every name with its user id, in the order of the file.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    bytes.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some((name, entry(fields.nth(1)?)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_wins() {
        let text = b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n# nobody\nbad:x:a:\nworse:x:-0:\nalice:x:1000:1000";
        assert_eq!(name(text, 0), Some(&b"root"[..]));
        assert_eq!(name(text, 1000), Some(&b"alice"[..]));
        assert_eq!(name(text, 7), None);
        assert_eq!(entries(text).count(), 3);
    }
}
