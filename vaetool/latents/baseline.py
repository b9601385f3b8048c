"""The linear baseline of an autoencoder: principal components, the best linear code (Baldi & Hornik 1989)."""

from __future__ import annotations

import numpy as np

from vaetool.images.metrics import mean_psnr

MAX_NUMBERS = 50_000_000
"""Maximum number of values of training pictures for a fit: enough for a good one, in a few hundred megabytes."""


def pca_psnr(training: np.ndarray, held_out: np.ndarray, width: int) -> float:
    """Return the mean PSNR, in dB, of held-out pictures rebuilt from the principal components of training pictures.

    Both are (pictures, values) in 0..1. width: of the code, the number of components, which is limited to the numbers
    of training pictures and values.
    """
    from sklearn.decomposition import PCA

    components = PCA(min(width, *training.shape), random_state=0).fit(training)
    back = components.inverse_transform(components.transform(held_out)).clip(0, 1)
    return mean_psnr(np.square(back - held_out).mean(axis=1))
