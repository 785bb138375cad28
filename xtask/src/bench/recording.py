"""recording.py DATABASE SAMPLES: a recording of 1 000 busy processes, by Procpath's own storage."""

import random
import sys

from procpath import procfile, procrec, utility

FILES = ['stat', 'cmdline']
dice = random.Random(1)
fields = list(procfile.registry['stat'].schema.__annotations__)
state = {pid: [0, 0, dice.randint(100, 100_000)] for pid in range(1000, 2000)}
storage = procrec.SqliteStorage(sys.argv[1], FILES, utility.get_meta(FILES, '/proc', 'process'))
with storage:
    storage.create_schema()
    for number in range(int(sys.argv[2])):
        sample = []
        for pid, figures in state.items():
            figures[0] += dice.randint(0, 60)
            figures[1] += dice.randint(0, 20)
            figures[2] = max(10, figures[2] + dice.randint(-50, 50))
            row = {f'stat_{field}': 1 for field in fields}
            row.update(
                cmdline=f'/usr/bin/python3 -m worker --number {pid} --queue default', stat_pid=pid, stat_comm='worker',
                stat_state='S', stat_utime=figures[0], stat_stime=figures[1], stat_rss=figures[2], stat_starttime=pid,
            )
            sample.append(row)
        storage.record(1_790_000_000 + number * 1.003, sample)
