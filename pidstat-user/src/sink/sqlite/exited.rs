//! Processes that ended: one row each, with what they used in their whole life.

use crate::sample::{End, Sample, Task};
use rusqlite::Connection;

/// Makes the table where it is not there yet.
///
/// # Errors
/// What SQLite said.
pub fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS exited (
            sample_id INTEGER NOT NULL,
            ts REAL NOT NULL,
            pid INTEGER NOT NULL,
            start_ticks INTEGER NOT NULL,
            ppid INTEGER NOT NULL,
            uid INTEGER NOT NULL,
            comm TEXT NOT NULL,
            cmdline TEXT,
            exit_code INTEGER NOT NULL,
            exit_status INTEGER NOT NULL,
            end_uptime_ns INTEGER NOT NULL,
            user_ns INTEGER NOT NULL,
            system_ns INTEGER NOT NULL,
            minor_faults INTEGER NOT NULL,
            major_faults INTEGER NOT NULL,
            max_resident_bytes INTEGER NOT NULL,
            read_bytes INTEGER,
            write_bytes INTEGER,
            voluntary_switches INTEGER,
            involuntary_switches INTEGER,
            rx_bytes INTEGER,
            tx_bytes INTEGER
        )",
    )
}

/// Writes those whose records arrived with a sample.
///
/// # Errors
/// What SQLite said.
pub fn write(connection: &Connection, (number, ts): (i64, f64), now: &Sample) -> rusqlite::Result<()> {
    let mut insert = None;
    for task in &now.departed {
        let End::Exited(exit) = task.end else { continue };
        let insert = match &mut insert {
            Some(insert) => insert,
            none => none.insert(
                connection.prepare_cached(&format!("INSERT INTO exited VALUES ({})", ["?"; 22].join(",")))?,
            ),
        };
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let whole = |number: u64| number.cast_signed();
        let Task { key, cpu, faults, memory, .. } = task;
        insert.raw_bind_parameter(1, number)?;
        insert.raw_bind_parameter(2, ts)?;
        insert.raw_bind_parameter(3, key.tgid)?;
        insert.raw_bind_parameter(4, whole(key.start_ticks))?;
        insert.raw_bind_parameter(5, task.ppid)?;
        insert.raw_bind_parameter(6, task.uid)?;
        insert.raw_bind_parameter(7, name(task.name()))?;
        insert.raw_bind_parameter(8, task.cmdline.as_deref().map(name))?;
        insert.raw_bind_parameter(9, exit.code())?;
        insert.raw_bind_parameter(10, exit.status)?;
        insert.raw_bind_parameter(11, whole(exit.at_ns))?;
        insert.raw_bind_parameter(12, whole(cpu.user_ns))?;
        insert.raw_bind_parameter(13, whole(cpu.system_ns))?;
        insert.raw_bind_parameter(14, whole(faults.minor))?;
        insert.raw_bind_parameter(15, whole(faults.major))?;
        insert.raw_bind_parameter(16, whole(memory.resident_bytes))?;
        insert.raw_bind_parameter(17, task.io.ok().map(|io| whole(io.read_bytes)))?;
        insert.raw_bind_parameter(18, task.io.ok().map(|io| whole(io.write_bytes)))?;
        insert.raw_bind_parameter(19, task.switches.ok().map(|switches| whole(switches.voluntary)))?;
        insert.raw_bind_parameter(20, task.switches.ok().map(|switches| whole(switches.involuntary)))?;
        insert.raw_bind_parameter(21, task.traffic.ok().map(|traffic| whole(traffic.rx_bytes)))?;
        insert.raw_bind_parameter(22, task.traffic.ok().map(|traffic| whole(traffic.tx_bytes)))?;
        insert.raw_execute()?;
    }
    Ok(())
}
