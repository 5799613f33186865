"""Makes step.json: server steps in Python's own f64, checked against exact fractions."""

import json
import random
from fractions import Fraction

LOW, HIGH = -(2**31), 2**31 - 1
random.seed(20_260_101)
cases = []
for number in range(8):
    clip_norm = round(10 ** random.uniform(-2, 1), 4)
    lattice_units = 2 ** (18 if number < 6 else 20)
    denominator = round(10 ** random.uniform(0, 5), 3)
    learning_rate = round(10 ** random.uniform(-2, 2), 4)
    size = learning_rate * clip_norm / (float(lattice_units) * denominator) * 2.0**24
    exact = (
        Fraction(learning_rate) * Fraction(clip_norm) / (lattice_units * Fraction(denominator)) * 2**24
    )
    model, sums, after = [], [], []
    for at in range(40):
        value = random.randint(-(2**27), 2**27)
        # From a few units to far beyond what is representable.
        total = random.randint(-1, 1) * random.getrandbits(random.choice([8, 20, 30, 50, 62]))
        if at < 4:
            value, total = [(LOW, 2**62), (HIGH, -(2**62)), (0, 2**63 - 1), (0, -(2**63))][at]
        step = round(float(total) * size)  # Python rounds halves to even
        moved = min(max(value - step, LOW), HIGH)
        near = min(max(value - exact * total, LOW), HIGH)
        # One unit of rounding, and five roundings of 2^-53 each.
        assert abs(moved - near) <= Fraction(1, 2) + abs(exact * total) * Fraction(5, 2**53)
        model.append(value)
        sums.append(total)
        after.append(moved)
    cases.append(
        {
            "clip_norm": clip_norm,
            "lattice_units": lattice_units,
            "denominator": denominator,
            "learning_rate": learning_rate,
            "model": model,
            "sum": sums,
            "after": after,
        }
    )
with open("step.json", "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
