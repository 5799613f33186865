"""Asks MEDS's own Python package whether a folder that the agent wrote is MEDS 0.4.

    pip install -r tests/vectors/meds-requirements.txt
    site-agent data export --meds FOLDER --source OMOP
    python3 tests/vectors/meds_check.py FOLDER...

Checks every shard and codes.parquet against the package's schemas, dataset.json too; that each subject is in one file and
by time in it; and that every code is listed, and every parent that is listed has a row or a vocabulary. One line a folder; the first
that is not ends it. A test of the agent runs it over folders that are good and folders that are not (CONSILIUM_PYTHON names the
interpreter, default python3).
"""

import json
import pathlib
import sys

import pyarrow.parquet as pq
from meds import CodeMetadataSchema, DataSchema, DatasetMetadataSchema


def check(root):
    listed = pq.read_table(root / "metadata" / "codes.parquet")
    CodeMetadataSchema.validate(listed)
    known = listed["code"].to_pylist()
    assert len(known) == len(set(known)), "a code twice"
    known = set(known)
    for parents in listed["parent_codes"].to_pylist():
        assert all("/" in parent for parent in parents or []), "a parent of no vocabulary"
    DatasetMetadataSchema.validate(json.loads((root / "metadata" / "dataset.json").read_text()))
    seen, rows = set(), 0
    shards = sorted((root / "data").glob("**/*.parquet"))
    assert shards, "no shard"
    for shard in shards:
        table = pq.read_table(shard)
        DataSchema.validate(table)
        last = None
        for subject, time in zip(table["subject_id"].to_pylist(), table["time"].to_pylist()):
            if last is None or last[0] != subject:
                assert subject not in seen, "a subject in two pieces"
                seen.add(subject)
            else:
                assert last[1] <= time, "not by time"
            last = (subject, time)
        assert set(table["code"].unique().to_pylist()) <= known, "a code that is not listed"
        rows += table.num_rows
    people = pq.read_table(root / "metadata" / "attributes.parquet")["subject_id"].to_pylist()
    assert seen <= set(people) and len(people) == len(set(people)), "somebody without attributes"
    return f"{root}: MEDS {len(shards)} shards, {rows} rows, {len(seen)} subjects, {len(known)} codes"


for folder in sys.argv[1:]:
    print(check(pathlib.Path(folder)))
