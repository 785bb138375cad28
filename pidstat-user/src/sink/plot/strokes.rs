//! Very many lines as pixels: of each line the stretch that it covers in every column, which is laid on at once.
//!
//! A renderer of paths sorts the edges of every line of a thousand points; here a point costs a few multiplications, and a
//! covered pixel one per colour.

use super::{Chart, Line, frame::Frame, style};

/// Points that are worth wide strokes and a renderer's care.
const MOST_WIDE: usize = 30_000;
/// How much of what is below a line covers, of 256.
const OPACITY: u16 = 205;

/// Whether the lines are so many that they are drawn here.
pub fn are_many(chart: &Chart) -> bool {
    let points: usize = chart.lines.iter().map(|line| line.points.len()).sum();
    points > MOST_WIDE && !chart.groups.iter().any(|group| group.stacked)
}

/// Draws the lines into a picture of `width` pixels a row with four bytes each, `zoom` pixels for one of the frame.
pub fn draw(chart: &Chart, frame: &Frame, zoom: f64, pixels: &mut [u8], width: usize) {
    let mut area = Area::cut_out(frame, zoom, pixels, width);
    let mut covered = vec![NOTHING; area.columns];
    for right in [false, true] {
        for line in chart.lines.iter().filter(|line| chart.groups[line.group].right == right) {
            covered.fill(NOTHING);
            area.cover(line, frame, right, zoom, &mut covered);
            let dash = dashes(line.group, zoom);
            let ink = style::colour(chart.style, line.identity);
            for (column, stretch) in covered.iter().enumerate().filter(|(column, _)| dash(*column)) {
                area.lay(column, *stretch, ink);
            }
        }
    }
    area.put_back(pixels, width);
}

/// From where to where a column is covered.
type Stretch = (f32, f32);
const NOTHING: Stretch = (f32::INFINITY, f32::NEG_INFINITY);

/// Which columns a line of this group is drawn in: where thousands of points are, a dash is one along the time.
fn dashes(group: usize, zoom: f64) -> impl Fn(usize) -> bool {
    let pattern: &[f64] = match group % 4 {
        0 => &[],
        1 => &[7.0, 4.0],
        2 => &[2.0, 4.0],
        _ => &[9.0, 4.0, 2.0, 4.0],
    };
    let whole: f64 = pattern.iter().sum();
    move |column| {
        let mut rest = if pattern.is_empty() { return true } else { column as f64 / zoom % whole };
        pattern
            .iter()
            .position(|part| {
                rest -= part;
                rest < 0.0
            })
            .is_none_or(|part| part % 2 == 0)
    }
}

/// The part of the picture where the lines are: a plane for each colour, column after column, so that a stretch is one
/// slice.
struct Area {
    left: usize,
    top: usize,
    columns: usize,
    rows: usize,
    planes: [Vec<u8>; 3],
}

impl Area {
    fn cut_out(frame: &Frame, zoom: f64, pixels: &[u8], width: usize) -> Area {
        let [left, top, columns, rows] =
            [frame.left, frame.top, frame.width, frame.height].map(|length| (length * zoom) as usize);
        let mut area = Area { left, top, columns, rows, planes: [(); 3].map(|()| vec![0; columns * rows]) };
        area.each(width, |plane, at| *plane = pixels[at]);
        area
    }

    fn put_back(mut self, pixels: &mut [u8], width: usize) {
        self.each(width, |plane, at| pixels[at] = *plane);
    }

    /// Visits every byte of the planes with its place in the picture.
    fn each(&mut self, width: usize, mut visit: impl FnMut(&mut u8, usize)) {
        for (colour, plane) in self.planes.iter_mut().enumerate() {
            for (column, bytes) in plane.chunks_exact_mut(self.rows).enumerate() {
                for (row, byte) in bytes.iter_mut().enumerate() {
                    visit(byte, ((self.top + row) * width + self.left + column) * 4 + colour);
                }
            }
        }
    }

    /// Finds what a line covers in every column.
    fn cover(&self, line: &Line, frame: &Frame, right: bool, zoom: f64, covered: &mut [Stretch]) {
        let place = |point: &super::Point| {
            let y = frame.y(right, point.value) * zoom;
            y.is_finite().then(|| ((frame.x(point.ts) * zoom) as f32, y as f32))
        };
        let mut before: Option<(f32, f32)> = None;
        let mut alone = false;
        for point in &line.points {
            let now = place(point);
            match (before, now) {
                (Some(from), Some(to)) => {
                    self.stroke(from, to, covered);
                    alone = false;
                }
                (None, Some(_)) => alone = true,
                (Some(last), None) if alone => self.dot(last, covered),
                _ => {}
            }
            before = now;
        }
        if let Some(last) = before.filter(|_| alone) {
            self.dot(last, covered);
        }
    }

    /// A stroke one pixel wide.
    fn stroke(&self, from: (f32, f32), to: (f32, f32), covered: &mut [Stretch]) {
        let (from, to) = if from.0 <= to.0 { (from, to) } else { (to, from) };
        let slope = (to.1 - from.1) / (to.0 - from.0);
        if !slope.is_finite() {
            return self.extend(from.0, from.1.min(to.1), from.1.max(to.1), covered);
        }
        // Each column gets as much as the stroke has of it: a flat one is one pixel high, a steep one as high as it climbs.
        let margin = (1.0_f32.hypot(slope) - slope.abs()) / 2.0;
        for column in from.0.floor() as usize..=to.0.floor() as usize {
            let ends = [from.0.max(column as f32), to.0.min(column as f32 + 1.0)];
            let [one, two] = ends.map(|x| from.1 + (x - from.0) * slope);
            self.extend(column as f32, one.min(two) - margin, one.max(two) + margin, covered);
        }
    }

