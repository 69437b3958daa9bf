"""A direction method of one's own, tried without changing steerlab."""

import sys

import numpy as np

from steerlab.cli import main
from steerlab.directions import METHODS


def median_difference(positive: np.ndarray, negative: np.ndarray, *, seed: int) -> np.ndarray:
    """Median of the positive side minus median of the negative side, coordinate by coordinate."""
    return np.median(positive, axis=0) - np.median(negative, axis=0)


METHODS["median_difference"] = median_difference  # type: ignore[index]

if __name__ == "__main__":
    sys.exit(main())
