"""The loss of a fit to measured totals: relative error, in units of a prior's standard deviation, robust.

r = (log predicted - log measured) / TOLERANCE        no unit
loss = sum of robust(r)^2 over the measured networks
"""

import numpy as np

__all__ = ["TOLERANCE", "robust"]

TOLERANCE = 0.06  # relative error of a total that is worth one standard deviation of a prior


def robust(r: np.ndarray) -> np.ndarray:
    """Residuals whose squares are squares near zero and straight lines beyond two (pseudo-Huber).

    One network that the model cannot explain must not bend the fit of all others.
    """
    return np.sign(r) * np.sqrt(8 * (np.sqrt(1 + r * r / 4) - 1))
