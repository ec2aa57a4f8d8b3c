"""Improved precision and recall: is a sample inside the other set's k-nearest-neighbour manifold?

Kynkaanniemi et al. 2019, arXiv 1904.06991. The manifold of a set is the union of balls around its points, each reaching
to the point's k-th nearest neighbour in the set (itself not counted). Precision: share of generated samples inside the
real manifold (quality); recall: share of real samples inside the generated one (coverage). k = 3 as in the paper.
Shapes: n, m samples, d features.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from frisket.core.errors import check

BLOCK = 1024


def precision_recall(
    generated: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"], neighbours: int = 3
) -> tuple[float, float]:
    """(precision, recall), both in [0, 1]. Raises `FrisketError` on too few samples for `neighbours`."""
    precision = inside(generated, real, neighbours).mean()
    recall = inside(real, generated, neighbours).mean()
    return float(precision), float(recall)


def inside(
    points: Float[np.ndarray, "n d"], manifold: Float[np.ndarray, "m d"], neighbours: int = 3
) -> Bool[np.ndarray, "n"]:
    """Per point: does it lie in any ball of `manifold`? Their means are precision and recall."""
    from scipy.spatial.distance import cdist

    check(points.ndim == 2 and points.shape[1:] == manifold.shape[1:], "features", (points.shape, manifold.shape),
          "(n, d) and (m, d)")  # fmt: skip
    check(1 <= neighbours < len(manifold), "neighbours", neighbours, f"between 1 and {len(manifold) - 1}")
    radius = np.empty(len(manifold))
    for i in range(0, len(manifold), BLOCK):
        rows = cdist(manifold[i : i + BLOCK], manifold)
        radius[i : i + BLOCK] = np.partition(rows, neighbours, axis=1)[:, neighbours]  # position 0 is the point itself
    out = np.empty(len(points), dtype=bool)
    for i in range(0, len(points), BLOCK):
        out[i : i + BLOCK] = (cdist(points[i : i + BLOCK], manifold) <= radius).any(axis=1)
    return out
