"""What python-procutils documents, in plain Python: procutils.py READER PID prints the pprint of its dict."""

import os
import pprint
import re
import sys

WORDS = {"R": "running", "S": "sleeping", "D": "disk sleep", "T": "stopped", "t": "tracing stop", "Z": "zombie",
         "I": "idle"}
# The names in the order of the file; None stands for the three that procutils leaves out.
STAT = """pid tcomm state ppid pgid sid tty_nr tty_pgrp flags min_flt cmin_flt maj_flt cmaj_flt utime stime cutime cstime
    priority nice num_threads None start_time vsize mm rsslim start_code end_code start_stack esp eip pending_sig
    blocked_sig sigign_sig sigcatch_sig wchan None None exit_signal task rt_priority policy blkio_ticks gtim cgtime
    start_data end_data start_brk arg_start arg_end env_start env_end exit_code""".split()


def text(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read().decode("utf-8", "replace")


def octal(word):
    return re.sub(r"\\([0-3][0-7][0-7])", lambda match: chr(int(match[1], 8)), word)


def stat(pid):
    match = re.fullmatch(r"(\d+) (\(.*\)) (.) (.*)\n", text(pid, "stat"), re.S)
    values = [int(match[1]), match[2], WORDS[match[3]], *map(int, match[4].split())]
    return {name: value for name, value in zip(STAT, values) if name != "None"}


def statm(pid):
    size, resident, shared, code, _, data, _ = map(int, text(pid, "statm").split())
    return {"size": size, "resident": resident, "shared": shared, "text": code, "data": data}


def status(pid):
    lines = (line.split(":\t", 1) for line in text(pid, "status").split("\n")[:-1])
    return {key: value.replace("\t", " ") for key, value in lines}


def io(pid):
    return {key: int(value) for key, value in (line.split(": ") for line in text(pid, "io").splitlines())}


def schedstat(pid):
    return dict(zip(["run_ns", "wait_ns", "timeslices"], map(int, text(pid, "schedstat").split())))


def maps(pid):
    found = []
    for line in text(pid, "maps").splitlines():
        match = re.fullmatch(r"(\w+)-(\w+) (\S+) (\w+) (\w+):(\w+) (\d+) *(.*)", line)
        start, end, offset, major, minor = (int(match[group], 16) for group in (1, 2, 4, 5, 6))
        found.append({"start": start, "end": end, "permission": match[3], "pageoff": offset, "major_devid": major,
                      "minor_devid": minor, "inode": int(match[7]), "path": match[8]})
    return found


def smaps_rollup(pid):
    lines = text(pid, "smaps_rollup").splitlines()[1:]
    return {line.split(":")[0].lower(): int(line.split()[1]) for line in lines}


def mountinfo(pid):
    found = []
    for line in text(pid, "mountinfo").splitlines():
        before, after = line.split(" - ")
        identity, parent, device, root, path, options, *optional = before.split(" ")
        kind, name, super_options = after.split(" ")
        mount = {"mnt_id": int(identity), "parent_mnt_pid": int(parent), "major_s_dev": device.split(":")[0],
                 "minor_s_dev": device.split(":")[1], "root": octal(root), "mnt_path": octal(path), "mnt_opts": options,
                 "type": kind, "devname": octal(name), "sb_opts": super_options}
        for field in optional:
            key, _, value = field.partition(":")
            mount[key] = int(value) if value else True
        found.append(mount)
    return found


def mountstats(pid):
    found = []
    for line in text(pid, "mountstats").splitlines():
        match = re.fullmatch(r"(?:device (\S+)|no device) mounted on (\S+) with fstype (\S+) ?", line)
        device = octal(match[1]) if match[1] else "no device"
        found.append({device: {"fstype": match[3], "path": octal(match[2])}})
    return found


def fd(pid):
    def kind(link):
        for prefix, word in (("socket:", "socket"), ("pipe:", "pipe"), ("anon_inode:", "anon_inode")):
            if link.startswith(prefix):
                return word
        if os.path.isdir(link):
            return "directory"
        return "character" if link.startswith("/dev/") else "regular"

    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        link = os.readlink(f"/proc/{pid}/fd/{number}")
        info = dict(line.split(":\t") for line in text(pid, f"fdinfo/{number}").splitlines() if ":\t" in line)
        inode = re.fullmatch(r"(?:socket|pipe):\[(\d+)\]", link)
        found[number] = {"fd": int(number), "pid": int(pid), "ctime": None, "file": link, "type": kind(link),
                         "inode": int(inode[1]) if inode else None, "position": int(info["pos"]),
                         "flags": "0" + info["flags"].lstrip("0")}
    return found


def limits(pid):
    def value(word):
        return word if word == "unlimited" else int(word)

    found = {}
    for line in text(pid, "limits").splitlines()[1:]:
        name, soft, hard, *units = re.split(r"  +", line.rstrip())
        found[name] = {"soft": value(soft), "hard": value(hard), "units": units[0] if units else None}
    return found


def cgroup(pid):
    parts = (line.split(":", 2) for line in text(pid, "cgroup").splitlines())
    return [{"hierarchy": int(number), "controllers": names.split(",") if names else [], "path": path}
            for number, names, path in parts]


def environ(pid):
    pairs = (word.partition("=") for word in text(pid, "environ").split("\0")[:-1])
    return {name: value for name, _, value in pairs}


def cmdline(pid):
    return text(pid, "cmdline").split("\0")[:-1]


def net(_):
    found = {}
    for directory, _, names in os.walk("/proc/sys/net"):
        for name in names:
            path = os.path.join(directory, name)
            key = path[len("/proc/sys/net/"):]
            try:
                with open(path) as file:
                    value = file.read().removesuffix("\n").replace("\t", " ")
            except OSError:
                continue
            if key == "ipv4/tcp_fastopen_key":
                value = "-1"
            masks = ("core/flow_limit_cpu_bitmap", "core/rps_default_mask", "ipv4/ip_local_reserved_ports")
            found[key] = int(value) if re.fullmatch(r"-?\d+", value) and key not in masks else value
    return found


pprint.pprint(globals()[sys.argv[1]](sys.argv[2]))
