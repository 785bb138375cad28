//! Lines over time as a picture: what is drawn, and SVG, PNG and CSV of it.

pub mod csv;
mod frame;
mod grid;
mod ink;
mod number;
pub mod png;
mod scale;
pub mod strips;
#[cfg(feature = "png")]
mod strokes;
mod style;
pub mod svg;
mod time;
pub mod tree;

pub use number::Formatter;
pub use style::{STYLES, Style};
pub use time::MOMENTS;

/// One measured value; NaN is a gap in the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds since the epoch.
    pub ts: f64,
    /// In the unit of its axis.
    pub value: f64,
}

/// A line through its points, which are in the order of time.
#[derive(Clone, Debug)]
pub struct Line {
    /// The group it belongs to.
    pub group: usize,
    /// Lines of the same process have the same colour.
    pub identity: usize,
    /// What the legend says.
    pub name: String,
    /// What else is known of it, in fainter letters.
    pub detail: String,
    /// Its points.
    pub points: Vec<Point>,
    /// In a stacked group: the lower edge of its area at each point.
    pub floor: Vec<f64>,
}

/// Lines that show the same quantity.
#[derive(Clone, Debug)]
pub struct Group {
    /// The quantity and, behind a comma, its unit.
    pub title: String,
    /// Whether it has the axis on the right; one has it only if another has the left one.
    pub right: bool,
    /// Whether its lines are the upper edges of areas that stand on each other.
    pub stacked: bool,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above everything.
    pub title: String,
    /// Under the title, in smaller letters.
    pub note: String,
    /// What is shown; several with the same axis are told apart by their strokes.
    pub groups: Vec<Group>,
    /// The lines.
    pub lines: Vec<Line>,
    /// Logarithmic scale: what is not above zero is a gap.
    pub logarithmic: bool,
    /// Time since the first point instead of the time of day.
    pub relative_time: bool,
    /// Whether lines have dots near the labels of the time axis.
    pub dots: bool,
    /// Colours; none is light or dark as the viewer is.
    pub style: Option<&'static Style>,
    /// How values are written.
    pub formatter: Formatter,
}
