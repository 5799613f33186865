"""Counts a folder of OMOP CSV tables a second time, with nothing but Python's own csv and datetime.

The figures in site-agent/src/data/omop/tests/real.rs are what this prints:
    python3 tests/vectors/omop_counts.py FOLDER...
One line a table, summed over the folders: rows, unmapped, numbers without a unit, ends before it begins, date and datetime
disagree, at midnight, outside observation, after death, person unknown, and the sum of all numbers.
"""

import csv
import datetime as dt
import gzip
import os
import sys

CLINICAL = {
    "visit_occurrence": ("visit_concept_id", "visit_start", "visit_end", None),
    "visit_detail": ("visit_detail_concept_id", "visit_detail_start", "visit_detail_end", None),
    "condition_occurrence": ("condition_concept_id", "condition_start", "condition_end", None),
    "drug_exposure": ("drug_concept_id", "drug_exposure_start", "drug_exposure_end", "quantity"),
    "procedure_occurrence": ("procedure_concept_id", "procedure", "procedure_end", None),
    "measurement": ("measurement_concept_id", "measurement", None, "value_as_number"),
    "observation": ("observation_concept_id", "observation", None, "value_as_number"),
    "death": (None, "death", None, None),
}


def table(folder, name):
    for entry in os.listdir(folder):
        if entry.lower() in (name + ".csv", name + ".csv.gz"):
            path = os.path.join(folder, entry)
            opened = gzip.open(path, "rt", encoding="utf-8-sig", newline="") if entry.lower().endswith("gz") else open(
                path, encoding="utf-8-sig", newline=""
            )
            with opened as file:
                for row in csv.DictReader(file):
                    yield {key.lower(): value for key, value in row.items()}


def moment(row, stem):
    """(day, datetime or None, whether both are there and disagree), or None."""
    if stem is None:
        return None
    day, time = row.get(stem + "_date") or "", row.get(stem + "_datetime") or ""
    if time:
        parsed = dt.datetime.fromisoformat(time)
        return parsed.date(), parsed, bool(day) and day[:10] != time[:10]
    if day:
        return dt.date.fromisoformat(day[:10]), None, False
    return None


def main(folders):
    total = {}
    for folder in folders:
        people = {row["person_id"] for row in table(folder, "person")}
        periods = {}
        for row in table(folder, "observation_period"):
            days = [dt.date.fromisoformat(row[f"observation_period_{end}_date"][:10]) for end in ("start", "end")]
            periods.setdefault(row["person_id"], []).append(days)
        deaths = {}
        for row in table(folder, "death"):
            day = moment(row, "death")[0]
            deaths[row["person_id"]] = min(day, deaths.get(row["person_id"], day))
        for name, (concept, start, end, number) in CLINICAL.items():
            counts = total.setdefault(name, [0] * 9 + [0.0])
            for row in table(folder, name):
                begun, ended = moment(row, start), moment(row, end)
                assert begun, "every row of these sets has a date"
                counts[0] += 1
                counts[1] += concept is not None and int(row[concept] or 0) == 0
                value = (row.get(number) or "") if number else ""
                counts[2] += name == "measurement" and value != "" and not (
                    int(row.get("unit_concept_id") or 0) or row.get("unit_source_value")
                )
                if ended:
                    both = begun[1] is not None and ended[1] is not None
                    counts[3] += ended[1] < begun[1] if both else ended[0] < begun[0]
                counts[4] += begun[2]
                counts[5] += begun[1] is not None and begun[1].time() == dt.time()
                if row["person_id"] in people:
                    if name != "death":
                        counts[6] += not any(a <= begun[0] <= b for a, b in periods.get(row["person_id"], []))
                        counts[7] += row["person_id"] in deaths and begun[0] > deaths[row["person_id"]]
                else:
                    counts[8] += 1
                counts[9] += float(value) if value else 0.0
    for name, counts in total.items():
        print(name, *counts[:9], f"{counts[9]:.3f}")


main(sys.argv[1:])
