//! Figures of the whole machine, and where a sample came from.

use super::{Missing, Reading};

/// What does not change while a run lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `uname -s`.
    pub sysname: String,
    /// `uname -n`.
    pub nodename: String,
    /// `uname -r`.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// CPUs present, online or not (`cpuN` entries of `/sys/devices/system/cpu`; else of `/proc/stat`).
    pub cpus: u32,
    /// Clock ticks per second of the files read (`sysconf(_SC_CLK_TCK)`).
    pub clock_ticks: u64,
    /// Bytes in a page.
    pub page_bytes: u64,
}

/// Figures of the whole machine at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// user+nice+system+idle+iowait+irq+softirq+steal of all CPUs together, in clock ticks (`/proc/stat`).
    pub total_cpu_ticks: Reading<u64>,
    /// How many of these ticks make a second.
    pub ticks_per_second: u64,
    /// MemTotal in KiB (`/proc/meminfo`).
    pub mem_total_kib: Reading<u64>,
    /// What it did, and the sum over all tasks.
    pub machine: Reading<Machine>,
}

/// What the whole machine did since it started, to be compared with the sum of its tasks. Times are whole clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// user+nice+system of all CPUs (`/proc/stat`); guests are part of user and nice.
    pub busy_ns: u64,
    /// irq+softirq, most of which the kernel charges to the task that was interrupted.
    pub interrupt_ns: u64,
    /// steal.
    pub steal_ns: u64,
    /// idle+iowait.
    pub idle_ns: u64,
    /// Context switches, those to the idle task included (`ctxt`).
    pub switches: u64,
    /// Bytes that disks read (`/proc/diskstats`); partitions and devices made of others are not counted again.
    pub read_bytes: u64,
    /// Bytes that disks wrote.
    pub written_bytes: u64,
    /// User and system time of all tasks as the tick saw it, of those that ended since the first sample too.
    pub tasks_ns: u64,
}

impl Default for System {
    fn default() -> Self {
        System {
            total_cpu_ticks: Err(Missing::NotAsked),
            ticks_per_second: 100,
            mem_total_kib: Err(Missing::NotAsked),
            machine: Err(Missing::NotAsked),
        }
    }
}

/// Where a sample came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `ebpf`, `proc` or `replay`.
    pub source: &'static str,
    /// The rung that counted the traffic (`tracepoint`, ...); `Err` says why there is none.
    pub net_rung: Option<Result<&'static str, String>>,
    /// What that rung does not count exactly, in words.
    pub net_shortfall: Option<&'static str>,
    /// Whether that is so much that every figure of traffic is marked with `~`.
    pub net_approximate: bool,
    /// Whether UNIX sockets are counted too.
    pub net_unix: bool,
    /// What was lost so far.
    pub losses: Losses,
    /// What the tool itself cost so far, if that is asked for.
    pub cost: Option<Cost>,
}

/// What the tool itself costs, since its start where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Its user and system time.
    pub cpu_ns: u64,
    /// Its resident memory now.
    pub resident_bytes: Reading<u64>,
    /// The most there was.
    pub peak_bytes: u64,
    /// How long it took to take this sample.
    pub sample_ns: u64,
    /// Time that its programs ran inside the kernel, and how often; not measured unless `kernel.bpf_stats_enabled` is set.
    pub bpf: Reading<(u64, u64)>,
    /// How many processes its map of the dying has now, and for how many there is room.
    pub exit_map: Reading<(u64, u64)>,
    /// How many uses of sockets by processes its map of flows has now, and for how many there is room.
    pub flow_map: Reading<(u64, u64)>,
    /// The same of sockets whose writers are followed.
    pub turn_map: Reading<(u64, u64)>,
    /// The same of sockets whose packets on the wire are counted.
    pub packet_map: Reading<(u64, u64)>,
    /// The most bytes that its ring of closed connections held when it was read since the sample before, and how many it has.
    pub closed_ring: Reading<(u64, u64)>,
}

