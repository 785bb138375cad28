//! Everything around the lines: titles, axes, rules, legend.

use super::{
    Chart,
    ink::{Escaped, Ink, Short, cut},
    scale::Scale,
    style::COLOURS,
    time::{self, Label},
};

/// Size of the picture.
pub const WIDTH: f64 = 1120.0;
/// Size of the picture.
pub const HEIGHT: f64 = 640.0;
/// Distance between the lines of the legend.
const ROW: f64 = 18.0;
/// Width of the legend.
const LEGEND: f64 = 236.0;
/// Letters that fit beside a legend's stroke.
const LETTERS: usize = 29;

/// Where the lines are drawn, and in which measure.
#[derive(Debug)]
pub struct Frame {
    /// Left edge of the lines' area.
    pub left: f64,
    /// Its upper edge.
    pub top: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// The first moment.
    pub from: f64,
    /// The last one.
    pub to: f64,
    /// The axis on the left and, if there is one, on the right.
    pub scales: [Option<Scale>; 2],
    /// Labels of the time axis.
    pub times: Vec<Label>,
}

impl Frame {
    /// Finds the ends of the axes; none if there is nothing to draw.
    pub fn new(chart: &Chart) -> Option<Frame> {
        let mut times = (f64::INFINITY, f64::NEG_INFINITY);
        let mut values = [(f64::INFINITY, f64::NEG_INFINITY); 2];
        for line in &chart.lines {
            let (low, high) = &mut values[usize::from(chart.groups[line.group].right)];
            for floor in &line.floor {
                (*low, *high) = (low.min(*floor), high.max(*floor));
            }
            for point in &line.points {
                if !point.value.is_finite() || (chart.logarithmic && point.value <= 0.0) {
                    continue;
                }
                (*low, *high) = (low.min(point.value), high.max(point.value));
                times = (times.0.min(point.ts), times.1.max(point.ts));
            }
        }
        let (mut from, mut to) = times;
        if from > to {
            return None;
        }
        if to - from < 1e-3 {
            (from, to) = (from - 0.5, to + 0.5);
        }
        let scales =
            values.map(|(low, high)| (low <= high).then(|| Scale::new(low, high, 6, chart.logarithmic)));
        let (left, top) = (68.0, 92.0);
        let right = if scales[1].is_some() { 60.0 } else { 22.0 };
        let width = WIDTH - left - right - LEGEND;
        Some(Frame {
            left,
            top,
            width,
            height: HEIGHT - top - 54.0,
            from,
            to,
            scales,
            times: time::labels(from, to, 8, chart.relative_time),
        })
    }

    /// From the left edge of the lines' area.
    pub fn x(&self, ts: f64) -> f64 {
        (ts - self.from) / (self.to - self.from) * self.width
    }

    /// From the upper edge of the lines' area.
    pub fn y(&self, right: bool, value: f64) -> f64 {
        let scale = self.scales[usize::from(right)].as_ref();
        scale.map_or(f64::NAN, |scale| (1.0 - scale.place(value)) * self.height)
    }

    /// Paper, rules and labels.
    pub fn draw(&self, chart: &Chart, ink: &mut Ink) {
        let Frame { left, top, width, height, .. } = *self;
        let (right, bottom) = (left + width, top + height);
        ink.put(format_args!(
            "<rect class=\"paper\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>\n"
        ));
        let mut rules = String::new();
        for (side, scale) in self.scales.iter().enumerate().filter_map(|(side, s)| Some((side, s.as_ref()?)))
        {
            for tick in &scale.ticks {
                let y = top + self.y(side == 1, *tick);
                // A second axis has labels only: two grids in one picture help nobody.
                if side == 0 || self.scales[0].is_none() {
                    rules += &format!("M{left} {}h{width}", Short(y));
                }
                let text = chart.formatter.write(*tick, scale.step);
                let (x, anchor) = if side == 0 { (left - 9.0, "end") } else { (right + 9.0, "start") };
                ink.text(x, y + 4.0, "", anchor, &text);
            }
        }
        let mut free_from = f64::NEG_INFINITY;
        for label in &self.times {
            let x = left + self.x(label.ts);
            rules += &format!("M{} {top}v{height}", Short(x));
            let mut below = bottom + 19.0;
            if !label.text.is_empty() {
                ink.text(x, below, "", "middle", &label.text);
                below += 16.0;
            }
            if let Some(date) = label.date.as_ref().filter(|_| x > free_from) {
                ink.text(x, below, "strong", "middle", date);
                free_from = x + 78.0;
            }
        }
        ink.put(format_args!("<path class=\"rule\" d=\"{rules}\"/>\n"));
        ink.put(format_args!("<path class=\"base\" d=\"M{left} {bottom}h{width}\"/>\n"));
        let one = chart.groups.len() == 1;
        for right_side in [false, true] {
            let mut groups = chart.groups.iter().filter(|group| group.right == right_side);
            // Several queries on one axis stand in the legend.
            let (Some(group), None) = (groups.next(), groups.next()) else { continue };
            let empty = self.scales[usize::from(right_side)].is_none();
            if empty || (one && group.title == chart.title) {
                continue;
            }
            let (x, anchor) = if right_side { (right + 42.0, "end") } else { (left - 48.0, "start") };
            ink.text(x, top - 14.0, "strong unit", anchor, &group.title);
        }
    }

