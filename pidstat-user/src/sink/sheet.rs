//! What files say of processes, as JSON, NDJSON, CSV or the way Python prints it.

use super::{json, pprint::pprint};
use crate::sample::{Tree, tree::Name};
use std::io::Write as _;

/// What a sheet looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One document.
    Json,
    /// One object a row.
    Ndjson,
    /// A header, and one line a row.
    Csv,
    /// One value of Python's.
    Pprint,
}

impl Form {
    /// Whether it wants rows rather than the file's own shape.
    pub fn flat(self) -> bool {
        matches!(self, Form::Ndjson | Form::Csv)
    }
}

/// Collects what one kind of file says.
///
/// A form that is flat is given a list of records for each process, the others whatever shape the file has. A sheet about
/// one process, or about none, is that shape alone; one about several is a list of objects with `pid` and the shape.
#[derive(Debug)]
pub struct Sheet {
    form: Form,
    file: &'static str,
    several: bool,
    /// Records differ in what they hold, so that the header is known only when all are.
    ragged: bool,
    kept: Vec<Tree>,
    header: Vec<Name>,
    count: usize,
}

impl Sheet {
    /// A sheet about `file`, of `several` processes or one. Rows of a `ragged` file differ in their columns.
    pub fn new(form: Form, file: &'static str, several: bool, ragged: bool) -> Sheet {
        Sheet { form, file, several, ragged, kept: Vec::new(), header: Vec::new(), count: 0 }
    }

    /// What the file says of a process; of the machine, without a pid.
    pub fn add(&mut self, pid: Option<u32>, said: Tree, out: &mut Vec<u8>) {
        if self.form.flat() {
            let Tree::List(rows) = said else { return };
            for row in rows {
                self.row(pid, row, out);
            }
            return;
        }
        let said = match pid {
            Some(pid) if self.several => {
                Tree::Record(vec![(Name::Borrowed("pid"), pid.into()), (Name::Borrowed(self.file), said)])
            }
            _ => said,
        };
        if self.form == Form::Pprint {
            self.kept.push(said);
            return;
        }
        if self.several {
            out.extend_from_slice(if self.count == 0 { b"[" } else { b",\n " });
        }
        self.count += 1;
        value(&said, out);
    }

    /// The end.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        match self.form {
            Form::Ndjson => {}
            Form::Csv => {
                let rows = std::mem::take(&mut self.kept);
                let mut known = std::collections::HashSet::new();
                for row in &rows {
                    let Tree::Record(fields) = row else { continue };
                    let new = fields.iter().filter(|(name, _)| known.insert(name.clone()));
                    self.header.extend(new.map(|(name, _)| name.clone()).collect::<Vec<_>>());
                }
                for row in &rows {
                    self.line(row, out);
                }
            }
            Form::Pprint if self.several => pprint(&Tree::List(self.kept), out),
            Form::Pprint => self.kept.iter().for_each(|said| pprint(said, out)),
            Form::Json if self.several => {
                out.extend_from_slice(if self.count == 0 { b"[]\n" } else { b"]\n" });
            }
            Form::Json if self.count > 0 => out.push(b'\n'),
            Form::Json => {}
        }
    }

    fn row(&mut self, pid: Option<u32>, row: Tree, out: &mut Vec<u8>) {
        let Tree::Record(mut fields) = row else { return };
        if let Some(pid) = pid {
            fields.retain(|(name, _)| name != "pid");
            fields.insert(0, (Name::Borrowed("pid"), pid.into()));
        }
        let row = Tree::Record(fields);
        match self.form {
            Form::Csv if self.ragged => self.kept.push(row),
            Form::Csv => {
                if let (Tree::Record(fields), true) = (&row, self.header.is_empty()) {
                    self.header = fields.iter().map(|(name, _)| name.clone()).collect();
                }
                self.line(&row, out);
            }
            _ => {
                value(&row, out);
                out.push(b'\n');
            }
        }
    }

    /// A line of CSV, before the first one the header.
    fn line(&mut self, row: &Tree, out: &mut Vec<u8>) {
        let Tree::Record(fields) = row else { return };
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(out);
        // Writing into memory cannot fail.
        if self.count == 0 {
            let _ = writer.write_record(self.header.iter().map(|name| name.as_bytes()));
        }
        self.count += 1;
        let cell = |name: &Name| fields.iter().find(|(known, _)| known == name).map(|(_, value)| cell(value));
        let _ = writer.write_record(self.header.iter().map(|name| cell(name).unwrap_or_default()));
        let _ = writer.flush();
    }
}

