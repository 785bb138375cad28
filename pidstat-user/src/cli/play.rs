//! The options of `play`.

use clap::Args;
use std::path::PathBuf;

/// What `play` was asked to do.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    long_about = "Runs sections of a playbook, in order, until one fails. A playbook names commands for the shell: play only \
                  those that you would run as a script, and look with -n first."
)]
pub struct PlayArgs {
    /// Sections, by name or pattern (*, ?, [...])
    #[arg(value_name = "SECTION", required = true)]
    pub targets: Vec<String>,

    /// The playbook; its commands are run, so look with -n first
    #[arg(short = 'f', long = "playbook-file", value_name = "FILE")]
    pub playbook: PathBuf,

    /// List the sections that match
    #[arg(short = 'l', long)]
    pub list_sections: bool,

    /// Print what would be run as JSON, and run nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Override an option of the sections, like database_file=db.sqlite
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = pair)]
    pub options: Vec<(String, String)>,

    /// Print this help
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("an option is KEY=VALUE")?;
    Ok((key.to_lowercase(), value.into()))
}
