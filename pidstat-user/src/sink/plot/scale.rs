//! Where a value stands on its axis, and at which round numbers the axis is labelled.

/// An axis of values.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Whether places are those of logarithms; then the ends are logarithms too.
    pub logarithmic: bool,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The values that are labelled.
    pub ticks: Vec<f64>,
    /// How far apart they are; 0 on a logarithmic scale.
    pub step: f64,
}

impl Scale {
    /// The axis for values from `low` to `high`, with about so many labels.
    pub fn new(low: f64, high: f64, labels: usize, logarithmic: bool) -> Scale {
        if logarithmic { Scale::of_logarithms(low, high) } else { Scale::linear(low, high, labels) }
    }

    fn linear(mut low: f64, mut high: f64, labels: usize) -> Scale {
        // From zero, unless that would press the lines together far away from it.
        if low > 0.0 && low < high * 0.7 {
            low = 0.0;
        }
        if high < 0.0 && high > low * 0.7 {
            high = 0.0;
        }
        if high - low <= high.abs().max(low.abs()) * 1e-9 {
            let around = if high == 0.0 { 1.0 } else { high.abs() * 0.1 };
            if low != 0.0 {
                low -= around;
            }
            high += around;
        }
        let step = round_step((high - low) / labels.max(1) as f64);
        let (first, last) = ((low / step).floor(), (high / step - 1e-9).ceil());
        let ticks = (0..=(last - first) as u32).map(|at| (first + f64::from(at)) * step).collect();
        Scale { logarithmic: false, low: first * step, high: last * step, ticks, step }
    }

    fn of_logarithms(low: f64, high: f64) -> Scale {
        let (low, high) = (low.log10(), high.log10());
        let (low, high) = if high - low < 1e-9 { (low - 0.5, high + 0.5) } else { (low, high) };
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        let decades = last - first;
        let parts: &[f64] = match decades {
            0..=1 => &[1.0, 2.0, 3.0, 5.0, 7.0],
            2..=3 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let every = decades.unsigned_abs().div_ceil(10).max(1) as usize;
        let all = (first..=last).step_by(every);
        let ticks = all.flat_map(|decade| parts.iter().map(move |part| part * 10_f64.powi(decade)));
        // The ends are where the values end: a decade with one value at its edge would be wasted paper.
        let margin = (high - low) * 0.03;
        let (low, high) = (low - margin, high + margin);
        let inside = |tick: &f64| (low..=high).contains(&tick.log10());
        let mut ticks: Vec<f64> = ticks.filter(inside).collect();
        if ticks.len() < 3 {
            // A part of a decade is nearly even.
            let (from, to) = (10_f64.powf(low), 10_f64.powf(high));
            let step = round_step((to - from) / 6.0);
            let first = (from / step).ceil();
            ticks = (0..=7).map(|at| (first + f64::from(at)) * step).filter(inside).collect();
        }
        Scale { logarithmic: true, low, high, ticks, step: 0.0 }
    }

    /// A value in the axis's own measure: itself, or its logarithm; NaN if it has no place.
    pub fn measure(&self, value: f64) -> f64 {
        match self.logarithmic {
            true if value > 0.0 => value.log10(),
            true => f64::NAN,
            false => value,
        }
    }

    /// From 0 at the lower end to 1 at the upper one.
    pub fn place(&self, value: f64) -> f64 {
        (self.measure(value) - self.low) / (self.high - self.low)
    }
}

/// The next of 1, 2, 2.5 and 5 with zeros.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let of = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|of| of * power >= least * 0.999_999);
    of.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn labels_are_round_and_enclose_the_values() {
        let scale = Scale::new(3.0, 97.0, 5, false);
        assert_eq!(
            (scale.ticks.as_slice(), scale.place(50.0)),
            (&[0.0, 20.0, 40.0, 60.0, 80.0, 100.0][..], 0.5)
        );
        let scale = Scale::new(995.0, 1003.0, 5, false);
        assert_eq!((scale.low, scale.high), (994.0, 1004.0));
        let scale = Scale::new(7.0, 7.0, 5, false);
        assert!(scale.low < 7.0 && scale.high > 7.0 && scale.ticks.len() > 2, "{scale:?}");
        let scale = Scale::new(0.0, 0.0, 5, false);
        assert_eq!((scale.low, scale.high), (0.0, 1.0));
        let scale = Scale::new(-30.0, 45.0, 5, false);
        assert_eq!(scale.ticks, [-40.0, -20.0, 0.0, 20.0, 40.0, 60.0]);
    }

    #[test]
    fn decades_of_a_logarithmic_axis() {
        let scale = Scale::new(0.02, 30_000.0, 5, true);
        assert_eq!(scale.ticks, [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert!(scale.measure(0.0).is_nan() && scale.place(0.02) > 0.0);
        assert!(Scale::new(5.0, 5.0, 5, true).ticks.len() > 1);
        assert_eq!(Scale::new(28.0, 53.0, 5, true).ticks, [30.0, 35.0, 40.0, 45.0, 50.0]);
        assert!(Scale::new(32.0, 32.1, 5, true).ticks.len() > 2);
        assert!(Scale::new(1e-300, 1e300, 5, true).ticks.len() < 15);
    }
}
