//! The output that was asked for, and its style.

use super::{
    args::{Args, Format},
    plan::Usage,
    surroundings::Surroundings,
};
use crate::sink::{
    Absent, Sink, TimeFormat,
    csv::Csv,
    json,
    json::Json,
    pypidstat,
    pypidstat::Pypidstat,
    text,
    text::{Palette, Text},
};

/// The output and its style.
#[derive(Clone, Debug)]
pub enum Output {
    /// Text.
    Text(text::Style),
    /// JSON.
    Json(json::Style),
    /// pypidstat's table.
    Pypidstat(pypidstat::Style),
    /// CSV.
    Csv {
        /// Whether threads have rows.
        threads: bool,
        /// Whether command lines are shown.
        command_lines: bool,
    },
}

impl Output {
    /// Opens the sink.
    pub fn sink(&self) -> Box<dyn Sink> {
        match self {
            Output::Text(style) => Box::new(Text::new(style.clone())),
            Output::Json(style) => Box::new(Json::new(style.clone())),
            Output::Pypidstat(style) => Box::new(Pypidstat::new(style.clone())),
            Output::Csv { threads, command_lines } => Box::new(Csv::new(*threads, *command_lines)),
        }
    }
}

/// Decides the output.
pub(super) fn output(args: &Args, around: &Surroundings, header_always: bool) -> Result<Output, Usage> {
    let variable = around.variable;
    let iso = variable("S_TIME_FORMAT").as_deref() == Some("ISO");
    let time = match (&args.time_format, args.epoch > 0, iso) {
        (Some(text), _, _) => {
            TimeFormat::named(text).map_err(|what| Usage(format!("--time-format {text:?}: {what}")))?
        }
        (None, true, _) => TimeFormat::Epoch,
        (None, false, true) => TimeFormat::Iso,
        (None, false, false) => TimeFormat::Clock,
    };
    let iso_date = iso || time == TimeFormat::Full;
    let (threads, users, command_lines) = (args.threads > 0, args.user.is_some(), args.command_lines > 0);
    let zone = around.zone.clone();
    Ok(match args.output {
        Some(Format::Csv) => Output::Csv { threads, command_lines },
        Some(format @ (Format::Json | Format::Ndjson)) => {
            let lines = format == Format::Ndjson;
            Output::Json(json::Style {
                time,
                iso_date,
                zone,
                threads,
                users,
                command_lines,
                lines,
                plain: false,
            })
        }
        None => Output::Text(text::Style {
            time,
            iso_date,
            zone,
            threads,
            users,
            signed_users: false,
            command_lines,
            one_line: args.one_line > 0,
            decimals: usize::from(args.decimals),
            human: args.human,
            absent: Absent::Said,
            palette: around.palette(Palette::on),
            header_always,
            header_period: around.header_period(),
        }),
    })
}