    /// The legend. All lines in their order, or, if they are too many, those that reach highest.
    pub fn legend(&self, chart: &Chart, ink: &mut Ink) {
        let several = chart.groups.len() > 1;
        let mut rows = (self.height / ROW) as usize;
        if several {
            rows = rows.saturating_sub(chart.groups.len() * 2);
        }
        let x = WIDTH - LEGEND + 14.0;
        let mut y = self.top + 10.0;
        for (number, group) in chart.groups.iter().enumerate() {
            // A group with few lines leaves its room to the ones below.
            let most = (rows / (chart.groups.len() - number)).max(3);
            let mut lines: Vec<usize> =
                (0..chart.lines.len()).filter(|line| chart.lines[*line].group == number).collect();
            if several && !lines.is_empty() {
                ink.text(x, y, "strong unit", "start", &cut(&group.title, LETTERS + 1));
                y += ROW + 2.0;
            }
            let all = lines.len();
            // Areas come in the order of their size.
            if all > most && !group.stacked {
                let peaks: Vec<f64> = chart.lines.iter().map(|line| peak(&line.points)).collect();
                lines.sort_by(|a, b| peaks[*b].total_cmp(&peaks[*a]));
            }
            let order: Vec<String> = lines.iter().map(usize::to_string).collect();
            lines.truncate(if all > most { most.saturating_sub(1) } else { most });
            let shown = lines.len();
            let folded =
                if all > shown { format!(" data-order=\"{}\"", order.join(" ")) } else { String::new() };
            ink.put(format_args!("<g class=\"legend\"{folded}>\n"));
            for line in lines {
                let colour = chart.lines[line].identity % COLOURS;
                let dash = if group.stacked { 0 } else { number % 4 };
                let (name, detail) = (&chart.lines[line].name, &chart.lines[line].detail);
                let name = cut(name, LETTERS);
                let room = LETTERS.saturating_sub(name.chars().count() + 1);
                let detail = if room > 2 { cut(detail, room) } else { String::new() };
                ink.put(format_args!(
                    "<g class=\"item\" data-i=\"{line}\"><rect class=\"hit\" x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{ROW}\"/>\
                     <path class=\"c{colour} d{dash}\" d=\"M{x} {}h20\"/><text x=\"{}\" y=\"{}\"><tspan>{}</tspan>\
                     <tspan class=\"faint\" dx=\"5\">{}</tspan></text></g>\n",
                    Short(y - 13.0),
                    Short(LEGEND - 20.0),
                    Short(y - 4.0),
                    Short(x + 28.0),
                    Short(y),
                    Escaped(&name),
                    Escaped(&detail),
                ));
                y += ROW;
            }
            if all > shown {
                ink.text(x, y, "fold", "start", &format!("… and {} more, all smaller", all - shown));
                y += ROW;
            }
            rows = rows.saturating_sub(all.min(most));
            ink.put(format_args!("</g>\n"));
            y += 8.0;
        }
    }
}

/// The highest value of a line.
fn peak(points: &[super::Point]) -> f64 {
    points.iter().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max)
}
