//! The paths of lines: moments and values as whole steps, or places on paper.

use super::{Point, frame::Frame, ink::Short, svg::Medium};
use std::fmt::Write as _;

/// Whole numbers that stand for moments and values, so that the picture keeps them in few letters.
pub struct Grid<'a> {
    frame: &'a Frame,
    right: bool,
    logarithmic: bool,
    low: f64,
    /// Seconds of one step to the right.
    second: f64,
    /// Measure of one step up.
    unit: f64,
    /// Pixels of these steps.
    scale: (f64, f64),
    paper: bool,
}

impl<'a> Grid<'a> {
    /// The grid of an axis, if there is one.
    pub fn new(frame: &'a Frame, right: bool, medium: Medium<'_>) -> Option<Grid<'a>> {
        let scale = frame.scales[usize::from(right)].as_ref()?;
        let (span, range) = (frame.to - frame.from, scale.high - scale.low);
        let second = if span < 2.0 { 1e-6 } else { 1e-3 };
        let unit = 10_f64.powf((range / 1e6).log10().floor()).max(f64::MIN_POSITIVE);
        Some(Grid {
            frame,
            right,
            logarithmic: scale.logarithmic,
            low: scale.low,
            second,
            unit,
            scale: (frame.width / span * second, frame.height / range * unit),
            paper: medium == Medium::Paper,
        })
    }

    /// What the script needs to read values back, and what puts them in their place.
    pub fn attributes(&self) -> String {
        if self.paper {
            return String::new();
        }
        let Grid { second, unit, low, logarithmic, .. } = self;
        format!(
            " data-second=\"{second}\" data-unit=\"{unit}\" data-low=\"{low}\" data-log=\"{logarithmic}\" \
             transform=\"matrix({:e} 0 0 {:e} 0 {})\"",
            self.scale.0, -self.scale.1, self.frame.height
        )
    }

    /// A point's steps; none is a gap.
    fn steps(&self, point: &Point) -> Option<(i64, i64)> {
        let scale = self.frame.scales[usize::from(self.right)].as_ref()?;
        let measure = scale.measure(point.value);
        let steps = |distance: f64, step: f64| (distance / step).round() as i64;
        measure
            .is_finite()
            .then(|| (steps(point.ts - self.frame.from, self.second), steps(measure - self.low, self.unit)))
    }

    /// Writes the path through the points: from each to the next, `m` over a gap, `z` makes a lone point visible.
    pub fn path(&self, points: &[Point], out: &mut String) {
        let mut last = (0, 0);
        let mut stretch = 0_usize;
        for (number, point) in points.iter().enumerate() {
            let place = if self.paper { self.place(point) } else { self.steps(point) };
            let Some(place) = place else {
                stretch = 0;
                continue;
            };
            if stretch == 0 {
                out.push('m');
            }
            let (x, y) = (place.0 - last.0, place.1 - last.1);
            let comma = if stretch > 0 && x >= 0 { " " } else { "" };
            let space = if y >= 0 { " " } else { "" };
            // Writing to a string cannot fail.
            let _ = if self.paper {
                write!(out, "{comma}{}{space}{}", Short(x as f64 / 10.0), Short(y as f64 / 10.0))
            } else {
                write!(out, "{comma}{x}{space}{y}")
            };
            last = place;
            stretch += 1;
            let gap_next = points.get(number + 1).is_none_or(|next| self.steps(next).is_none());
            if stretch == 1 && gap_next {
                out.push_str(if self.paper { "h0.1h-0.1" } else { "z" });
            }
        }
    }

    /// A point's place on paper, in tenths of a pixel.
    fn place(&self, point: &Point) -> Option<(i64, i64)> {
        let y = self.frame.y(self.right, point.value);
        y.is_finite().then(|| ((self.frame.x(point.ts) * 10.0).round() as i64, (y * 10.0).round() as i64))
    }
}
