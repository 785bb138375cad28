//! How the scheduler treated a task in an interval.

use super::{Before, Row};
use crate::sample::{Missing, Reading, Runs};

impl Row<'_> {
    /// Switches and histograms of the interval, with those of the descendants. The longest times and who took the CPU are
    /// those of the last sample's interval.
    pub fn runs(&self) -> Reading<Runs> {
        let mut sum = self.own_runs()?;
        for row in self.descendants {
            match row.own_runs() {
                Ok(runs) => sum = sum.plus(&runs),
                Err(Missing::DoesNotApply) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(sum)
    }

    fn own_runs(&self) -> Reading<Runs> {
        let now = self.now.runs.as_deref().map_err(|why| *why)?;
        match self.before {
            Before::Zero => Ok(*now),
            Before::Known(task) => {
                let before = task.runs.as_deref().map_err(|why| *why)?;
                now.since(before).ok_or(Missing::WentBackwards)
            }
            Before::Unknown => Err(Missing::NoEarlier),
        }
    }
}