impl Cost {
    /// The figures with their names, for every output that machines read; `cpu_ns` is what was used in the interval. `None`
    /// where there is nothing to be had.
    pub fn named(&self, cpu_ns: Option<u64>) -> [(&'static str, Option<u64>); 16] {
        let (bpf, map, flows) = (self.bpf.ok(), self.exit_map.ok(), self.flow_map.ok());
        let (turns, packets, ring) = (self.turn_map.ok(), self.packet_map.ok(), self.closed_ring.ok());
        [
            ("cpu_ns", cpu_ns),
            ("resident_bytes", self.resident_bytes.ok()),
            ("peak_bytes", Some(self.peak_bytes)),
            ("sample_ns", Some(self.sample_ns)),
            ("bpf_run_ns", bpf.map(|bpf| bpf.0)),
            ("bpf_runs", bpf.map(|bpf| bpf.1)),
            ("exit_map_used", map.map(|map| map.0)),
            ("exit_map_room", map.map(|map| map.1)),
            ("flow_map_used", flows.map(|map| map.0)),
            ("flow_map_room", flows.map(|map| map.1)),
            ("turn_map_used", turns.map(|map| map.0)),
            ("turn_map_room", turns.map(|map| map.1)),
            ("packet_map_used", packets.map(|map| map.0)),
            ("packet_map_room", packets.map(|map| map.1)),
            ("closed_ring_used", ring.map(|ring| ring.0)),
            ("closed_ring_room", ring.map(|ring| ring.1)),
        ]
    }
}

/// What could not be counted or shown exactly since the start, by reason; all zero on a healthy run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Socket events for which the kernel gave no socket storage.
    pub storage_null: u64,
    /// Flow entries that did not fit in the map.
    pub flow_insert_failed: u64,
    /// Sockets of which it could not be kept who writes to them.
    pub turn_insert_failed: u64,
    /// Sockets whose packets on the wire did not fit in the map.
    pub packet_insert_failed: u64,
    /// Final records of closed connections that did not fit in the ring buffer.
    pub ring_full: u64,
    /// Runs of a program that the kernel skipped because it was already running on that CPU.
    pub recursion_misses: u64,
    /// First reads of sockets that were older than the tool and not found at its start.
    pub no_baseline: u64,
    /// Captured packets that did not fit in the buffers of the kernel, or that a device dropped.
    pub pcap_dropped: u64,
    /// Captured packets of IP that could not be read.
    pub pcap_unread: u64,
    /// Process sums that no consistent walk could be had for in one sample; a lower bound was shown instead.
    pub inconsistent: u64,
    /// Records of ended processes that did not fit in the ring buffer, nor in the map beside it.
    pub exit_ring_full: u64,
    /// Processes with dead threads that could not be remembered until their end.
    pub exit_groups_full: u64,
    /// Switches and wake-ups of tasks for which the scheduler's map had no room.
    pub sched_tasks_full: u64,
    /// Preemptions by tasks for which the map of pairs had no room.
    pub sched_pairs_full: u64,
    /// Ended processes whose final record never came, shown as they were when their parent was told.
    pub exit_unseen: u64,
}

impl Losses {
    /// The counters with their names, for every output.
    pub fn named(&self) -> [(&'static str, u64); 15] {
        [
            ("storage_null", self.storage_null),
            ("flow_insert_failed", self.flow_insert_failed),
            ("turn_insert_failed", self.turn_insert_failed),
            ("packet_insert_failed", self.packet_insert_failed),
            ("ring_full", self.ring_full),
            ("recursion_misses", self.recursion_misses),
            ("no_baseline", self.no_baseline),
            ("pcap_dropped", self.pcap_dropped),
            ("pcap_unread", self.pcap_unread),
            ("inconsistent", self.inconsistent),
            ("sched_tasks_full", self.sched_tasks_full),
            ("sched_pairs_full", self.sched_pairs_full),
            ("exit_ring_full", self.exit_ring_full),
            ("exit_groups_full", self.exit_groups_full),
            ("exit_unseen", self.exit_unseen),
        ]
    }

    /// What is missing from the report, for stderr; `None` if nothing is. Bounds that were shown instead are not missing.
    pub fn sentence(&self) -> Option<String> {
        let lost = self.named().into_iter().filter(|(name, count)| *count > 0 && *name != "inconsistent");
        let lost: Vec<String> = lost.map(|(name, count)| format!("{name} {count}")).collect();
        let room =
            self.flow_insert_failed + self.turn_insert_failed + self.packet_insert_failed + self.ring_full
                > 0;
        let remedy = if room { "; --net-sockets N makes more room" } else { "" };
        (!lost.is_empty())
            .then(|| format!("the report lacks what was lost in the kernel: {}{remedy}", lost.join(", ")))
    }

    /// The counter of a name.
    pub fn named_mut(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "storage_null" => &mut self.storage_null,
            "flow_insert_failed" => &mut self.flow_insert_failed,
            "turn_insert_failed" => &mut self.turn_insert_failed,
            "packet_insert_failed" => &mut self.packet_insert_failed,
            "ring_full" => &mut self.ring_full,
            "recursion_misses" => &mut self.recursion_misses,
            "no_baseline" => &mut self.no_baseline,
            "pcap_dropped" => &mut self.pcap_dropped,
            "pcap_unread" => &mut self.pcap_unread,
            "inconsistent" => &mut self.inconsistent,
            "sched_tasks_full" => &mut self.sched_tasks_full,
            "sched_pairs_full" => &mut self.sched_pairs_full,
            "exit_ring_full" => &mut self.exit_ring_full,
            "exit_groups_full" => &mut self.exit_groups_full,
            "exit_unseen" => &mut self.exit_unseen,
            _ => return None,
        })
    }
}
