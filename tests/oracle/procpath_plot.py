"""Makes a recording with Procpath's own storage, and says what Procpath would plot of it.

procpath_plot.py DATABASE QUERYFILE: prints a JSON array of cases, each with the options and its series.
"""

import json
import random
import sys
from datetime import datetime, timezone

from procpath import procfile, procrec, procret
from procpath.cmd import plot

FILES = ['stat', 'cmdline', 'io', 'status', 'fd', 'smaps_rollup']


def rows(dice):
    """Processes come and go; counters grow; a kernel thread has no memory map."""

    processes = {pid: dict(rss=dice.randint(100, 90000), ticks=0, read=0, wait=0) for pid in range(1000, 1012)}
    ts = 1_795_000_000.25
    for number in range(150):
        ts += dice.choice([1, 1.003, 0.997, 2.5])
        sample = []
        for pid, state in processes.items():
            if pid == 1003 and number < 40 or pid == 1007 and 60 < number < 90:
                continue
            state['rss'] = max(10, state['rss'] + dice.randint(-500, 520))
            state['ticks'] += dice.choice([0, 0, 1, 7, 50, 180])
            state['read'] += dice.choice([0, 0, 4096, 1_000_003])
            state['wait'] += dice.choice([0, 0, 0, 3])
            row = {}
            for name in FILES:
                schema = procfile.registry[name].schema
                if isinstance(schema, str):
                    row[name] = f'/bin/worker {pid}'
                    continue
                for field in schema.__annotations__:
                    row[f'{name}_{field}'] = dice.randint(0, 50) if pid != 1011 or name != 'smaps_rollup' else None
            row.update(
                stat_pid=pid, stat_comm=f'worker-{pid}', stat_starttime=pid * 10, stat_rss=state['rss'],
                stat_utime=state['ticks'], stat_stime=state['ticks'] // 3, io_read_bytes=state['read'],
                io_write_bytes=state['read'] // 2, stat_delayacct_blkio_ticks=state['wait'],
            )
            sample.append(row)
        yield round(ts, 6), sample


def main(database, query_file):
    meta = {'page_size': 4096, 'clock_ticks': 100, 'procfile_list': json.dumps(FILES), 'platform_node': 'oracle'}
    storage = procrec.SqliteStorage(database, FILES, meta)
    with storage:
        storage.create_schema()
        for ts, sample in rows(random.Random(7)):
            storage.record(ts, sample)

    with open(query_file) as f:
        custom = procret.Query(f.read(), 'Custom query')
    expression = procret.create_query('stat_utime * 10.0 / (stat_pid - 990)', 'Custom expression')
    smoothings = [(None, None), (0.5, None), (None, 10), (0.1, 7), (3.0, 2), (None, 1000), (0.0, 1)]
    after, before = datetime(2026, 11, 18, 11, 7, 30, tzinfo=timezone.utc), datetime(2026, 11, 18, 11, 9, 30, tzinfo=timezone.utc)
    selections = [([], {}), (
        ['-a', '2026-11-18T11:07:30', '-b', '2026-11-18T11:09:30', '-p', '1003,1007,1010'],
        dict(after=after, before=before, pid_list=[1003, 1007, 1010]),
    )]
    queries = [(['-q', name], name, query) for name, query in procret.registry.items()]
    queries.append((['--custom-value-expr', 'stat_utime * 10.0 / (stat_pid - 990)'], '№1', expression))
    queries.append((['--custom-query-file', query_file], '№1', custom))
    cases = []
    for options, name, query in queries:
        for more, selection in selections:
            timeseries = procret.query(database, query, **selection)
            # Procpath cannot smooth what is not there.
            timeseries = [row for row in timeseries if row['value'] is not None]
            for epsilon, window in smoothings:
                arguments = options + more
                if epsilon is not None:
                    arguments = arguments + ['-e', str(epsilon)]
                if window is not None:
                    arguments = arguments + ['-w', str(window)]
                series = plot._get_pid_series_points(timeseries, epsilon, window)
                cases.append({
                    'arguments': arguments,
                    'title': query.title,
                    # As text: not every reader of JSON keeps the last bit.
                    'series': {
                        f'{name} {pid}': [[repr(float(n)) for n in point] for point in points]
                        for pid, points in series.items() if points
                    },
                })
    json.dump(cases, sys.stdout)


if __name__ == '__main__':
    main(*sys.argv[1:])
