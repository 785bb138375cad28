//! What is done to a line before it is drawn: the moving average, then Ramer-Douglas-Peucker.
//!
//! Both compute in Procpath's order, so that equal recordings give equal bits. A missing value is a gap: it is NaN, and
//! the stretches on its two sides are treated by themselves.

use crate::sink::plot::Point;

/// The centred mean of `window` values: so many fewer points less one, each at the time of its middle value.
pub fn average(points: &[Point], window: usize) -> Vec<Point> {
    stretches(points, |stretch| {
        let Some(first) = stretch.get(..window.saturating_sub(1)) else { return Vec::new() };
        let mut sum = first.iter().fold(0.0, |sum, point| sum + point.value);
        let mut leaving = 0.0;
        let ends = stretch[first.len()..].iter().enumerate();
        let averaged = ends.map(|(at, entering)| {
            sum += entering.value - leaving;
            leaving = stretch[at].value;
            Point { ts: stretch[at + window / 2].ts, value: sum / window as f64 }
        });
        averaged.collect()
    })
}

/// Leaves out points that lie within `epsilon` of the line without them; times count in seconds, values in their unit.
pub fn simplify(points: &[Point], epsilon: f64) -> Vec<Point> {
    stretches(points, |stretch| {
        let Some(last) = stretch.len().checked_sub(1) else { return Vec::new() };
        let mut kept = vec![false; stretch.len()];
        kept[0] = true;
        kept[last] = true;
        let mut spans = vec![(0, last)];
        while let Some((from, to)) = spans.pop() {
            let mut farthest = (from, epsilon);
            for at in from + 1..to {
                let far = distance(stretch[at], stretch[from], stretch[to]);
                if far > farthest.1 {
                    farthest = (at, far);
                }
            }
            if farthest.0 != from {
                kept[farthest.0] = true;
                spans.extend([(from, farthest.0), (farthest.0, to)]);
            }
        }
        stretch.iter().zip(kept).filter(|(_, kept)| *kept).map(|(point, _)| *point).collect()
    })
}

/// How far a point is from the line through two others.
fn distance(point: Point, one: Point, two: Point) -> f64 {
    if one == two {
        return (one.ts - point.ts).hypot(one.value - point.value);
    }
    let (rise, run) = (two.value - one.value, two.ts - one.ts);
    let area = rise * point.ts - run * point.value + two.ts * one.value - two.value * one.ts;
    area.abs() / run.hypot(rise)
}

/// Treats each stretch without gaps by itself, and keeps a gap between them.
fn stretches(points: &[Point], treat: impl Fn(&[Point]) -> Vec<Point>) -> Vec<Point> {
    let mut treated = Vec::new();
    let mut rest = points;
    while !rest.is_empty() {
        let end = rest.iter().position(|point| point.value.is_nan()).unwrap_or(rest.len());
        let (stretch, after) = rest.split_at(end);
        treated.extend(treat(stretch));
        rest = match after.split_first() {
            Some((gap, after)) => {
                treated.push(*gap);
                after
            }
            None => after,
        };
    }
    treated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(at, value)| Point { ts: at as f64, value: *value }).collect()
    }

    fn times(points: &[Point]) -> Vec<f64> {
        points.iter().map(|point| point.ts).collect()
    }

    /// The line of Procpath's own tests, and what 1.15.1 makes of it.
    const REFERENCE: [f64; 10] = [0.0, 0.1, -0.1, 5.0, 6.0, 7.0, 8.1, 9.0, 9.0, 9.0];

    #[test]
    fn simplification_keeps_the_peaks() {
        let line = points(&REFERENCE);
        assert_eq!(times(&simplify(&line, 0.5)), [0.0, 2.0, 3.0, 7.0, 9.0]);
        assert_eq!(times(&simplify(&line, 5.0)), [0.0, 9.0]);
        assert_eq!(simplify(&line[..2], 5.0), line[..2]);
        assert_eq!(simplify(&[], 5.0), []);
    }

    #[test]
    fn the_average_stands_at_the_middle() {
        let line = points(&REFERENCE);
        let three = average(&line, 3);
        let rounded: Vec<(f64, f64)> =
            three.iter().map(|point| (point.ts, (point.value * 1000.0).round() / 1000.0)).collect();
        assert_eq!(rounded[..2], [(1.0, 0.0), (2.0, 1.667)]);
        assert_eq!((rounded.len(), rounded[7]), (8, (8.0, 9.0)));
        let ten = average(&line, 10);
        assert_eq!((ten.len(), ten[0].ts, (ten[0].value * 100.0).round()), (1, 5.0, 531.0));
        assert_eq!(average(&line, 11), []);
        assert_eq!(average(&line, 1).len(), 10);
        assert_eq!(times(&average(&line[..4], 4)), [2.0], "an even window leans to the left");
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let line = points(&[1.0, 1.0, 1.0, f64::NAN, 5.0, 5.0, 5.0]);
        let shown = simplify(&line, 0.1);
        assert_eq!(times(&shown), [0.0, 2.0, 3.0, 4.0, 6.0]);
        let values: Vec<f64> = average(&line, 2).iter().map(|point| point.value).collect();
        assert_eq!(values[..2], [1.0, 1.0]);
        assert!(values[2].is_nan());
        assert_eq!(values[3..], [5.0, 5.0]);
    }

    #[test]
    fn a_long_saw_does_not_exhaust_the_stack() {
        let saw: Vec<f64> = (0..200_000).map(|at| f64::from(at % 2)).collect();
        assert_eq!(simplify(&points(&saw[..3_000]), 0.001).len(), 3_000);
        assert_eq!(simplify(&points(&saw), 2.0).len(), 2);
    }
}
