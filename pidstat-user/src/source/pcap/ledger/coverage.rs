//! Which bytes of one direction of a stream were seen: so that what is sent again counts once, and what comes in another
//! order counts at all.

use crate::source::pcap::frame::Segment;

/// Pieces behind a gap that are told apart; with more, the first gap is taken for lost.
const PIECES_MAX: usize = 32;
/// A jump so far is another stream.
const JUMP: u32 = 1 << 30;

/// Sequence numbers that were seen.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// Of the first byte, where the beginning was seen.
    base: Option<u32>,
    /// Everything before it was seen.
    next: Option<u32>,
    /// What was seen behind gaps: start and end, ascending, apart from each other.
    pieces: Vec<(u32, u32)>,
}

impl Coverage {
    /// Adds a segment; says how many bytes of it are new.
    pub(super) fn take(&mut self, segment: Segment, payload_bytes: u64) -> u64 {
        // The opening one has a number of its own.
        let first = segment.sequence.wrapping_add(segment.opens.into());
        if segment.opens {
            self.begin(first);
        }
        self.add(first, u32::try_from(payload_bytes).unwrap_or(0)).into()
    }

    /// A connection begins, and its first byte has this number.
    fn begin(&mut self, base: u32) {
        // Unless that is only said again.
        if self.base != Some(base) {
            *self = Coverage { base: Some(base), next: Some(base), pieces: Vec::new() };
        }
    }

    /// Adds bytes; says how many of them are new.
    fn add(&mut self, sequence: u32, bytes: u32) -> u32 {
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next);
        let end = ahead.wrapping_add(bytes);
        // Relative to `next`, so that numbers may wrap; what lies before it is known.
        let (start, end) = match (ahead < 1 << 31, end < 1 << 31) {
            (true, true) => (ahead, end),
            (false, true) => (0, end),
            _ => return 0,
        };
        if start > JUMP {
            *self = Coverage { base: None, next: Some(sequence.wrapping_add(bytes)), pieces: Vec::new() };
            return bytes;
        }
        let mut known = 0;
        let mut joined = (start, end);
        self.pieces.retain(|(from, to)| {
            let (from, to) = (from.wrapping_sub(next), to.wrapping_sub(next));
            if from > end || to < start {
                return true;
            }
            known += to.min(end).saturating_sub(from.max(start));
            joined = (joined.0.min(from), joined.1.max(to));
            false
        });
        let new = (end - start).saturating_sub(known);
        if joined.0 == 0 {
            self.next = Some(next.wrapping_add(joined.1));
        } else if joined.1 > joined.0 {
            let piece = (next.wrapping_add(joined.0), next.wrapping_add(joined.1));
            let at = self.pieces.partition_point(|(from, _)| from.wrapping_sub(next) < joined.0);
            self.pieces.insert(at, piece);
        }
        if self.pieces.len() > PIECES_MAX {
            self.next = Some(self.pieces.remove(0).1);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn what_is_sent_again_counts_once_and_order_does_not_matter() {
        let mut seen = Coverage::default();
        seen.begin(u32::MAX - 9);
        assert_eq!(seen.add(u32::MAX - 9, 10), 10);
        assert_eq!(seen.add(20, 10), 10);
        assert_eq!(seen.add(0, 20), 20);
        assert_eq!(seen.add(0, 30), 0);
        assert_eq!(seen.add(25, 10), 5);
        seen.begin(u32::MAX - 9);
        assert_eq!(seen.add(u32::MAX - 9, 45), 0);
        seen.begin(7);
        assert_eq!(seen.add(7, 45), 45);
    }

    #[test]
    fn without_the_beginning_it_begins_where_it_is_seen() {
        let mut seen = Coverage::default();
        assert_eq!((seen.add(100, 10), seen.add(90, 10), seen.add(95, 20)), (10, 0, 5));
        assert_eq!(seen.add(JUMP + 200, 3), 3);
        assert_eq!(seen.add(JUMP + 203, 3), 3);
    }

    proptest! {
        #[test]
        fn new_bytes_are_those_that_no_set_has(
            base in any::<u32>(),
            segments in proptest::collection::vec((0u32..400, 0u32..60), 1..60),
        ) {
            let mut seen = Coverage::default();
            seen.begin(base);
            let mut set = HashSet::new();
            for (at, bytes) in segments {
                let before = set.len();
                set.extend(at..at + bytes);
                prop_assert_eq!(seen.add(base.wrapping_add(at), bytes) as usize, set.len() - before);
            }
        }
    }
}
