//! `/proc/uptime`, `/proc/stat`, `/proc/meminfo` and the directory of CPUs: figures of the whole machine.

use super::number::{Numbers, first, narrow};

/// First number of `/proc/uptime` in nanoseconds; the kernel prints it with two decimals.
pub fn uptime_ns(bytes: &[u8]) -> Option<u64> {
    let mut numbers = Numbers::new(bytes);
    let whole = numbers.next()?.saturating_mul(1_000_000_000);
    let fraction = numbers.rest().strip_prefix(b".").unwrap_or_default();
    let mut ns = 0;
    let mut weight = 100_000_000;
    for byte in fraction.iter().take_while(|b| b.is_ascii_digit()).take(9) {
        ns += u64::from(byte - b'0') * weight;
        weight /= 10;
    }
    Some(whole.saturating_add(ns))
}

/// user+nice+system+idle+iowait+irq+softirq+steal of the line `cpu` of `/proc/stat`, in clock ticks. Guests are part of
/// user and nice already. Kernels before 2.6 have only the first four; `None` with fewer.
pub fn total_cpu_ticks(bytes: &[u8]) -> Option<u64> {
    let line = bytes.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"cpu "))?;
    let (mut sum, mut count) = (0u64, 0);
    for ticks in Numbers::new(line).take(8) {
        sum = sum.saturating_add(ticks);
        count += 1;
    }
    (count >= 4).then_some(sum)
}

/// The times of the line `cpu` of `/proc/stat` in clock ticks (user+nice+system, irq+softirq, steal, idle+iowait), and the
/// context switches of its line `ctxt`.
pub fn machine(bytes: &[u8]) -> Option<([u64; 4], u64)> {
    let lines = || bytes.split(|b| *b == b'\n');
    let mut numbers = Numbers::new(lines().find_map(|line| line.strip_prefix(b"cpu "))?);
    let mut next = || numbers.next().unwrap_or(0);
    let [user, nice, system, idle, iowait, irq, softirq, steal] = std::array::from_fn(|_| next());
    let switches = lines().find_map(|line| line.strip_prefix(b"ctxt ")).and_then(first)?;
    Some(([user + nice + system, irq + softirq, steal, idle + iowait], switches))
}

/// Bytes read and written by all disks of `/proc/diskstats`, in its sectors of 512 bytes: not those of partitions, whose
/// name is their disk's and a number, nor of devices that are made of others.
pub fn disk_bytes(bytes: &[u8]) -> (u64, u64) {
    let (mut read, mut written) = (0u64, 0u64);
    let mut disk: &[u8] = b"";
    for line in bytes.split(|b| *b == b'\n') {
        let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
        let Some(name) = words.nth(2) else { continue };
        let stacked =
            [&b"loop"[..], b"ram", b"zram", b"dm-", b"md"].iter().any(|kind| name.starts_with(kind));
        if stacked || !disk.is_empty() && name.len() > disk.len() && name.starts_with(disk) {
            continue;
        }
        disk = name;
        let fields: Vec<u64> = words.map(|word| first(word).unwrap_or(0)).collect();
        read += fields.get(2).copied().unwrap_or(0).saturating_mul(512);
        written += fields.get(6).copied().unwrap_or(0).saturating_mul(512);
    }
    (read, written)
}

/// Highest `cpuN` of `/proc/stat` plus one: the count where `/sys` cannot be read.
pub fn cpus_in_stat(bytes: &[u8]) -> Option<u32> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| is_cpu(line));
    lines.filter_map(|line| first(&line[3..])).max().map(|highest| narrow(highest).saturating_add(1))
}

/// Whether a name is `cpuN`: entries of `/sys/devices/system/cpu`, online or not, are the CPUs of the machine.
pub fn is_cpu(name: &[u8]) -> bool {
    name.strip_prefix(b"cpu").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

/// `MemTotal:` of `/proc/meminfo` in KiB.
pub fn mem_total_kib(bytes: &[u8]) -> Option<u64> {
    bytes.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"MemTotal:")).and_then(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_books() {
        let stat = b"cpu  1 20 300 4000 5 60 700 8 9 0\ncpu0 1 1 1 1\nintr 5 1 2\nctxt 77\nbtime 1\n";
        assert_eq!(machine(stat), Some(([321, 760, 8, 4005], 77)));
        assert_eq!(machine(b"cpu 1 2 3"), None);
        let disks = b" 7 0 loop0 9 0 9 0 9 0 9 0 0 0 0\n 254 0 vda 10 0 3 1 20 0 5 1 0 0 0\n 254 1 vda1 10 0 3 1 20 0 5 1 0\n \
            259 0 nvme0n1 1 0 100 0 1 0 200 0 0\n 259 1 nvme0n1p1 1 0 100 0 1 0 200 0 0\n 253 0 dm-0 1 0 9 0 1 0 9 0 0\n";
        assert_eq!(disk_bytes(disks), (103 * 512, 205 * 512));
    }

    #[test]
    fn uptime_is_exact() {
        assert_eq!(uptime_ns(b"1315.72 2377.21\n"), Some(1_315_720_000_000));
        assert_eq!(uptime_ns(b"0.05 0.00\n"), Some(50_000_000));
        assert_eq!(uptime_ns(b"7"), Some(7_000_000_000));
        assert_eq!(uptime_ns(b"99999999999999999999.99"), Some(u64::MAX));
        assert_eq!(uptime_ns(b""), None);
        assert_eq!(uptime_ns(b".5"), None);
    }

    #[test]
    fn guests_are_not_counted_twice() {
        assert_eq!(total_cpu_ticks(b"cpu  1 2 3 4 5 6 7 8 100 200\ncpu0 9 9 9 9\n"), Some(36));
        assert_eq!(total_cpu_ticks(b"cpu  1 2 3 4\n"), Some(10));
        assert_eq!(total_cpu_ticks(b"cpu  1 2 3\n"), None);
        assert_eq!(total_cpu_ticks(b"cpu0 1 2 3 4\n"), None);
    }

    #[test]
    fn cpus_are_counted_by_the_highest() {
        assert_eq!(cpus_in_stat(b"cpu  1\ncpu0 1\ncpu127 1\ncpu3 1\nintr 5\n"), Some(128));
        assert_eq!(cpus_in_stat(b"cpu  1\n"), None);
        for name in [&b"cpu"[..], b"cpufreq", b"cpuidle", b"present"] {
            assert!(!is_cpu(name));
        }
        assert!(is_cpu(b"cpu0") && is_cpu(b"cpu127"));
    }

    #[test]
    fn memory() {
        assert_eq!(mem_total_kib(b"MemTotal:       24684092 kB\nMemFree: 1 kB\n"), Some(24_684_092));
        assert_eq!(mem_total_kib(b"MemFree: 1 kB\n"), None);
    }
}