/// A value in a cell: lists are joined by blanks.
fn cell(value: &Tree) -> String {
    match value {
        Tree::Nothing => String::new(),
        Tree::Truth(truth) => truth.to_string(),
        Tree::Signed(number) => number.to_string(),
        Tree::Count(number) => number.to_string(),
        Tree::Text(text) => text.clone(),
        Tree::List(values) => values.iter().map(cell).collect::<Vec<_>>().join(" "),
        Tree::Record(fields) => fields.iter().map(|(_, value)| cell(value)).collect::<Vec<_>>().join(" "),
    }
}

/// A value as JSON on one line, names in the order of the file.
fn value(tree: &Tree, out: &mut Vec<u8>) {
    let comma =
        |number: usize, out: &mut Vec<u8>| out.extend_from_slice(if number > 0 { b", " } else { b"" });
    // Writing into memory cannot fail.
    let _ = match tree {
        Tree::Nothing => out.write_all(b"null"),
        Tree::Truth(truth) => write!(out, "{truth}"),
        Tree::Signed(number) => write!(out, "{number}"),
        Tree::Count(number) => write!(out, "{number}"),
        Tree::Text(text) => {
            json::string(text.as_bytes(), out);
            Ok(())
        }
        Tree::List(values) => {
            out.push(b'[');
            for (number, inner) in values.iter().enumerate() {
                comma(number, out);
                value(inner, out);
            }
            out.write_all(b"]")
        }
        Tree::Record(fields) => {
            out.push(b'{');
            for (number, (name, inner)) in fields.iter().enumerate() {
                comma(number, out);
                json::string(name.as_bytes(), out);
                out.extend_from_slice(b": ");
                value(inner, out);
            }
            out.write_all(b"}")
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: Form, several: bool, ragged: bool, said: impl IntoIterator<Item = (u32, Tree)>) -> String {
        let (mut sheet, mut out) = (Sheet::new(form, "status", several, ragged), Vec::new());
        for (pid, tree) in said {
            sheet.add(Some(pid), tree, &mut out);
        }
        sheet.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn two() -> [(u32, Tree); 2] {
        let a = Tree::record([("Name", "a, \"b\"".into()), ("VmRSS", 7u32.into())]);
        let b = Tree::record([("Name", "b".into()), ("Kthread", true.into())]);
        [(3, a), (4, b)]
    }

    #[test]
    fn one_process_is_its_shape_and_several_are_a_list() {
        let [one, _] = two();
        assert_eq!(
            shown(Form::Json, false, true, [one.clone()]),
            "{\"Name\": \"a, \\\"b\\\"\", \"VmRSS\": 7}\n"
        );
        let several: serde_json::Value = serde_json::from_str(&shown(Form::Json, true, true, two())).unwrap();
        assert_eq!((&several[0]["pid"], &several[1]["status"]["Kthread"]), (&3.into(), &true.into()));
        assert_eq!(shown(Form::Json, true, true, []), "[]\n");
        assert_eq!(
            shown(Form::Pprint, true, true, [one]),
            "[{'pid': 3, 'status': {'Name': 'a, \"b\"', 'VmRSS': 7}}]\n"
        );
    }

    #[test]
    fn rows_of_different_shapes_share_one_header() {
        let rows = two().map(|(pid, row)| (pid, Tree::List(vec![row])));
        assert_eq!(
            shown(Form::Csv, true, true, rows.clone()),
            "pid,Name,VmRSS,Kthread\n3,\"a, \"\"b\"\"\",7,\n4,b,,true\n"
        );
        assert_eq!(
            shown(Form::Ndjson, true, true, rows).lines().nth(1),
            Some("{\"pid\": 4, \"Name\": \"b\", \"Kthread\": true}")
        );
    }
}
