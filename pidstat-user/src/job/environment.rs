//! Variables of `-e NAME=COMMAND`: each command runs in a shell of its own and sees the variables before it.

mod splice;

use crate::{cli::tree::Definition, engine::wait::unblock};
use std::{
    io::{self, Read as _},
    process::{Command, Stdio},
};

/// More than any list of processes has.
const MOST_BYTES: u64 = 1 << 20;

/// Variables with their values, in the order of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    /// Runs the commands. What they print, without the newlines at its end, is the value; what goes wrong is said on
    /// standard error, and the value is what was printed until then.
    pub fn evaluate(definitions: &[Definition]) -> Variables {
        let mut variables: Vec<(String, String)> = Vec::new();
        for Definition { name, command } in definitions {
            let value = output(name, command, &variables).unwrap_or_else(|why| {
                eprintln!("kpidstat: variable {name}: {why}");
                String::new()
            });
            if value.is_empty() {
                eprintln!("kpidstat: variable {name} evaluated empty");
            }
            variables.retain(|(other, _)| other != name);
            variables.push((name.clone(), value));
        }
        Variables(variables)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Replaces `$NAME`, `${NAME}` and `$$`, as Python's `Template.safe_substitute` does: an unknown name stays. For names
    /// of files and lists of numbers; in a query the variables are values and are not spliced in. Without variables nothing
    /// is replaced.
    pub fn fill(&self, text: &str) -> String {
        self.walk(text, |_| (), |(), _, value, out| out.push_str(value))
    }
}

/// What a command prints, and what went wrong on standard error.
fn output(name: &str, command: &str, variables: &[(String, String)]) -> io::Result<String> {
    let mut child = unblock(&mut Command::new("sh"))
        .args(["-c", command])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| io::Error::other(format!("sh cannot be started: {error}")))?;
    let mut printed = Vec::new();
    // What is left of the pipe is closed with it, which ends whoever still writes.
    let read = child.stdout.take().map(|out| out.take(MOST_BYTES).read_to_end(&mut printed));
    let status = child.wait()?;
    read.transpose()?;
    if printed.len() as u64 == MOST_BYTES {
        return Err(io::Error::other(format!("{command:?} printed more than {} KiB", MOST_BYTES >> 10)));
    }
    if !status.success() {
        eprintln!("kpidstat: variable {name}: {command:?} failed ({status})");
    }
    Ok(String::from_utf8_lossy(&printed).trim_end_matches('\n').to_owned())
}

/// The name that a text begins with; none if it begins with a digit.
fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(definitions: &[&str]) -> Variables {
        let definitions: Vec<Definition> = definitions.iter().map(|text| text.parse().unwrap()).collect();
        Variables::evaluate(&definitions)
    }

    #[test]
    fn later_commands_see_earlier_values() {
        let variables = variables(&["A=printf '1\\n2\\n\\n'", "B=echo \"<$A>\"", "C=echo half; exit 3"]);
        assert_eq!(variables.get("A"), Some("1\n2"));
        assert_eq!(variables.get("B"), Some("<1\n2>"));
        assert_eq!(variables.get("C"), Some("half"));
        assert_eq!(self::variables(&["A=yes"]).get("A"), Some(""), "it has no end");
    }

    #[test]
    fn names_are_replaced_and_all_else_stays() {
        let variables = variables(&["A=echo 1", "B_2=echo 2"]);
        for (text, filled) in [
            ("k-$A.sqlite", "k-1.sqlite"),
            ("${A}x$B_2,", "1x2,"),
            ("$..a $unknown ${unknown} $$A $ ${A", "$..a $unknown ${unknown} $A $ ${A"),
            ("ü$A", "ü1"),
        ] {
            assert_eq!(variables.fill(text), filled);
        }
        assert_eq!(Variables::default().fill("$$ $A"), "$$ $A");
    }

    #[test]
    fn a_definition_needs_a_name() {
        for text in ["A", "=x", "1A=x", "A-B=x"] {
            assert!(text.parse::<Definition>().is_err(), "{text}");
        }
    }
}
