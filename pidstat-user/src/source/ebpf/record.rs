//! Finds the records in what the iterator wrote; nothing is read past its end or at a wrong length.

use pidstat_common::task::{Group, Leader, Thread, kind};

/// One record: a thread, and its process's part if it is the first of its process.
pub type Record<'a> = (&'a Thread, Option<&'a Group>);

/// Splits a piece of the iterator's output into records.
#[derive(Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    garbled: bool,
}

impl<'a> Records<'a> {
    /// The records of `bytes`, which must be aligned to 8 bytes.
    pub fn new(bytes: &'a [u8]) -> Records<'a> {
        Records { rest: bytes, garbled: false }
    }

    /// Whether the bytes ended within a record, or were not aligned.
    pub fn garbled(&self) -> bool {
        self.garbled
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let found = view::<Thread>(self.rest).and_then(|thread| {
            if thread.kind & kind::LEADER == 0 {
                return Some(((thread, None), size_of::<Thread>()));
            }
            let leader = view::<Leader>(self.rest)?;
            Some(((&leader.thread, Some(&leader.group)), size_of::<Leader>()))
        });
        let Some((record, length)) = found else {
            self.garbled = true;
            self.rest = &[];
            return None;
        };
        self.rest = &self.rest[length..];
        Some(record)
    }
}

/// The first bytes as a `T`, if there are enough of them and they are aligned for it.
fn view<T: aya::Pod>(bytes: &[u8]) -> Option<&T> {
    let pointer = bytes.as_ptr().cast::<T>();
    if bytes.len() < size_of::<T>() || !pointer.is_aligned() {
        return None;
    }
    // SAFETY: the pointer is aligned, the bytes behind it are borrowed for as long as the result, there are enough of
    // them, and every pattern of bits is a valid `Pod`.
    Some(unsafe { &*pointer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u64]) -> &[u8] {
        // SAFETY: any u64 is eight valid bytes.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), size_of_val(bytes)) }
    }

    #[test]
    fn whole_records_only() {
        let (thread, leader) = (size_of::<Thread>() / 8, size_of::<Leader>() / 8);
        let mut memory = vec![0u64; leader + thread];
        memory[0] = u64::from(kind::LEADER) | 7 << 32;
        memory[leader] = 8 << 32;
        let bytes = words(&memory);
        let mut records = Records::new(bytes);
        let tids: Vec<(u32, bool)> = records.by_ref().map(|(t, g)| (t.tid, g.is_some())).collect();
        assert_eq!(tids, [(7, true), (8, false)]);
        assert!(!records.garbled());
        for end in (1..bytes.len()).filter(|end| *end != leader * 8) {
            let mut records = Records::new(&bytes[..end]);
            let count = records.by_ref().count();
            assert_eq!(count, usize::from(end > leader * 8), "{end}");
            assert!(records.garbled(), "{end}");
        }
        let mut shifted = Records::new(&bytes[4..]);
        assert!(shifted.next().is_none() && shifted.garbled());
    }
}
