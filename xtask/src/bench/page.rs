//! One part of the bench that stands for itself: a small table, and what it promises.

use super::bars::Bar;

/// A section of the results, and its promises.
#[derive(Default)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// The head of the table.
    pub head: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// What was promised.
    pub bars: Vec<Bar>,
    /// What is absent, and why.
    pub absent: Vec<(String, String)>,
}

impl Page {
    /// An empty one, whose rows are a name and a figure unless it gets another head.
    pub fn new(title: &str) -> Page {
        Page { title: title.to_owned(), head: vec![String::new(), "measured".to_owned()], ..Page::default() }
    }

    /// Adds a row of one figure.
    pub fn row(&mut self, name: &str, figure: Option<String>) {
        self.rows.push(vec![name.to_owned(), figure.unwrap_or_else(|| "–".to_owned())]);
    }

    /// Adds a promise of issue 4 that a figure stays below a bound.
    pub fn less(&mut self, what: &str, measured: Option<f64>, most: f64, unit: &str, binding: bool) {
        self.bars.push(Bar {
            what: format!("{what}: less than {most} {unit}"),
            measured: measured.map(|figure| format!("{figure:.1} {unit}")),
            asked: "issue 4",
            binding,
            kept: measured.is_some_and(|figure| figure < most),
        });
    }
}
