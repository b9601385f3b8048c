"""Directions from codes of pictures without an attribute to codes of those with it: z + alpha · direction.

A direction is the normal of a logistic regression on whitened codes. The difference of the two means (Larsen et al.
2016, section 4.2.1) separates held-out smiles less well, and changes more of a picture for as much of a smile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vaetool.errors import UsageError

MIN_AUC = 0.6
"""Minimum held-out AUC of a meaningful direction; 0.5 is chance."""

FOLDS = 5
"""Number of folds of the codes, and minimum number of codes of each kind."""

MAX_LABELS, MIN_OF_LABEL = 40, 20

STRENGTH = 0.01
"""Inverse weight of the regression's penalty, which makes a direction from few codes the difference of their means."""

MIN_SPREAD = 1e-3
"""Minimum spread of a unit, relative to the usual one, which avoids division by zero."""


def direction_between(having: np.ndarray, lacking: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a direction, (latent,), from codes that lack an attribute to codes that have it, and its held-out AUC.

    The AUC is the probability that, of two held-out codes, one of each kind, the one with the attribute lies further
    along. having, lacking: codes, (codes, latent), five or more of each. The direction's length is the distance of the
    two means along it.
    Raises UsageError for too few codes, and for an AUC below 0.6.
    """
    for codes in (having, lacking):
        if len(codes) < FOLDS:
            raise UsageError(f"a direction needs {FOLDS} pictures or more of each kind, not {len(codes)}")
    auc = held_out_auc(having, lacking)
    if auc < MIN_AUC:
        raise UsageError(
            f"this direction means little in these codes: its held-out AUC is {auc:.2f}, at least {MIN_AUC} is needed"
        )
    return _direction(having, lacking), auc


def named_directions(codes: np.ndarray, labels: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
    """Return for each label a direction from all other labels to it, and its AUC; see `direction_between`.

    Two labels have opposite directions. codes: (codes, latent). labels: one per code; codes with the label "" are left
    out. Labels with fewer than 20 codes, or with an AUC below 0.6, have no direction; none has one if there are more
    than 40 labels, which are then names rather than kinds.
    """
    counts = Counter(label for label in labels if label)
    if not 2 <= len(counts) <= MAX_LABELS:
        return {}
    names = np.array(labels)
    found = {}
    for name in sorted(name for name, count in counts.items() if count >= MIN_OF_LABEL):
        having, lacking = codes[names == name], codes[(names != name) & (names != "")]
        if len(lacking) >= FOLDS and (auc := held_out_auc(having, lacking)) >= MIN_AUC:
            found[name] = _direction(having, lacking), auc
    return found


def held_out_auc(having: np.ndarray, lacking: np.ndarray) -> float:
    """Return the area under the ROC curve along the direction between codes of two kinds, (codes, latent) each.

    It is the mean over five folds of the codes, each scored along a direction found without it.
    """
    from sklearn.metrics import roc_auc_score

    aucs = []
    for fold in range(FOLDS):
        (train, test), (train_other, test_other) = _without(having, fold), _without(lacking, fold)
        normal, sigma = _normal(train, train_other)
        kinds = np.repeat([1, 0], [len(test), len(test_other)])
        aucs.append(roc_auc_score(kinds, np.concatenate([test, test_other]) @ (normal / sigma)))
    return float(np.mean(aucs))


def _direction(having: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    normal, sigma = _normal(having, lacking)
    distance = normal @ ((having.mean(axis=0) - lacking.mean(axis=0)) / sigma)
    return (distance * normal * sigma).astype(np.float32)


def _normal(having: np.ndarray, lacking: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit normal, (latent,), of the plane between two kinds of whitened codes, and the whitening scale."""
    from sklearn.linear_model import LogisticRegression

    codes = np.concatenate([having, lacking]).astype(np.float64)
    sigma = codes.std(axis=0)
    sigma = sigma.clip(MIN_SPREAD * np.sqrt(np.square(sigma).mean()) or 1.0)
    kinds = np.repeat([1, 0], [len(having), len(lacking)])
    regression = LogisticRegression(C=STRENGTH, class_weight="balanced", tol=1e-3, max_iter=1000)
    normal = regression.fit((codes - codes.mean(axis=0)) / sigma, kinds).coef_[0]
    return normal / (np.linalg.norm(normal) or 1.0), sigma


def _without(codes: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes outside a fold, and those in it."""
    out = np.arange(len(codes)) % FOLDS == fold
    return codes[~out], codes[out]
