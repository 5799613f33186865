"""Random small histories and ACES's labels of them: what the Rust test `data::extract::tests::aces` is held against.

    python -m venv env && env/bin/pip install es-aces==0.7.3 meds==0.4.1
    env/bin/python make.py            # writes histories.csv and labels.csv beside this file

Made with es-aces 0.7.3, polars 1.44.2, Python 3.11. The tasks are tasks/*.yaml; nothing in labels.csv was touched by hand.

ACES gives a row for each trigger that meets a task's windows; a study has one example a person, the first. So labels.csv
has the first row of each subject (where later triggers can only be valid if the first eligible one is: see the task).

Two kinds of histories. `dated`: all times are midnight, and stand for dates without a time (`date_only_rule =
"start-of-day"`); intervals of days mean the same in both languages then. `timed`: times of a day, for windows of hours and
for the rest of a stay.

A history is written once, as events with a start and, for visits, an end; the MEDS rows that ACES reads are made of it here.
"""

import csv
import logging
import random
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from aces.config import TaskExtractorConfig
from aces.predicates import get_predicates_df
from aces.query import query
from omegaconf import DictConfig

HERE = Path(__file__).parent
SEED = 20261122
PEOPLE = 600
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
START = datetime(2014, 12, 1)

# MEDS codes by table and concept. ACES knows no tables: a code is all that it sees.
CODES = {
    ("condition", 10): "SNOMED/10",
    ("condition", 11): "SNOMED/11",
    ("condition", 20): "SNOMED/20",
    ("condition", 21): "SNOMED/21",
    ("measurement", 30): "LOINC/30",
    ("visit", 40): "VISIT/40",
    ("death", 0): "MEDS_DEATH",
}


def dated(rng):
    """Dates, close together, so that windows end on events often."""
    # Distances that the tasks' windows end at, one less and one more.
    steps = [0, 0, 0, 1, 1, 2, 6, 7, 8, 22, 23, 29, 30, 31, 60, 89, 90, 91, 179, 180, 181]
    day = START + rng.randrange(60) * DAY
    events = []
    for _ in range(rng.randrange(1, 9)):
        day += rng.choice(steps) * DAY
        kind = rng.choices(["condition", "measurement", "visit"], [6, 3, 3])[0]
        if kind == "visit":
            end = day + rng.choice([0, 0, 1, 3]) * DAY
            events.append(("visit", 40, day, end))
            day = end
        elif kind == "measurement":
            events += [("measurement", 30, day, None)] * rng.choice([1, 1, 2])
        else:
            events.append(("condition", rng.choice([10, 10, 11, 20, 20, 21]), day, None))
    # Beside what tasks ask about, at the ends of their windows.
    for table, concept, start, _ in list(events):
        if concept in (10, 11) and rng.random() < 0.6:
            what = rng.choice([("condition", 20), ("condition", 20), ("condition", 21), ("measurement", 30)])
            days = [0, 1, 2, 7, 8, 9, 29, 30, 31, 89, 90, 91, 179, 180, 181]
            if what[0] == "measurement":
                days = [0, -1, -29, -30, -31]
            events += [(*what, start + rng.choice(days) * DAY, None)] * (1 if what[0] == "condition" else 2)
    day = max(day, max(event[2] for event in events))
    return events, day + rng.choice([0, 0, 1, 30, 90]) * DAY


def timed(rng):
    """Stays one after another, with what happens at full hours and at midnight in and between them."""
    # Midnight, and distances that the tasks' windows end at, one minute less and one more.
    minutes = [0, 1, 59, 60, 61, 24 * 60 - 1, 24 * 60, 24 * 60 + 1, 48 * 60, 48 * 60 + 1, 71 * 60, 72 * 60, 300, 1000]
    now = START + rng.randrange(60) * DAY + rng.choice([0, 0, 9, 15, 23]) * HOUR
    events = []
    for stay in range(rng.randrange(1, 4)):
        start = now
        end = start + timedelta(minutes=rng.choice(minutes[1:]) + rng.choice([0, 0, 60, 1440, 2880]))
        events.append(("visit", 40, start, end))
        for _ in range(rng.randrange(0, 5)):
            at = rng.choice([start, end]) + rng.choice([-1, 1, 1]) * timedelta(minutes=rng.choice(minutes))
            what = rng.choice([("measurement", 30), ("measurement", 30), ("condition", 20)])
            events.append((*what, at, None))
        now = end + timedelta(minutes=rng.choice([60, 1440, 4 * 1440]))
    return events, now + rng.choice([0, 1, 5]) * DAY


