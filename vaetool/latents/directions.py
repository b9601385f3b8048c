"""Directions in which codes differ between pictures with something and pictures without: z + alpha · direction.

The normal of a logistic regression on whitened codes. Along the difference of the two means (Larsen et al. 2016,
section 4.2.1) held-out smiles are told apart less well, and more of a picture changes for as much of a smile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vaetool.errors import UsageError

MIN_AUC = 0.6
"""A direction that tells held-out codes apart no better than this shows nothing; 0.5 is guessing."""

FOLDS = 5
"""Parts of the codes that are held out in turn; no less of each kind is needed."""

MAX_LABELS, MIN_OF_LABEL = 40, 20

STRENGTH = 0.01
"""Inverse weight of the penalty in the regression, which makes the most of few codes: the difference of their means."""

MIN_SPREAD = 1e-3
"""Of a number in a code, in parts of the usual one: what never changes is not divided by nothing."""


def direction_between(having: np.ndarray, lacking: np.ndarray) -> tuple[np.ndarray, float]:
    """A direction, (latent,), and its AUC on held-out codes: the chance that of two codes, one of each kind, it is the
    one that has it which lies further along.

    having, lacking: codes, (codes, latent), five or more of each. One times the direction is as far as the means of the
    two kinds are apart along it.
    Raises UsageError for too few, and for an AUC under 0.6.
    """
    for codes in (having, lacking):
        if len(codes) < FOLDS:
            raise UsageError(f"a direction needs {FOLDS} pictures or more of each kind, not {len(codes)}")
    auc = held_out_auc(having, lacking)
    if auc < MIN_AUC:
        raise UsageError(
            "this direction means little in these codes: it tells held-out pictures apart with an AUC of "
            f"{auc:.2f}, and {MIN_AUC} is the least"
        )
    return _direction(having, lacking), auc


def named_directions(codes: np.ndarray, labels: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
    """For each label a direction from all other labels to it, and its AUC; see `direction_between`.

    Of two labels each has one, opposite to the other's. codes: (codes, latent); labels: of each, "" for none, which
    leaves it out. Labels with fewer than 20 codes have no direction, and neither have those with an AUC under 0.6; none
    has one where there are more than 40 labels, which are names rather than kinds.
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
    """The area under the ROC curve along the direction between codes of two kinds, (codes, latent) each: the mean over
    the fifths of the codes, each of them judged with a direction that was found without it.
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
    """Of the plane between two kinds of whitened codes, (latent,) of length 1, and what they were divided by."""
    from sklearn.linear_model import LogisticRegression

    codes = np.concatenate([having, lacking]).astype(np.float64)
    sigma = codes.std(axis=0)
    sigma = sigma.clip(MIN_SPREAD * np.sqrt(np.square(sigma).mean()) or 1.0)
    kinds = np.repeat([1, 0], [len(having), len(lacking)])
    regression = LogisticRegression(C=STRENGTH, class_weight="balanced", tol=1e-3, max_iter=1000)
    normal = regression.fit((codes - codes.mean(axis=0)) / sigma, kinds).coef_[0]
    return normal / (np.linalg.norm(normal) or 1.0), sigma


def _without(codes: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes without a fold, and the fold."""
    out = np.arange(len(codes)) % FOLDS == fold
    return codes[~out], codes[out]
