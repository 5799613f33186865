"""Writes sklearn.json: predictions, outcomes and the metrics that scikit-learn finds in them."""
import json

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score


def delong(p, y, w):
    """Standard error of the AUROC, straight from the definition of DeLong et al. (1988), people by their weights."""
    x, z = p[y == 1], p[y == 0]
    psi = (x[:, None] > z[None, :]) + 0.5 * (x[:, None] == z[None, :])

    def variance(shares, own):
        centred = own * (shares - np.average(shares, weights=own))
        return np.sum(centred**2) / own.sum() ** 2 * len(own) / (len(own) - 1)

    by_x = np.average(psi, axis=1, weights=w[y == 0])
    by_z = np.average(psi, axis=0, weights=w[y == 1])
    return np.sqrt(variance(by_x, w[y == 1]) + variance(by_z, w[y == 0]))


def case(name, p, y, w=None):
    w = np.ones(len(y)) if w is None else w
    x = logit(p).reshape(-1, 1)
    line = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10000, solver="newton-cholesky").fit(x, y, sample_weight=w)
    return {
        "name": name,
        "probabilities": p.tolist(),
        "outcomes": y.tolist(),
        "weights": w.tolist(),
        "auroc": roc_auc_score(y, p, sample_weight=w),
        "auroc_se": delong(p, y, w),
        "average_precision": average_precision_score(y, p, sample_weight=w),
        "brier": brier_score_loss(y, p, sample_weight=w),
        "accuracy": float(np.average((p >= 0.5) == (y == 1), weights=w)),
        "calibration_in_the_large": float(np.average(y - p, weights=w)),
        "calibration_intercept": brentq(lambda a: np.sum(w * (y - expit(x[:, 0] + a))), -20, 20, xtol=1e-14),
        "calibration_slope": float(line.coef_[0, 0]),
    }


def main():
    rng = np.random.default_rng(20270301)
    cases = []
    for name, people, spread, decimals in [
        ("continuous", 300, 1.0, 6),
        ("ties", 200, 1.2, 1),
        ("rare", 400, 0.8, 6),
        ("overconfident", 150, 2.5, 6),
        ("few", 12, 1.0, 2),
    ]:
        true = rng.normal(-2.5 if name == "rare" else 0.0, 1.0, people)
        y = (rng.random(people) < expit(true)).astype(int)
        p = np.clip(np.round(expit(spread * true + rng.normal(0, 0.5, people)), decimals), 0.01, 0.99)
        cases.append(case(name, p, y))
    for name, decimals in [("weighted", 6), ("weighted ties", 1)]:
        true = rng.normal(-1.0, 1.0, 250)
        y = (rng.random(250) < expit(true)).astype(int)
        p = np.clip(np.round(expit(true + rng.normal(0, 0.5, 250)), decimals), 0.01, 0.99)
        cases.append(case(name, p, y, np.where(y == 1, rng.uniform(0.3, 1.0, 250), 1.0)))
    with open("sklearn.json", "w") as file:
        json.dump(cases, file, indent=None, separators=(",", ":"))
        file.write("\n")


main()
