"""Counts the cohort of site-agent/src/data/extract/tests/real.rs a second time, with nothing but Python's csv and datetime.

    python3 tests/vectors/eicu_cohort.py FOLDER...
Adults by the first of their intensive-care stays (visit_detail 32037) that starts in 2014 or 2015 while they are observed,
asked about 24 hours later; the outcome is death until the end of the hospital stay. Prints people, those with such a stay, those observed on
its first day, adults, those whose hospital stay goes on at 24 hours, those who are observed to its end, deaths. Then the
first stays of adults in every hospitalisation, deaths until its end, and both again where it goes on at 24 hours.
"""

import csv
import datetime as dt
import gzip
import os
import sys

DAY = dt.timedelta(days=1)


def table(folder, name):
    for entry in sorted(os.listdir(folder)):
        if entry in (name + ".csv", name + ".csv.gz"):
            path = os.path.join(folder, entry)
            opened = gzip.open(path, "rt", newline="") if entry.endswith("gz") else open(path, newline="")
            with opened as file:
                yield from csv.DictReader(file)


def when(text):
    return dt.datetime.fromisoformat(text) if text else None


def main(folders):
    total = [0] * 7
    hospitalisations = [0] * 4
    for folder in folders:
        periods = {}
        for row in table(folder, "observation_period"):
            span = (dt.date.fromisoformat(row["observation_period_start_date"]), dt.date.fromisoformat(row["observation_period_end_date"]))
            periods.setdefault(row["person_id"], []).append(span)
        assert all(len(spans) == 1 for spans in periods.values()), "one period a person in this set"
        visits = {row["visit_occurrence_id"]: row for row in table(folder, "visit_occurrence")}
        deaths = {row["person_id"]: when(row["death_datetime"]) for row in table(folder, "death")}
        stays = {}
        for row in table(folder, "visit_detail"):
            if row["visit_detail_concept_id"] == "32037":
                stays.setdefault(row["person_id"], []).append(row)
        for person in table(folder, "person"):
            id = person["person_id"]
            total[0] += 1
            own = sorted(
                stays.get(id, []), key=lambda row: (when(row["visit_detail_start_datetime"]), when(row["visit_detail_end_datetime"]))
            )
            own = [row for row in own if when(row["visit_detail_start_datetime"]).year in (2014, 2015)]
            seen, chosen, depth = set(), False, 0
            for row in own:
                start = when(row["visit_detail_start_datetime"])
                visit = visits[row["visit_occurrence_id"]]
                end, died = when(visit["visit_end_datetime"]), deaths.get(id)
                born = person["year_of_birth"]
                age = start.year - int(born) - ((start.month, start.day) < (7, 1)) if born else -1
                asked = start + DAY
                if age >= 18 and visit["visit_occurrence_id"] not in seen:
                    seen.add(visit["visit_occurrence_id"])
                    hospitalisations[0] += 1
                    hospitalisations[1] += died is not None and died <= end
                    hospitalisations[2] += end > asked
                    hospitalisations[3] += end > asked and died is not None and asked < died <= end
                # The first stay that is observed and of an adult; how far the person came by any of them.
                if chosen:
                    continue
                (first, last), = periods[id]
                observed = first <= start.date() <= last
                chosen = observed and age >= 18
                goes_on = chosen and end > asked
                # A death on the first day is never an example without the outcome, whatever the stay's end says.
                followed = goes_on and end.date() <= last and not (died and died <= asked)
                depth = max(depth, 1 + observed + chosen + goes_on + followed)
                depth += followed and died is not None and asked < died <= end
            for step in range(depth):
                total[1 + step] += 1
    print("people", *total)
    print("hospitalisations", *hospitalisations)


main(sys.argv[1:])
