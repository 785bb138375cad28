//! Writes what follows from the registry and the argument definitions: man page, completions, `columns.md`.
//!
//! `cargo xtask gen` runs it: `gen OUTDIR`.

use clap::CommandFactory as _;
use pidstat_user::{
    cli::Args,
    column::connection::{FIGURES, MACHINE},
    column::{DELAY, NO_LETTER, REPORTS, Report, Scope},
    select::name::IDENTITIES,
};
use std::{env, fmt::Write as _, fs, io, path::Path};

/// The man page's sections that no definition holds.
const SECTIONS: &str = include_str!("../docs/sections.roff");

fn main() -> io::Result<()> {
    let out = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: gen OUTDIR"))?;
    let out = Path::new(&out);
    fs::create_dir_all(out)?;
    fs::write(out.join("kpidstat.1"), man()?)?;
    fs::write(out.join("columns.md"), columns())?;
    for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
        clap_complete::generate_to(shell, &mut Args::command(), "kpidstat", out)?;
    }
    Ok(())
}

fn man() -> io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(Args::command()).section("1").source("kpidstat").manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend_from_slice(b".SH COLUMNS\n");
    for report in REPORTS {
        page.extend_from_slice(format!(".SS \"{}\"\n", heading(report).replace('-', "\\-")).as_bytes());
        for column in report.columns {
            let place =
                if column.machine_only { format!("{} (\\-o only)", column.id) } else { column.head.into() };
            let help = column.help.replace('-', "\\-");
            page.extend_from_slice(format!(".TP\n.B {place}\n{help} [{}]\n", column.unit.name()).as_bytes());
        }
    }
    page.extend_from_slice(b".SS \"kpidstat net\"\n");
    for figure in FIGURES {
        let place = if figure.shown == MACHINE {
            format!("{} (\\-o, \\-\\-columns)", figure.id)
        } else {
            figure.head.into()
        };
        let help = figure.help.replace('-', "\\-");
        page.extend_from_slice(format!(".TP\n.B {place}\n{help} [{}]\n", figure.unit.name()).as_bytes());
    }
    page.extend_from_slice(b".SS \"Names of a row, for \\-\\-where and \\-\\-sort\"\n");
    for identity in &IDENTITIES {
        let help = identity.help.replace('-', "\\-");
        page.extend_from_slice(format!(".TP\n.B {}\n{help}\n", identity.id).as_bytes());
    }
    page.extend_from_slice(SECTIONS.as_bytes());
    Ok(page)
}

fn columns() -> String {
    let mut text = String::from(
        "# Columns\n\nMade by `cargo xtask gen` from the registry in `src/column/`; do not edit.\n\n\
         A missing value is `-` in text, `null` in JSON and empty in CSV; it is never zero.\n",
    );
    for report in REPORTS {
        let _ = write!(text, "\n## {}\n\n", heading(report));
        let _ = writeln!(text, "JSON array: `{}`\n", report.json);
        text.push_str("| id | head | JSON key | unit | meaning |\n|---|---|---|---|---|\n");
        for column in report.columns {
            let head = if column.machine_only { "(`-o` only)" } else { column.head };
            let _ = writeln!(
                text,
                "| `{}` | {head} | `{}` | {} | {} |",
                column.id,
                column.json,
                column.unit.name(),
                column.help
            );
        }
    }
    text.push_str("\n## kpidstat net\n\n| id | head | unit | meaning |\n|---|---|---|---|\n");
    for figure in FIGURES {
        let head = if figure.shown == MACHINE { "(`-o`, `--columns`)" } else { figure.head };
        let _ = writeln!(text, "| `{}` | {head} | {} | {} |", figure.id, figure.unit.name(), figure.help);
    }
    text.push_str("\n## Names of a row, for `--where` and `--sort`\n\n| name | meaning |\n|---|---|\n");
    for identity in &IDENTITIES {
        let _ = writeln!(text, "| `{}` | {} |", identity.id, identity.help);
    }
    text
}

/// What brings a report, and what it is about.
fn heading(report: &Report) -> String {
    let with = if report.scope == Scope::Children { " with -T CHILD" } else { "" };
    match report.flag {
        NO_LETTER | DELAY => report.title.into(),
        letter => format!("-{letter}{with}: {}", report.title),
    }
}
