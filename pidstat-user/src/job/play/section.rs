//! A section with its parents: which value of an option counts.

use super::{
    PlayError,
    ini::{Section, lines},
};
use std::collections::HashMap;

/// A section and all its parents, what overrides before what is overridden.
#[derive(Debug)]
pub struct Chain<'a>(Vec<&'a Section>);

impl<'a> Chain<'a> {
    /// Puts the overrides before a section, and the section before its parents, in the order of Python's classes (C3).
    ///
    /// # Errors
    /// A parent is not there, or the order contradicts itself.
    pub fn new(
        book: &'a [Section],
        section: &'a Section,
        overrides: &'a Section,
    ) -> Result<Chain<'a>, PlayError> {
        let mut chain = vec![overrides];
        let mut orders = Orders { book, known: HashMap::new(), below: Vec::new() };
        chain.extend(orders.of(section)?);
        Ok(Chain(chain))
    }

    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|section| section.get(key))
    }

    /// All lines of a key, those of the farthest parent first.
    ///
    /// # Errors
    /// A value is no list of lines.
    pub fn lines(&self, key: &str) -> Result<Vec<String>, PlayError> {
        let mut all = Vec::new();
        for section in self.0.iter().rev() {
            all.extend(lines(section.get(key).unwrap_or_default())?);
        }
        Ok(all)
    }

    /// Whether a key is set to yes.
    ///
    /// # Errors
    /// It is neither yes nor no.
    pub fn flag(&self, key: &str) -> Result<bool, PlayError> {
        match self.get(key).map(str::to_lowercase).as_deref() {
            None | Some("0" | "no" | "false" | "off") => Ok(false),
            Some("1" | "yes" | "true" | "on") => Ok(true),
            Some(other) => Err(PlayError::Section(format!("{key}: Not a boolean: {other}"))),
        }
    }

    /// Every key that is set, but for `extends`.
    pub fn keys(&self) -> Vec<&'a str> {
        let mut keys: Vec<&str> = Vec::new();
        for (key, _) in self.0.iter().flat_map(|section| &section.options) {
            if key != "extends" && !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
        keys
    }
}

/// Ancestors that a section may have. Nobody writes so many, and the time to order them grows with their cube.
const MOST: usize = 100;

/// Sections before their parents, in the order of Python's classes.
struct Orders<'a> {
    book: &'a [Section],
    /// Those that are known: who is a parent in several ways is ordered once.
    known: HashMap<&'a str, Vec<&'a Section>>,
    /// Whose parents are being looked at.
    below: Vec<&'a str>,
}

impl<'a> Orders<'a> {
    fn of(&mut self, section: &'a Section) -> Result<Vec<&'a Section>, PlayError> {
        if let Some(known) = self.known.get(section.name.as_str()) {
            return Ok(known.clone());
        }
        if self.below.contains(&section.name.as_str()) {
            return Err(PlayError::Section(format!("{} extends itself", section.name)));
        }
        let many = || PlayError::Section(format!("{} has more than {MOST} ancestors", section.name));
        let names = lines(section.get("extends").unwrap_or_default())?;
        if self.below.len() >= MOST || names.len() > MOST {
            return Err(many());
        }
        self.below.push(&section.name);
        let mut parents = Vec::new();
        for name in names {
            let parent = self.book.iter().find(|section| section.name == name);
            parents.push(parent.ok_or_else(|| {
                PlayError::Section(format!("{} extends {name}, which is not there", section.name))
            })?);
        }
        let mut lists = vec![vec![section]];
        for parent in &parents {
            lists.push(self.of(parent)?);
        }
        lists.push(parents);
        self.below.pop();
        let order = merge(lists)?;
        if order.len() > MOST {
            return Err(many());
        }
        self.known.insert(&section.name, order.clone());
        Ok(order)
    }
}

fn merge(mut lists: Vec<Vec<&Section>>) -> Result<Vec<&Section>, PlayError> {
    let mut merged = Vec::new();
    loop {
        lists.retain(|list| !list.is_empty());
        if lists.is_empty() {
            return Ok(merged);
        }
        let later =
            |section: &Section| lists.iter().any(|list| list[1..].iter().any(|s| s.name == section.name));
        let next = lists.iter().map(|list| list[0]).find(|section| !later(section));
        let next =
            next.ok_or_else(|| PlayError::Section("the order of the parents contradicts itself".into()))?;
        merged.push(next);
        for list in &mut lists {
            if list[0].name == next.name {
                list.remove(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ini::parse, *};

    fn order(book: &str, name: &str) -> Result<String, String> {
        let sections = parse(book).unwrap();
        let section = sections.iter().find(|section| section.name == name).unwrap();
        let none = Section { name: String::new(), options: vec![] };
        let chain = Chain::new(&sections, section, &none).map_err(|error| error.to_string())?;
        Ok(chain.0[1..].iter().map(|section| section.name.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn parents_follow_as_pythons_classes_do() {
        let book =
            "[o]\n[a]\nextends: o\n[b]\nextends: o\n[c]\nextends:\n  a\n  b\n[d]\nextends:\n  o\n  a\n";
        assert_eq!(order(book, "c").unwrap(), "c a b o");
        assert!(order(book, "d").unwrap_err().contains("contradicts itself"));
        assert!(order("[a]\nextends: b\n[b]\nextends: a\n", "a").unwrap_err().contains("extends itself"));
        assert!(order("[a]\nextends: b\n", "a").unwrap_err().contains("not there"));
    }

    #[test]
    fn a_parent_in_many_ways_is_ordered_once_and_nobody_has_too_many() {
        // Two ways at each of 40 levels: more than a trillion altogether.
        let diamonds: String = (1..40)
            .map(|n| format!("[a{n}]\nextends:\n  a{0}\n  b{0}\n[b{n}]\nextends:\n  a{0}\n  b{0}\n", n - 1))
            .collect();
        let book = format!("[a0]\n[b0]\n{diamonds}");
        assert_eq!(order(&book, "a39").unwrap().split(' ').count(), 79);
        let chain: String = (1..5000).map(|n| format!("[a{n}]\nextends: a{}\n", n - 1)).collect();
        assert!(order(&format!("[a0]\n{chain}"), "a4999").unwrap_err().contains("more than 100 ancestors"));
    }
}
