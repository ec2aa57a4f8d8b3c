"""Frechet distance between two sets of features, each summarised by a Gaussian.

Heusel et al. 2017, arXiv 1706.08500: |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)). The trace of the root is computed as the
sum of the singular values of S^(1/2) S'^(1/2), with symmetric roots by `eigh`: real by construction, and no eigenvalue
is squared first, so that rank-deficient covariances (fewer samples than features) keep full precision.
The distance is biased upwards at finite n; compare only at equal n, and with a real-against-real floor.
Shapes: n, m samples, d features.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from frisket.core.errors import check


def frechet(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Squared Frechet distance (>= 0, units of the features squared) with unbiased covariances. Symmetric.

    Raises `FrisketError` when the widths differ or a set has fewer than two samples.
    """
    check(a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1], "features", (a.shape, b.shape), "(n, d) and (m, d)")
    check(min(len(a), len(b)) >= 2, "samples", (len(a), len(b)), "at least 2 in each set")
    return frechet_of_gaussians(*moments(a), *moments(b))


def frechet_of_gaussians(
    mean_a: Float[np.ndarray, "d"], covariance_a: Float[np.ndarray, "d d"],
    mean_b: Float[np.ndarray, "d"], covariance_b: Float[np.ndarray, "d d"],
) -> float:  # fmt: skip
    """The same distance from given means and covariances; exact for Gaussians."""
    shift = mean_a - mean_b
    cross = np.linalg.svd(psd_root(covariance_a) @ psd_root(covariance_b), compute_uv=False).sum()
    return max(0.0, float(shift @ shift + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * cross))


def moments(x: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
    """Mean and unbiased covariance in float64."""
    x = np.asarray(x, dtype=np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, centred.T @ centred / (len(x) - 1)


def psd_root(matrix: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """The symmetric positive semi-definite square root; eigenvalues below zero by rounding count as zero."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
