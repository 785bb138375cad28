//! Processes as strips over time, one below the other: when each lived, how busy it was, whose child it is.

use super::{
    frame::WIDTH,
    ink::{Escaped, Ink, Short, cut},
    svg::{self, Medium},
    time,
};

/// Height of a row.
const ROW: f64 = 16.0;
/// Room for the names.
const NAMES: f64 = 260.0;
/// Room above the first row.
const TOP: f64 = 112.0;
/// Shades of the heat scale; the style sheet has a class for each.
pub(super) const SHADES: usize = 10;

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Seconds since the epoch.
    pub from: f64,
    /// Seconds since the epoch.
    pub to: f64,
    /// How hot, from 0 to 1.
    pub heat: f64,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Strip {
    /// Its name.
    pub name: String,
    /// What is said when one points at it, a line each.
    pub hint: String,
    /// How deep it stands under others, which indents its name.
    pub depth: usize,
    /// The row of its parent; a rule joins them.
    pub parent: Option<usize>,
    /// How thick it is drawn, from 0 to 1.
    pub weight: f64,
    /// When it lived.
    pub pieces: Vec<Piece>,
}

/// A picture of strips.
#[derive(Clone, Debug)]
pub struct Strips {
    /// Above everything.
    pub title: String,
    /// Under the title.
    pub note: String,
    /// What the shades mean: the least and the most.
    pub scale: Option<(String, String)>,
    /// From top to bottom.
    pub rows: Vec<Strip>,
}

/// Draws strips.
pub fn draw(strips: &Strips, medium: Medium<'_>) -> String {
    let ends = strips.rows.iter().flat_map(|row| &row.pieces);
    let (from, to) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), piece| {
        (from.min(piece.from), to.max(piece.to))
    });
    let height = TOP + strips.rows.len() as f64 * ROW + 50.0;
    let mut ink = Ink::default();
    svg::open(&mut ink, medium, height, &strips.title, &strips.note);
    if from > to {
        ink.text(WIDTH / 2.0, TOP, "none", "middle", "No data");
        ink.out.push_str("</svg>\n");
        return ink.out;
    }
    let to = if to - from < 1.0 { from + 1.0 } else { to };
    let width = WIDTH - NAMES - 30.0;
    let x = |ts: f64| NAMES + (ts - from) / (to - from) * width;
    let bottom = height - 44.0;
    let mut rules = String::new();
    for label in time::labels(from, to, 8, false) {
        let at = x(label.ts);
        rules += &format!("M{} {}V{bottom}", Short(at), TOP - 14.0);
        for (y, dates) in [(TOP - 20.0, -15.0), (bottom + 16.0, 15.0)] {
            let empty = label.text.is_empty();
            if !empty {
                ink.text(at, y, "", "middle", &label.text);
            }
            if let Some(date) = &label.date {
                ink.text(at, if empty { y } else { y + dates }, "strong", "middle", date);
            }
        }
    }
    ink.put(format_args!("<path class=\"rule\" d=\"{rules}\"/>\n"));
    let middle = |row: usize| TOP + (row as f64 + 0.5) * ROW;
    for (number, row) in strips.rows.iter().enumerate() {
        let Some(first) = row.pieces.first() else { continue };
        if let Some(parent) = row.parent {
            let at = x(first.from) + 0.5;
            ink.put(format_args!(
                "<path class=\"link\" d=\"M{} {}V{}\"/>\n",
                Short(at),
                Short(middle(parent)),
                Short(middle(number))
            ));
        }
    }
    for (number, row) in strips.rows.iter().enumerate() {
        let y = middle(number);
        let indent = (row.depth.min(12) * 9) as f64;
        let name = cut(&row.name, ((NAMES - 30.0 - indent) / 6.6) as usize);
        ink.put(format_args!(
            "<g class=\"strip\"><title>{}</title><rect class=\"hit\" y=\"{}\" width=\"{WIDTH}\" height=\"{ROW}\"/>",
            Lines(&row.hint),
            Short(y - ROW / 2.0)
        ));
        ink.text(20.0 + indent, y + 4.0, "", "start", &name);
        let thick = 3.0 + row.weight.clamp(0.0, 1.0) * (ROW - 6.0);
        let mut shades = vec![String::new(); SHADES];
        for piece in &row.pieces {
            let shade = ((piece.heat.clamp(0.0, 1.0) * SHADES as f64) as usize).min(SHADES - 1);
            let (left, right) = (x(piece.from), x(piece.to).max(x(piece.from) + 2.5));
            shades[shade] += &format!("M{} {}H{}", Short(left), Short(y), Short(right));
        }
        for (shade, path) in shades.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            ink.put(format_args!(
                "<path class=\"piece h{shade}\" stroke-width=\"{}\" d=\"{path}\"/>",
                Short(thick)
            ));
        }
        ink.put(format_args!("</g>\n"));
    }
    if let Some((least, most)) = &strips.scale {
        let left = WIDTH - 30.0 - SHADES as f64 * 16.0;
        for shade in 0..SHADES {
            let at = left + shade as f64 * 16.0;
            ink.put(format_args!("<path class=\"piece h{shade}\" stroke-width=\"10\" d=\"M{at} 30h16\"/>"));
        }
        ink.text(left, 52.0, "", "start", least);
        ink.text(WIDTH - 30.0, 52.0, "", "end", most);
    }
    ink.out.push_str("</svg>\n");
    ink.out
}

/// Text of several lines; XML would make blanks of the ends of lines inside an attribute, not here.
pub(super) struct Lines<'a>(pub &'a str);

impl std::fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, line) in self.0.lines().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", Escaped(line))?;
        }
        Ok(())
    }
}
