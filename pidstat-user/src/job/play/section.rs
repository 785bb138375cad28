//! A section with its parents: which value of an option counts.

use super::{
    PlayError,
    ini::{Section, lines},
};

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
        chain.extend(order(book, section, &mut Vec::new())?);
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

/// A section before its parents, in the order of Python's classes.
fn order<'a>(
    book: &'a [Section],
    section: &'a Section,
    below: &mut Vec<&'a str>,
) -> Result<Vec<&'a Section>, PlayError> {
    if below.contains(&section.name.as_str()) {
        return Err(PlayError::Section(format!("{} extends itself", section.name)));
    }
    below.push(&section.name);
    let mut parents = Vec::new();
    for name in lines(section.get("extends").unwrap_or_default())? {
        let parent = book.iter().find(|section| section.name == name);
        parents.push(parent.ok_or_else(|| {
            PlayError::Section(format!("{} extends {name}, which is not there", section.name))
        })?);
    }
    let mut lists = vec![vec![section]];
    for parent in &parents {
        lists.push(order(book, parent, below)?);
    }
    lists.push(parents);
    below.pop();
    merge(lists)
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
