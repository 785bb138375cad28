//! Control groups and containers (`/proc/PID/cgroup`).

use super::{Column, NO_LETTER, Report, Scope, Unit, Value, cpu};
use crate::{
    rate::Row,
    sample::{Cgroup, Facts, Missing},
};
use std::rc::Rc;

/// Where the task belongs. By itself it finds active whoever ran.
pub(super) const REPORT: Report = Report {
    flag: NO_LETTER,
    scope: Scope::Task,
    json: "control-group",
    title: "control groups, by --cgroup, --container and --columns",
    columns: &[
        Column {
            id: "container",
            head: "container",
            json: "container",
            width: 26,
            unit: Unit::Text,
            needs: Facts::CGROUP,
            machine_only: false,
            help: "Container that the process is in: runtime and the id's first 12 digits, or runtime and name.",
            read: |row| of(row, |group| group.container.as_ref()),
        },
        Column {
            id: "pod",
            head: "pod",
            json: "pod",
            width: 38,
            unit: Unit::Text,
            needs: Facts::CGROUP,
            machine_only: false,
            help: "Pod of Kubernetes that the process is in.",
            read: |row| of(row, |group| group.pod.as_ref()),
        },
        Column {
            id: "unit",
            head: "unit",
            json: "unit",
            width: 26,
            unit: Unit::Text,
            needs: Facts::CGROUP,
            machine_only: false,
            help: "Innermost service or scope of systemd that the process is in.",
            read: |row| of(row, |group| group.unit.as_ref()),
        },
        Column {
            id: "cgroup",
            head: "cgroup",
            json: "cgroup",
            width: 32,
            unit: Unit::Text,
            needs: Facts::CGROUP,
            machine_only: false,
            help: "Path of the control group that the process is in.",
            read: |row| of(row, |group| Some(&group.path)),
        },
    ],
    active: cpu::active,
};

fn of(row: &Row<'_>, part: for<'a> fn(&'a Cgroup) -> Option<&'a Rc<[u8]>>) -> Value {
    match &row.now.cgroup {
        Ok(group) => {
            part(group).map_or(Value::Missing(Missing::DoesNotApply), |text| Value::Text(Rc::clone(text)))
        }
        Err(why) => Value::Missing(*why),
    }
}
