"""The multivariate test: maximum mean discrepancy from random Fourier features.

With a Gaussian kernel k and its random features z (Rahimi & Recht 2007, NIPS 20: E[z(x) z(y)] = k(x, y)), the
distance between the mean embeddings of two samples (Gretton et al. 2012, JMLR 13, section 3) is that of the
mean features. It sees what no single feature shows: a changed dependence between features whose own
distributions stay. Means of random features are linear in the rows, so they live in a profile.
"""

from __future__ import annotations

import numpy as np

from components.drift.core.profile import Floats


def mean_discrepancy(random_a: Floats, random_b: Floats, complete_a: Floats, complete_b: Floats) -> Floats:
    """Maximum mean discrepancy, not squared, with the kernel that the random features stand for.

    Args:
      random_a: Sums of the random features of the first side. Shape [..., D].
      random_b: Of the baseline. Shape [..., D].
      complete_a: Rows behind the sums. Shape [...].
      complete_b: Of the baseline.

    Returns:
      Values in [0, 2^0.5] up to the error of the features, which is of order D^-0.5; NaN where a side has no
      complete row. Shape [...].
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = random_a / complete_a[..., None] - random_b / complete_b[..., None]
    return np.sqrt((gap * gap).sum(axis=-1))