def history(rng, make):
    """A person's events; nothing is recorded after a death."""
    events, last = make(rng)
    if rng.random() < 0.35:
        moments = [time for _, _, start, end in events for time in (start, end) if time is not None]
        near = rng.choice(moments)
        if make is dated:
            late = rng.choice([1, 30, 89, 90, 91]) * DAY
        else:
            late = timedelta(minutes=rng.choice([0, 1, 60, 600]))
        died = rng.choice([near, near + late, last])
        events = [event for event in events if event[2] <= died]
        # A stay ends with a death at the latest; some of those are never closed.
        open_end = rng.random() < 0.3 and make is timed
        events = [
            (table, concept, start, (None if open_end else died) if end is not None and end > died else end)
            for table, concept, start, end in events
        ]
        events.append(("death", 0, died, None))
    elif make is timed and rng.random() < 0.15:
        # Still in hospital.
        stay = max((event for event in events if event[0] == "visit"), key=lambda event: event[2])
        events = [(*event[:3], None) if event is stay else event for event in events if event[2] <= stay[3]]
    return sorted(events, key=lambda event: (event[2], event[0], event[1]))


def meds_rows(subject, events):
    for table, concept, start, end in events:
        yield subject, start, CODES[table, concept]
        if end is not None:
            yield subject, end, "VISIT_END"


def labels(task, rows):
    config = TaskExtractorConfig.load(task)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.parquet"
        frame = pl.DataFrame(
            {
                "subject_id": [row[0] for row in rows],
                "time": [row[1] for row in rows],
                "code": [row[2] for row in rows],
                "numeric_value": [None] * len(rows),
            },
            schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String, "numeric_value": pl.Float32},
        )
        frame.sort("subject_id", "time").write_parquet(path)
        data = DictConfig({"path": str(path), "standard": "meds", "ts_format": None})
        result = query(config, get_predicates_df(config, data))
    if result.is_empty():
        return []
    first = result.sort("index_timestamp").group_by("subject_id", maintain_order=True).first()
    return [
        (row["subject_id"], row["index_timestamp"], int(row["label"] > 0))
        for row in first.sort("subject_id").iter_rows(named=True)
    ]


def main():
    logging.disable(logging.WARNING)
    people = {}
    for kind, make in [("dated", dated), ("timed", timed)]:
        rng = random.Random(f"{SEED} {kind}")
        people[kind] = {1 + number: history(rng, make) for number in range(PEOPLE)}
    with open(HERE / "histories.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["kind", "person_id", "table", "concept_id", "start", "end"])
        for kind, of_kind in people.items():
            text = (lambda time: time.date().isoformat()) if kind == "dated" else (lambda time: time.isoformat())
            for person, events in of_kind.items():
                for table, concept, start, end in events:
                    out.writerow([kind, person, table, concept, text(start), "" if end is None else text(end)])
    with open(HERE / "labels.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["task", "person_id", "prediction_time", "label"])
        for task in sorted((HERE / "tasks").glob("*.yaml")):
            kind = task.stem.split("-")[0]
            rows = [row for person, events in people[kind].items() for row in meds_rows(person, events)]
            found = labels(task, rows)
            assert 15 < len(found), f"{task.stem}: {len(found)} examples"
            positive = sum(label for _, _, label in found)
            print(f"{task.stem}: {len(found)} of {PEOPLE}, {positive} with the outcome")
            assert 5 <= positive <= len(found) - 5, task.stem
            for person, time, label in found:
                out.writerow([task.stem, person, time.isoformat(), label])


if __name__ == "__main__":
    main()
