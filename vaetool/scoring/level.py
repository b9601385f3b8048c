"""Which p-values make outliers, and what that promises."""

from __future__ import annotations

import numpy as np

from vaetool.scoring.calibration import (
    Calibration,
    benjamini_hochberg,
    check_alpha,
    false_alarm_bound,
    false_alarm_rate,
    usual_alpha,
)


class Level:
    """The p-values that make outliers: those up to alpha, or those that a false discovery rate of the batch allows."""

    def __init__(self, alpha: float | None, fdr: float | None, count: int) -> None:
        """Raise UsageError for a level that p-values from `count` pictures cannot resolve."""
        self.fdr = fdr
        chosen = alpha if fdr is None else fdr
        self.alpha = usual_alpha(count) if chosen is None else chosen
        check_alpha(self.alpha, count)

    def threshold(self, p_values: np.ndarray) -> float:
        """Return the largest p-value that makes an outlier; -1 if none does."""
        if self.fdr is None:
            return self.alpha
        return float(p_values[benjamini_hochberg(p_values, self.fdr)].max(initial=-1.0))

    def words(self, calibration: Calibration, by: str) -> str:
        """Return what the level promises with a calibration, in words."""
        if self.fdr is not None:
            promise = (
                f"false discovery rate {self.fdr:g}: of 100 pictures reported as outliers, {100 * self.fdr:.3g} or "
                "fewer are good ones, on average over batches"
            )
        else:
            count = calibration.count(by)
            mean, bound = false_alarm_rate(self.alpha, count), false_alarm_bound(self.alpha, count)
            promise = (
                f"alpha {self.alpha:g}: of 100 good pictures, about {100 * mean:.2g} are called outliers, and no more "
                f"than {100 * bound:.2g}, with a confidence of 95 %"
            )
        return f"{promise}; calibrated with {calibration.words(by)}"