    /// A point between two gaps.
    fn dot(&self, (x, y): (f32, f32), covered: &mut [Stretch]) {
        self.extend(x, y - 1.0, y + 1.0, covered);
    }

    fn extend(&self, x: f32, low: f32, high: f32, covered: &mut [Stretch]) {
        // The last moment stands on the right edge.
        let stretch = &mut covered[(x as usize).min(self.columns - 1)];
        *stretch = (stretch.0.min(low), stretch.1.max(high));
    }

    /// Lays ink on a stretch of a column. What stands on the upper or the lower edge is moved in by its other half.
    fn lay(&mut self, column: usize, (low, high): Stretch, ink: [u8; 3]) {
        if low > high {
            return;
        }
        let rows = self.rows as f32;
        let (low, high) = (low.clamp(0.0, rows - 1.0), high.clamp(1.0, rows));
        // The first and the last pixel are covered in part.
        let (first, last) = (low.ceil() as usize, high.floor() as usize);
        let share = |part: f32| (f32::from(OPACITY) * part) as u16;
        for (plane, ink) in self.planes.iter_mut().zip(ink) {
            let column = &mut plane[column * self.rows..][..self.rows];
            if first > last {
                blend(&mut column[last..first], ink, share(high - low));
                continue;
            }
            blend(&mut column[first..last], ink, OPACITY);
            blend(&mut column[low as usize..first], ink, share(first as f32 - low));
            blend(&mut column[last..high.ceil() as usize], ink, share(high - last as f32));
        }
    }
}

fn blend(pixels: &mut [u8], ink: u8, share: u16) {
    let laid = u16::from(ink) * share + 128;
    for pixel in pixels {
        *pixel = ((u16::from(*pixel) * (256 - share) + laid) >> 8) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Formatter, Group, Point},
        *,
    };

    /// The darkness of a column, summed over its pixels, of one line on white paper.
    fn drawn(points: &[(f64, f64)], group: usize) -> (Frame, Vec<u8>, usize) {
        let points: Vec<Point> = points.iter().map(|(ts, value)| Point { ts: *ts, value: *value }).collect();
        let group_of = || Group { title: String::new(), right: false, stacked: false };
        let chart = Chart {
            title: String::new(),
            note: String::new(),
            groups: vec![group_of(), group_of()],
            lines: vec![Line {
                group,
                identity: 6,
                name: String::new(),
                detail: String::new(),
                points,
                floor: Vec::new(),
            }],
            logarithmic: false,
            relative_time: false,
            dots: false,
            style: None,
            formatter: Formatter::Plain,
        };
        let frame = Frame::new(&chart).unwrap();
        let width = super::super::frame::WIDTH as usize;
        let mut pixels = vec![255; width * super::super::frame::HEIGHT as usize * 4];
        draw(&chart, &frame, 1.0, &mut pixels, width);
        (frame, pixels, width)
    }

    fn darkness(frame: &Frame, pixels: &[u8], width: usize, column: usize) -> f64 {
        let full = (255.0 - 77.0) * f64::from(OPACITY) / 256.0;
        let red = |row: usize| pixels[(row * width + frame.left as usize + column) * 4];
        let sum: f64 = (0..super::super::frame::HEIGHT as usize).map(|row| 255.0 - f64::from(red(row))).sum();
        sum / full
    }

    #[test]
    fn a_line_has_the_same_weight_whatever_its_slope() {
        for rise in [0.0, 0.3, 1.0, 4.0] {
            // The axes take these ends as they are.
            let (frame, pixels, width) = drawn(&[(0.0, 0.0), (1.0, 10.0), (2.0, 10.0 - rise)], 0);
            let slope = rise / 10.0 * frame.height / (frame.width / 2.0);
            let wanted = 1.0_f64.hypot(slope);
            let column = (frame.width * 0.75) as usize;
            let got = darkness(&frame, &pixels, width, column);
            assert!((got / wanted - 1.0).abs() < 0.05, "{rise}: {got} for {wanted}");
        }
    }

    #[test]
    fn gaps_stay_empty_and_lone_points_are_seen() {
        let points =
            [(0.0, 5.0), (1.0, 5.0), (1.5, f64::NAN), (5.0, 3.0), (6.0, f64::NAN), (8.0, 0.0), (10.0, 10.0)];
        let (frame, pixels, width) = drawn(&points, 0);
        let at =
            |ts: f64| darkness(&frame, &pixels, width, (frame.x(ts) as usize).min(frame.width as usize - 1));
        assert!(at(0.5) > 0.9 && at(9.0) > 0.9 && at(10.0) > 0.0);
        assert_eq!((at(3.0), at(7.0)), (0.0, 0.0));
        assert!(at(5.0) > 1.8);
    }

    #[test]
    fn the_second_quantity_has_dashes() {
        let (frame, pixels, width) = drawn(&[(0.0, 0.0), (1.0, 1.0)], 1);
        let inked =
            (0..frame.width as usize).filter(|at| darkness(&frame, &pixels, width, *at) > 0.0).count();
        let share = inked as f64 / frame.width;
        assert!((share - 7.0 / 11.0).abs() < 0.02, "{share}");
    }
}
