"""The rows of linuxprocfs.py in plain Python, without its defects: linuxprocfs.py ROOT [-t] [-p] KINDS [PATTERN...]."""

import csv
import fnmatch
import io
import os
import re
import sys

STAT = """pid comm state ppid pgrp session tty_nr tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime
    priority nice num_threads itrealvalue starttime vsize rss rlim startcode endcode startstack kstkesp kstkeip signal
    blocked sigignore sigcatch wchan nswap cnswap exit_signal processor rt_priority policy delayacct_blkio_ticks
    guest_time cguest_time error""".split()


def numbers(directory):
    return sorted((name for name in os.listdir(directory) if name.isdigit()), key=int)


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("latin-1")


def pairs(path, text):
    found = {"pid": os.path.basename(os.path.dirname(path)), "error": ""}
    for line in text.split("\n")[:-1]:
        key, value = line.split(":", 1)
        found[key.lower()] = value.lstrip()
    if "uid" in found:
        found["uid"] = str([int(uid) for uid in found["uid"].split("\t")])
    return found


def main():
    root, *options = sys.argv[1:]
    titles, processes = "-t" in options, "-p" in options
    kinds, *patterns = [option for option in options if not option.startswith("-")]
    kinds = kinds.split(",")
    tasks = [f"{root}/{pid}/task/{tid}" for pid in numbers(root) for tid in numbers(f"{root}/{pid}/task")]
    if processes:
        tasks = [f"{root}/{pid}" for pid in numbers(root)]
    if patterns:
        tasks = [task for pattern in patterns for task in tasks if fnmatch.fnmatchcase(os.path.basename(task), pattern)]
    union = set()
    for task in tasks:
        try:
            union |= set(pairs(f"{task}/status", read(f"{task}/status")))
        except OSError:
            pass
    columns = {"stat": STAT, "status": sorted(union)}
    columns["io"] = sorted("rchar wchar syscr syscw read_bytes write_bytes cancelled_write_bytes pid error".split())
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1", newline="")
    writer = csv.writer(out, lineterminator="\n")
    titled = set() if titles else set(kinds)
    for task in tasks:
        for kind in kinds:
            path = f"{task}/{kind}"
            try:
                text = read(path)
            except OSError as error:
                print(f"IOError {path} - {error}", file=sys.stderr)
                continue
            if kind == "stat":
                pid, name, rest = re.fullmatch(r"(\d+) \((.*)\) (.*)\n", text, re.S).groups()
                row = [pid, name, *rest.split(" ")[:42], ""]
            else:
                found = pairs(path, text)
                row = [found.get(column, "") for column in columns[kind]]
            if kind not in titled:
                writer.writerow(columns[kind])
                titled.add(kind)
            writer.writerow(row)
    out.flush()


main()
