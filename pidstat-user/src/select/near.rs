//! What somebody may have meant who wrote a name that there is not.

/// Most names that are offered.
const MOST: usize = 3;

/// The known names that are close to a word, closest first: those that begin with it, or are a few letters away.
pub(super) fn near(word: &str, known: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let word = word.to_ascii_lowercase();
    let most = (word.len() / 3).max(1);
    let mut close: Vec<(usize, &str)> = known
        .filter_map(|name| {
            let begins = word.len() > 1 && name.starts_with(&word);
            let distance = if begins { 0 } else { distance(word.as_bytes(), name.as_bytes()) };
            (distance <= most).then_some((distance, name))
        })
        .collect();
    close.sort_by_key(|(distance, _)| *distance);
    close.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// Letters to insert, delete or replace to get from one to the other (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_what_they_are_known_to_be() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"abc", b"abc"), 0);
    }

    #[test]
    fn beginnings_and_slips_are_close_and_strangers_are_not() {
        let known = ["cpu_pct", "cpu_number", "rss_kib", "threads"];
        assert_eq!(near("cpu", known.into_iter()), ["cpu_pct", "cpu_number"]);
        assert_eq!(near("RSS_kb", known.into_iter()), ["rss_kib"]);
        assert_eq!(near("temperature", known.into_iter()), [""; 0]);
    }
}
