"""Writes sklearn.json: predictions, outcomes and the metrics that scikit-learn finds in them."""
import json

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score


def delong(p, y):
    """Standard error of the AUROC, straight from the definition of DeLong et al. (1988)."""
    x, z = p[y == 1], p[y == 0]
    psi = (x[:, None] > z[None, :]) + 0.5 * (x[:, None] == z[None, :])
    return np.sqrt(psi.mean(axis=1).var(ddof=1) / len(x) + psi.mean(axis=0).var(ddof=1) / len(z))


def case(name, p, y):
    x = logit(p).reshape(-1, 1)
    line = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10000, solver="newton-cholesky").fit(x, y)
    return {
        "name": name,
        "probabilities": p.tolist(),
        "outcomes": y.tolist(),
        "auroc": roc_auc_score(y, p),
        "auroc_se": delong(p, y),
        "average_precision": average_precision_score(y, p),
        "brier": brier_score_loss(y, p),
        "accuracy": float(np.mean((p >= 0.5) == (y == 1))),
        "calibration_in_the_large": float(np.mean(y - p)),
        "calibration_intercept": brentq(lambda a: np.sum(y - expit(x[:, 0] + a)), -20, 20, xtol=1e-14),
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
    with open("sklearn.json", "w") as file:
        json.dump(cases, file, indent=None, separators=(",", ":"))
        file.write("\n")


main()
