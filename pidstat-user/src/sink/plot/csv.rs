//! The points of every line as CSV, as they would be drawn.

use super::Chart;
use std::io::{self, Write};

/// Writes a line per point: quantity, line, seconds since the epoch, value; a gap has no value.
///
/// # Errors
/// When it cannot be written.
pub fn write(chart: &Chart, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["query", "line", "ts", "value"])?;
    for line in &chart.lines {
        let title = &chart.groups[line.group].title;
        for point in &line.points {
            let value = if point.value.is_nan() { String::new() } else { point.value.to_string() };
            csv.write_record([title, &line.name, &point.ts.to_string(), &value])?;
        }
    }
    csv.flush()
}
