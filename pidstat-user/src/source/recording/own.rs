//! Samples from our own tables.

use super::connections::Connections;
use crate::sample::{
    Comm, Missing, Origin, Sample, System, Task, TaskKey,
    stored::{self, FIELDS, Field, Stored},
};
use rusqlite::{Connection, OptionalExtension as _, Row, types::ValueRef};
use std::collections::{BTreeMap, HashSet};

/// Where in the recording we are, and who was there.
pub struct Own {
    sql: String,
    /// The columns that this recording has.
    fields: Vec<&'static Field>,
    last: i64,
    tasks: BTreeMap<TaskKey, Task>,
    /// If it has connections.
    connections: Option<Connections>,
    /// What was passed of earlier boots: the time since boot goes on, so that nothing is compared across a boot.
    boots_ns: u64,
    before_ns: u64,
    words: Words,
}

/// Nanoseconds in a tick of start times.
const START_TICK_NS: u64 = 10_000_000;

impl Own {
    /// Looks at the columns.
    pub fn new(connection: &Connection) -> rusqlite::Result<Own> {
        let there: HashSet<String> = connection
            .prepare("SELECT name FROM pragma_table_info('task')")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let fields: Vec<&Field> = FIELDS.iter().filter(|field| there.contains(field.name)).collect();
        let names: String = fields.iter().map(|field| format!(", {}", field.name)).collect();
        Ok(Own {
            sql: format!("SELECT departed, missing{names} FROM task WHERE sample_id = ?"),
            fields,
            last: i64::MIN,
            tasks: BTreeMap::new(),
            connections: Connections::new(connection)?,
            boots_ns: 0,
            before_ns: 0,
            words: Words::default(),
        })
    }

    /// The next sample; none at the end.
    pub fn next(&mut self, connection: &Connection) -> rusqlite::Result<Option<Sample>> {
        let mut next = connection.prepare_cached(
            "SELECT sample_id, epoch_ns, uptime_ns, whole, total_cpu_ticks, mem_total_kib, source, net_rung, net_missing,
                losses, ticks_per_second, net_shortfall, net_approximate FROM sample WHERE sample_id > ? ORDER BY sample_id LIMIT 1",
        )?;
        let words = &mut self.words;
        let read = next.query_row([self.last], |row| {
            let rung: Option<String> = row.get(7)?;
            let missing: Option<String> = row.get(8)?;
            let sample = Sample {
                epoch_ns: row.get(1)?,
                uptime_ns: row.get::<_, i64>(2)?.cast_unsigned(),
                system: System {
                    total_cpu_ticks: counter(row, 4)?,
                    mem_total_kib: counter(row, 5)?,
                    ticks_per_second: row.get::<_, i64>(10)?.unsigned_abs(),
                    ..System::default()
                },
                origin: Origin {
                    source: words.forever(&row.get::<_, String>(6)?),
                    net_rung: rung.map(|rung| Ok(words.forever(&rung))).or(missing.map(Err)),
                    net_shortfall: row.get::<_, Option<String>>(11)?.map(|lacks| words.forever(&lacks)),
                    net_approximate: row.get(12)?,
                    // No recording has them.
                    net_unix: false,
                    losses: stored::losses_of(&row.get::<_, String>(9)?),
                    cost: None,
                },
                ..Sample::default()
            };
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(3)?, sample))
        });
        let Some((id, whole, mut sample)) = read.optional()? else { return Ok(None) };
        self.last = id;
        if sample.uptime_ns < self.before_ns {
            self.boots_ns = self.boots_ns.saturating_add(self.before_ns);
        }
        self.before_ns = sample.uptime_ns;
        sample.uptime_ns = sample.uptime_ns.saturating_add(self.boots_ns);
        if whole {
            self.tasks.clear();
        }
        self.end(connection, id)?;
        let mut rows = connection.prepare_cached(&self.sql)?;
        let mut rows = rows.query([id])?;
        while let Some(row) = rows.next()? {
            let task = self.task(row)?;
            if row.get(0)? {
                sample.departed.push(task);
            } else {
                self.tasks.insert(task.key, task);
            }
        }
        sample.departed.sort_by_key(|task| task.key);
        sample.tasks.extend(self.tasks.values().cloned());
        if let Some(connections) = &mut self.connections {
            connections.next(connection, (id, whole, self.boots_ns), &mut sample.connections)?;
        }
        Ok(Some(sample))
    }

    /// Forgets who was there no more.
    fn end(&mut self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        let mut rows =
            connection.prepare_cached("SELECT tgid, tid, start_ticks FROM task_end WHERE sample_id = ?")?;
        let mut rows = rows.query([id])?;
        while let Some(row) = rows.next()? {
            let start_ticks = row.get::<_, i64>(2)?.cast_unsigned();
            let key = TaskKey { tgid: row.get(0)?, tid: row.get(1)?, start_ticks };
            self.tasks.remove(&self.moved(key));
        }
        Ok(())
    }

    fn task(&self, row: &Row<'_>) -> rusqlite::Result<Task> {
        let mut task = Task::blank(TaskKey::default(), Comm::default(), Missing::NotInSource);
        stored::set_reasons(&mut task, bytes(row.get_ref(1)?));
        for (at, field) in self.fields.iter().enumerate() {
            match row.get_ref(at + 2)? {
                ValueRef::Integer(number) => (field.set)(&mut task, Stored::Whole(number)),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => (field.set)(&mut task, Stored::Text(bytes)),
                ValueRef::Null | ValueRef::Real(_) => {}
            }
        }
        task.key = self.moved(task.key);
        Ok(task)
    }

    /// A key of a later boot is another one.
    fn moved(&self, key: TaskKey) -> TaskKey {
        moved(key, self.boots_ns)
    }
}

/// A key that is not one of an earlier boot's.
pub(super) fn moved(key: TaskKey, boots_ns: u64) -> TaskKey {
    TaskKey { start_ticks: key.start_ticks.saturating_add(boots_ns / START_TICK_NS), ..key }
}

/// Words that a live source knows when it is built; a recording has few, and a hostile one gets no more of them kept.
#[derive(Default)]
struct Words(Vec<&'static str>);

impl Words {
    const MOST: usize = 16;

    fn forever(&mut self, word: &str) -> &'static str {
        if let Some(known) = self.0.iter().find(|known| **known == word) {
            return known;
        }
        if self.0.len() == Words::MOST {
            return "recorded";
        }
        let kept: &'static str = word.to_owned().leak();
        self.0.push(kept);
        kept
    }
}

fn counter(row: &Row<'_>, at: usize) -> rusqlite::Result<Result<u64, Missing>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(i64::cast_unsigned).ok_or(Missing::NotInSource))
}

fn bytes(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => &[],
    }
}
