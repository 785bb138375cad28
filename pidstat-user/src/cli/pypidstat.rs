//! `--style pypidstat`, and what the name `pypidstat` means: its options and what they become here.

use super::{
    args::{Args, StyleArg},
    plan::Usage,
};
use crate::{
    column::{Column, pypidstat::BLOCKS},
    select::Filter,
    sink::pypidstat::Style,
};
use jiff::tz::TimeZone;
use std::{ffi::OsString, path::Path};

/// The name, as a program and as a style.
const NAME: &str = "pypidstat";
/// What its users call it besides.
const FILES: [&str; 2] = ["pidstat.py", "pypidstat.py"];

/// What `--help` says under that name.
pub(super) const HELP: &str = "\
usage: pypidstat [-h] [-v] [-u] [-r] [-w] [-d] [-n] [-l] [-p PIDS] [--comm_regex COMM_REGEX] [--dev DEV] [--ignore]
                 [itv] [count]

One line per process, as pypidstat prints it.

positional arguments:
  itv                   seconds between reports, fractions allowed; without it, one report since boot
  count                 number of reports; without it, until interrupted

options:
  -h, --help            show this help message and exit
  -v, --verbose         changes nothing
  -u, --cpu             CPU: %usr %sys %guest %wait %CPU CPU_ID
  -r, --memory          page faults and memory: minflt/s majflt/s VSZ RSS VmPeak(KB) %MEM
  -w, --switch          context switches: cswch/s nvcswch/s
  -d, --disk            disk: kB_rd/s kB_wr/s kB_cwr/s iodelay
  -n, --network         network: s_cnt/s s_byte/s r_cnt/s r_byte/s
  -l, --long            command lines instead of names
  -p PIDS, --pids PIDS  only these processes, separated by commas
  --comm_regex COMM_REGEX
                        only processes whose command line matches from its start
  --dev DEV             only this device, where packets are captured (--net pcap); otherwise traffic is counted at the
                        sockets, whatever device it takes
  --ignore              leave this program itself out

kpidstat --help has the options of kpidstat, of which most work here too.
";

/// Whether the program was called by pypidstat's name.
fn is_called(arguments: &[OsString]) -> bool {
    let name = arguments.first().and_then(|path| Path::new(path).file_name());
    name.is_some_and(|name| name == NAME || FILES.iter().any(|file| name == *file))
}

/// Whether pypidstat's help is asked for.
pub(super) fn wants_help(arguments: &[OsString]) -> bool {
    is_called(arguments) && arguments.iter().any(|argument| argument == "-h" || argument == "--help")
}

/// Makes our options of pypidstat's where that is asked for, by name or by `--style`: `-h` is help there, and
/// `-v`/`--verbose` changes nothing.
pub(super) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let by_name = is_called(&arguments);
    let by_style = arguments.windows(2).any(|pair| pair[0] == "--style" && pair[1] == NAME)
        || arguments.iter().any(|argument| argument == "--style=pypidstat");
    if !by_name && !by_style {
        return arguments;
    }
    arguments.retain(|argument| !matches!(argument.to_str(), Some("-v" | "--verbose")));
    for argument in &mut arguments {
        if argument == "-h" {
            *argument = "--help".into();
        }
    }
    if by_name && !by_style {
        arguments.insert(1, "--style=pypidstat".into());
    }
    arguments
}

/// The style, if it was asked for.
pub(super) fn style(args: &Args, zone: &TimeZone) -> Result<Option<Style>, Usage> {
    let Some(StyleArg::Pypidstat) = args.style else { return Ok(None) };
    let foreign = [
        ("-t", args.threads > 0),
        ("-s", args.stack > 0),
        ("--delay", args.delay > 0),
        ("-R", args.realtime > 0),
        ("-T", !args.scope.is_empty()),
        ("-h", args.one_line > 0),
        ("-H", args.epoch > 0),
        ("--time-format", args.time_format.is_some()),
        ("-o", args.output.is_some()),
        ("--human", args.human),
        ("--cgroup", args.cgroup.is_some()),
        ("--container", args.container.is_some()),
        ("--columns", !args.columns.is_empty()),
    ];
    if let Some((option, _)) = foreign.iter().find(|(_, given)| *given) {
        return Err(Usage(format!("{option} has no meaning in pypidstat's table")));
    }
    let asked = |letter| match letter {
        'u' => args.cpu > 0,
        'r' => args.memory > 0,
        'd' => args.disk > 0,
        'w' => args.switches > 0,
        _ => args.network > 0,
    };
    Ok(Some(Style {
        blocks: BLOCKS.iter().filter(|block| asked(block.letter)).copied().collect(),
        zone: zone.clone(),
        command_lines: args.command_lines > 0,
    }))
}

/// The registry's columns of a style.
pub(super) fn columns(style: &Style) -> Vec<&'static Column> {
    let fields = style.blocks.iter().flat_map(|block| block.fields);
    fields.filter_map(crate::column::pypidstat::Field::column).collect()
}

/// Chooses rows as pypidstat does: idle ones too, none that was not there before, and `-p` beats `--comm_regex`.
pub(super) fn adapt(filter: &mut Filter, listed: bool, has_interval: bool) {
    filter.idle_too = true;
    filter.compared_only = has_interval;
    if listed {
        filter.command_line = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let words = translate(line.split_whitespace().map(OsString::from));
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_name_is_the_style_and_its_options_are_understood() {
        assert_eq!(translated("/x/pypidstat -u 1 3"), "/x/pypidstat --style=pypidstat -u 1 3");
        assert_eq!(translated("kpidstat --style pypidstat -v -h"), "kpidstat --style pypidstat --help");
        assert_eq!(translated("kpidstat -h -v 1"), "kpidstat -h -v 1");
    }

    #[test]
    fn every_option_of_its_usage_is_accepted() {
        let line = "pypidstat --verbose --cpu --memory --switch --disk --network --long --pids 1,20210 --comm_regex .*a.* \
                    --dev eth0 --ignore 2 10";
        let args = Args::try_read(line.split_whitespace().map(OsString::from)).unwrap();
        let style = style(&args, &TimeZone::UTC).unwrap().unwrap();
        let letters: String = style.blocks.iter().map(|block| block.letter).collect();
        assert_eq!((letters.as_str(), columns(&style).len(), args.pids.len()), ("urdwn", 22, 2));
        assert_eq!(args.devices, ["eth0"]);
    }

    #[test]
    fn what_it_has_not_is_refused() {
        let args = ["kpidstat", "--style", "pypidstat", "-t", "1"].map(OsString::from);
        assert!(style(&Args::try_read(args).unwrap(), &TimeZone::UTC).is_err());
    }
}
