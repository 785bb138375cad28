//! What was measured, and the medians of it.

use super::{
    arena::Population,
    contender::{Contender, Reports},
    measure::Run,
    page::Page,
    plot::Plot,
    query::Answer,
    record::Recording,
};

/// Everything of one bench.
#[derive(Default)]
pub struct Results {
    /// Each run with its population and the contender's number.
    pub runs: Vec<(Population, usize, Run)>,
    /// System calls of a sample at 1 000 processes, with the contender's number.
    pub calls: Vec<(usize, f64)>,
    /// Queries of the process tree.
    pub answers: Vec<Answer>,
    /// Recordings of it.
    pub recordings: Vec<Recording>,
    /// Plots.
    pub plots: Vec<Plot>,
    /// What stands for itself.
    pub pages: Vec<Page>,
    /// What could not be measured: what, and why.
    pub missing: Vec<(String, String)>,
}

impl Results {
    /// Median of a figure over the rounds.
    pub fn median(&self, population: Population, who: usize, figure: impl Fn(&Run) -> f64) -> Option<f64> {
        let of =
            |(p, w, run): &(Population, usize, Run)| (*p == population && *w == who).then(|| figure(run));
        median(self.runs.iter().filter_map(of).collect())
    }

    /// The least of a figure over the rounds: for elapsed times, which the machine's other work only ever lengthens.
    pub fn least(&self, population: Population, who: usize, figure: impl Fn(&Run) -> f64) -> Option<f64> {
        let of =
            |(p, w, run): &(Population, usize, Run)| (*p == population && *w == who).then(|| figure(run));
        self.runs.iter().filter_map(of).min_by(f64::total_cmp)
    }

    /// How many times more CPU time one sample of `who` takes than our own with the same reports.
    pub fn ratio(&self, population: Population, who: usize, contenders: &[Contender]) -> Option<f64> {
        let own = own(contenders, contenders[who].reports)?;
        let of = |who| self.median(population, who, |run| run.sample_ms);
        Some(of(who)? / of(own)?)
    }

    /// System calls of one sample.
    pub fn calls(&self, who: usize) -> Option<f64> {
        self.calls.iter().find(|(number, _)| *number == who).map(|(_, calls)| *calls)
    }
}

/// Our own contender with these reports.
pub fn own(contenders: &[Contender], reports: Reports) -> Option<usize> {
    contenders.iter().position(|contender| contender.own && contender.reports == reports)
}

/// The contender of this name.
pub fn named(contenders: &[Contender], name: &str) -> Option<usize> {
    contenders.iter().position(|contender| contender.name.starts_with(name))
}

/// The middle one; of two in the middle, their mean.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    if figures.len() % 2 == 1 { Some(upper) } else { Some((figures[middle - 1] + upper) / 2.0) }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_middle_of_odd_and_even() {
        assert_eq!(median(vec![3.0, 1.0, 9.0]), Some(3.0));
        assert_eq!(median(vec![3.0, 1.0, 9.0, 5.0]), Some(4.0));
        assert_eq!(median(Vec::new()), None);
    }
}
