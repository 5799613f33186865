"""Makes one-run.csv and chi-squared.csv with scipy (run with 1.17)."""
import csv
import math

from scipy.stats import binom, chi2


def one_run(m, r, v, eps, delta):
    p = math.exp(eps) / (1 + math.exp(eps))
    beta = binom.sf(v - 1, r, p)
    alpha = max(((binom.cdf(v - 1, r, p) - binom.cdf(v - i - 1, r, p)) / i for i in range(1, v + 1)), default=0)
    return min(1.0, beta + 2 * m * delta * alpha)


with open("one-run.csv", "w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["canaries", "guesses", "correct", "epsilon", "delta", "p"])
    for m, r, v in [(1000, 100, 60), (1000, 100, 100), (1000, 250, 200), (1000, 500, 300), (1000, 1000, 600),
                    (1000, 1000, 1000), (2000, 200, 130), (10, 10, 0), (10, 10, 10), (50, 6, 3)]:
        for eps in [0.0, 0.1, 0.5, 1.0, 2.337, 5.0]:
            for delta in [0.0, 1e-5, 1e-3]:
                out.writerow([m, r, v, eps, delta, repr(float(one_run(m, r, v, eps, delta)))])

with open("chi-squared.csv", "w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["freedom", "statistic", "p"])
    for n in [99, 199, 1000, 52000]:
        for z in [-6, -4, -3, -1, 0, 1, 3, 4, 6]:
            x = n + z * math.sqrt(2 * n)
            out.writerow([n, repr(x), repr(float(2 * min(chi2.cdf(x, n), chi2.sf(x, n))))])
