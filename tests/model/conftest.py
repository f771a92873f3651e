from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def threes():
    """The threes of scikit-learn's digits, uint8 [N, 1, 8, 8]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return np.round(data.images[data.target == 3] * 255 / 16).astype(np.uint8)[:, None]
