//! Processes as a tree from left to right, with bands as wide as what hangs on them.

use super::{
    frame::WIDTH,
    ink::{Ink, Short, cut},
    strips::Lines,
    svg::{self, Medium},
};

/// Height of a leaf.
const ROW: f64 = 18.0;
/// Room above the tree.
const TOP: f64 = 84.0;

/// A process.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What is said when one points at it, a line each.
    pub hint: String,
    /// Its parent's place in the list, which is before its own.
    pub parent: Option<usize>,
}

/// Draws nodes, each behind its parent.
pub fn draw(title: &str, note: &str, nodes: &[Node], medium: Medium<'_>) -> String {
    let count = nodes.len();
    let (mut depth, mut below) = (vec![0_usize; count], vec![0_usize; count]);
    let mut children = vec![Vec::new(); count];
    for (number, node) in nodes.iter().enumerate() {
        if let Some(parent) = node.parent.filter(|parent| *parent < number) {
            depth[number] = depth[parent] + 1;
            children[parent].push(number);
        }
    }
    for number in (0..count).rev() {
        if let Some(parent) = nodes[number].parent.filter(|parent| *parent < number) {
            below[parent] += below[number] + 1;
        }
    }
    // Leaves stand below each other; a parent stands in the middle of its children. Without recursion: trees can be deep.
    let mut y = vec![0.0; count];
    let mut next = TOP;
    let mut pending: Vec<(usize, bool)> =
        (0..count).rev().filter(|n| nodes[*n].parent.is_none()).map(|n| (n, false)).collect();
    while let Some((number, done)) = pending.pop() {
        match (done, children[number].as_slice()) {
            (_, []) => {
                y[number] = next;
                next += ROW;
            }
            (true, [first, .., last]) => y[number] = f64::midpoint(y[*first], y[*last]),
            (true, [only]) => y[number] = y[*only],
            (false, all) => {
                pending.push((number, true));
                pending.extend(all.iter().rev().map(|child| (*child, false)));
            }
        }
    }
    let levels = depth.iter().max().map_or(1, |deepest| deepest + 1);
    let column = ((WIDTH - 60.0) / levels as f64).clamp(70.0, 230.0);
    let mut ink = Ink::default();
    svg::open(&mut ink, medium, next + 20.0, title, note);
    let x = |number: usize| 24.0 + depth[number] as f64 * column;
    for (number, node) in nodes.iter().enumerate() {
        let Some(parent) = node.parent.filter(|parent| *parent < number) else { continue };
        let (from, to) = (x(parent) + 8.0, x(number));
        let bend = f64::midpoint(from, to);
        let width = 1.0 + ((below[number] + 1) as f64).log2() * 2.4;
        ink.put(format_args!(
            "<path class=\"flow c{}\" stroke-width=\"{}\" d=\"M{} {}C{} {} {} {} {} {}\"/>\n",
            depth[number] % 7,
            Short(width),
            Short(from),
            Short(y[parent]),
            Short(bend),
            Short(y[parent]),
            Short(bend),
            Short(y[number]),
            Short(to),
            Short(y[number])
        ));
    }
    let letters = ((column - 26.0) / 6.5).max(6.0) as usize;
    for (number, node) in nodes.iter().enumerate() {
        let high = 4.0 + ((below[number] + 1) as f64).log2() * 2.4;
        ink.put(format_args!(
            "<g class=\"strip\"><title>{}</title><rect class=\"knot c{}\" x=\"{}\" y=\"{}\" width=\"8\" height=\"{}\"/>",
            Lines(&node.hint),
            depth[number] % 7,
            Short(x(number)),
            Short(y[number] - high / 2.0),
            Short(high)
        ));
        let name = cut(&node.name, if children[number].is_empty() { 60 } else { letters });
        ink.text(x(number) + 13.0, y[number] + 4.0, "", "start", &name);
        ink.put(format_args!("</g>\n"));
    }
    if count == 0 {
        ink.text(WIDTH / 2.0, TOP, "none", "middle", "No data");
    }
    ink.out.push_str("</svg>\n");
    ink.out
}
