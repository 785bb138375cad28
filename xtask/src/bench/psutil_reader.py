"""Shows with psutil what pidstat -u -r -d -w shows: every process that did something since the last report."""
import sys
import time

import psutil


def sample():
    tasks = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                cpu = process.cpu_times()
                memory = process.memory_info()
                switches = process.num_ctx_switches()
                io = process.io_counters()
                tasks[process.pid] = (
                    cpu.user, cpu.system, io.read_bytes, io.write_bytes, switches.voluntary, switches.involuntary,
                    memory.vms, memory.rss, process.uids().real, process.cpu_num(), process.name(),
                )
        except psutil.NoSuchProcess:
            pass
    return tasks


interval, count = float(sys.argv[1]), int(sys.argv[2])
before = sample()
for _ in range(count):
    time.sleep(interval)
    now = sample()
    for pid, task in now.items():
        was = before.get(pid)
        if was and was[:6] != task[:6]:
            rates = " ".join("%9.2f" % ((new - old) / interval) for new, old in zip(task[:6], was[:6]))
            print("%5d %9d %s %9d %9d %s" % (task[8], pid, rates, task[6] >> 10, task[7] >> 10, task[10]))
    print("Command", flush=True)
    before = now
