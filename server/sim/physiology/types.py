"""Array types of the physiology kernels."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Block: TypeAlias = Floats  # (ROWS * W,): see rows.py
