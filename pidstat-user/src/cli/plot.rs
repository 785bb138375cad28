//! What `kpidstat plot` takes.

use clap::Args;
use jiff::{civil::DateTime, tz::TimeZone};
use std::path::PathBuf;

/// `kpidstat plot`.
#[derive(Clone, Debug, Args)]
#[command(max_term_width = 110)]
pub struct PlotArgs {
    /// The recording to read
    #[arg(short = 'd', long, value_name = "FILE", help_heading = "Files")]
    pub database_file: PathBuf,

    /// The plot to write: .svg, .png, or .csv with the points of every line; - is standard output
    #[arg(
        short = 'f',
        long,
        short_alias = 'o',
        value_name = "FILE",
        default_value = "plot.svg",
        help_heading = "Files"
    )]
    pub plot_file: PathBuf,

    /// Write PNG whatever the file is called
    #[arg(long, conflicts_with = "csv", help_heading = "Files")]
    pub png: bool,

    /// Write the points whatever the file is called
    #[arg(long, help_heading = "Files")]
    pub csv: bool,

    /// A built-in query: cpu, rss, pss, uss, swap, fd, rbs, wbs, wait, or of our recordings rxbs, txbs, rxps, txps, tcp,
    /// sockets, runq, iodelay; two of them get an axis each
    #[arg(short = 'q', long = "query-name", value_name = "NAME", help_heading = "Queries")]
    pub query_names: Vec<String>,

    /// An SQL query in a file, with the columns ts, pid and value; it may use :after, :before and :pid_list
    #[arg(long = "custom-query-file", value_name = "FILE", help_heading = "Queries")]
    pub custom_query_files: Vec<PathBuf>,

    /// An SQL expression over the columns of a recorded row
    #[arg(
        long = "custom-value-expr",
        value_name = "EXPR",
        allow_hyphen_values = true,
        help_heading = "Queries"
    )]
    pub custom_value_exprs: Vec<String>,

    /// Only points from this time on, in UTC, like 2000-01-01T00:00:00
    #[arg(short = 'a', long, value_name = "TIME", value_parser = seconds, help_heading = "Selection")]
    pub after: Option<f64>,

    /// Only points up to this time
    #[arg(short = 'b', long, value_name = "TIME", value_parser = seconds, help_heading = "Selection")]
    pub before: Option<f64>,

    /// Only these processes
    #[arg(short = 'p', long, value_name = "LIST", value_delimiter = ',', help_heading = "Selection")]
    pub pid_list: Vec<i64>,

    /// One axis for all queries
    #[arg(short = 's', long, help_heading = "Look")]
    pub share_y_axis: bool,

    /// Logarithmic scale; what is not above zero is left out
    #[arg(short = 'l', long, help_heading = "Look")]
    pub logarithmic: bool,

    /// Colours, like DarkStyle or LightSolarizedStyle; without it, light or dark as the viewer is
    #[arg(long, value_name = "NAME", help_heading = "Look")]
    pub style: Option<String>,

    /// How values are written: human_readable, default, significant, integer or raw
    #[arg(long, value_name = "NAME", help_heading = "Look")]
    pub formatter: Option<String>,

    /// A title of your own
    #[arg(long, help_heading = "Look")]
    pub title: Option<String>,

    /// No dots on the lines near the labels of the time axis
    #[arg(long, help_heading = "Look")]
    pub no_dots: bool,

    /// Time since the first point instead of the time of day
    #[arg(long, help_heading = "Look")]
    pub relative_time: bool,

    /// Leave out points nearer than this to the line without them (Ramer-Douglas-Peucker)
    #[arg(short = 'e', long, value_name = "EPSILON", value_parser = epsilon, allow_negative_numbers = true, help_heading = "Smoothing")]
    pub epsilon: Option<f64>,

    /// Centred moving average of so many points, before points are left out
    #[arg(short = 'w', long, value_name = "POINTS", value_parser = window, allow_negative_numbers = true, help_heading = "Smoothing")]
    pub moving_average_window: Option<usize>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let time: DateTime =
        text.parse().map_err(|_| "it is a time in UTC like 2000-01-01T00:00:00".to_owned())?;
    let zoned = time.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
    Ok(zoned.timestamp().as_nanosecond() as f64 / 1e9)
}

fn epsilon(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "it is a number, zero or above".to_owned())
}

fn window(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "Moving average window must be a positive number".to_owned())
}
