"""parquet.py FILE: what DuckDB reads out of a Parquet file: columns, their types, rows, and what the file says of itself."""

import json
import sys

import duckdb

[path] = sys.argv[1:]
rows = duckdb.sql('SELECT * FROM read_parquet($path) ORDER BY record_id', params={'path': path})
about = duckdb.sql(
    'SELECT decode(key), decode(value) FROM parquet_kv_metadata($path) ORDER BY 1', params={'path': path}
)
groups = duckdb.sql(
    'SELECT count(DISTINCT row_group_id) FROM parquet_metadata($path)', params={'path': path}
)
json.dump(
    {
        'columns': rows.columns,
        'types': [str(kind) for kind in rows.types],
        'rows': rows.fetchall(),
        'about': dict(about.fetchall()),
        'groups': groups.fetchall()[0][0],
    },
    sys.stdout,
)
