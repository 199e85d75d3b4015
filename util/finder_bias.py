"""What finding the electrons adds to the answer, measured on frames simulated at the answer.

The found hits and the true electrons of the same frames are fitted alike, the electrons weighted by the flux that each
spot really had. Their noise is common to both, so the difference shows the finder alone: on 2,000 frames it is known
to 0.02 statistical floors. One step of indirect inference subtracts it.

The same frames give a parametric bootstrap: the scatter of answers over independent repetitions of the chain.
"""

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from util import pad
from util.chain import Played, Scene, play
from util.finder import FinderSettings
from util.likelihood import FitResult, fit
from util.phosphor import PhosphorRecipe

_BATCHES = 4  # independent parts, whose scatter tells how well the bias is known


@dataclass(frozen=True)
class FinderBias:
    """Bias of the values of a fit, in its order of parameters; numbers of electrons and centre count as unbiased.

    Attributes
    ----------
    names : tuple of P str
    bias, error : arrays (P,)
        What the finder adds, and the standard error of that.
    frames : int
        Simulated ones.
    """

    names: tuple[str, ...]
    bias: NDArray
    error: NDArray
    frames: int


def scene_at(result: FitResult, crowd: tuple[int, ...]) -> Scene:
    """Give the scene that an answer describes; a PAD that dips below zero is flattened until it is a density.

    Parameters
    ----------
    result : FitResult
    crowd : tuple of int
        Electrons a frame, as `crowd_of` gives them.
    """
    betas = []
    for beta in result.beta:
        lowest = float(pad.minimum(beta))
        # Mixed with the isotropic I = 1/2: the least that touches zero.
        betas.append(tuple((beta * min(1.0, 0.5 / max(0.5 - lowest, 1e-9) * (1 - 1e-9))).tolist()))
    share = result.electrons / result.electrons.sum()
    return Scene(
        tuple(result.R.tolist()),
        tuple(result.sigma_R.tolist()),
        tuple(betas),
        tuple(share.tolist()),
        (float(result.centre[0]), float(result.centre[1])),
        crowd,
    )


def crowd_of(image_id: NDArray, weight: NDArray) -> tuple[int, ...]:
    """Electrons of each frame by flux, rounded: what frames of a simulation may hold.

    Parameters
    ----------
    image_id, weight : arrays (n,)
        Of the hits.
    """
    _, index = np.unique(image_id, return_inverse=True)
    hits = np.bincount(index)
    return tuple((hits * max(weight.sum() / hits.sum(), 0)).round().astype(int).tolist())


def answer_of(x: NDArray, z: NDArray, weight: NDArray, result: FitResult) -> FitResult:
    """Fit as `result` was fitted, started from it."""
    start = [(float(R), float(sigma)) for R, sigma in zip(result.R, result.sigma_R, strict=True)]
    spheres, n = result.beta.shape
    background = "background" in result.names
    return fit(x, z, weight, spheres=spheres, order=2 * n, start=start, background=background)


def measure_bias(
    result: FitResult,
    crowd: tuple[int, ...],
    frames: int,
    recipe: PhosphorRecipe,
    settings: FinderSettings,
    *,
    seed: int,
    executor: Executor,
    in_flight: int = 4,
) -> FinderBias:
    """Simulate `frames` frames at the answer, find their electrons, and compare with the fit to the true ones.

    Parameters
    ----------
    result : FitResult
        The answer, from flux-weighted hits.
    crowd : tuple of int
        As `crowd_of` gives it.
    frames : int
        At least 4 x 50.
    recipe, settings
        What the hits of the answer were found with.
    seed, executor, in_flight
        As in `util.chain.play`.

    Raises
    ------
    InputError
        Too few electrons in a fourth of the frames to fit them.
    """
    scene = scene_at(result, crowd)
    runs = [
        play(
            scene,
            frames // _BATCHES,
            recipe,
            settings,
            seed=_BATCHES * seed + i,
            executor=executor,
            in_flight=in_flight,
        )
        for i in range(_BATCHES)
    ]
    parts = np.array([_difference(run, result) for run in runs])
    bias = _difference(_all(runs), result)
    error = parts.std(axis=0, ddof=1) / np.sqrt(_BATCHES)
    moved = np.array([not name.startswith(("N_", "centre", "background")) for name in result.names])
    return FinderBias(result.names, np.where(moved, bias, 0), np.where(moved, error, 0), sum(r.frames for r in runs))


def _all(runs: list[Played]) -> Played:
    true, found = np.concatenate([r.true for r in runs], axis=1), np.concatenate([r.found for r in runs])
    return Played(sum(r.frames for r in runs), true, found)


def _difference(run: Played, result: FitResult) -> NDArray:
    found = answer_of(*(run.found[key].astype(float) for key in ("x", "z", "weight")), result)
    return found.values - answer_of(*run.true, result).values


def subtract(result: FitResult, bias: FinderBias) -> FitResult:
    """Answer without the finder's bias; its uncertainty is added to the covariance."""
    values = result.values - bias.bias
    spheres, n = result.beta.shape
    blocks = values[: spheres * (n + 3)].reshape(spheres, n + 3)
    return replace(
        result,
        values=values,
        covariance=result.covariance + np.diag(bias.error**2),
        R=blocks[:, 1],
        sigma_R=blocks[:, 2],
        beta=blocks[:, 3:],
    )


def bootstrap(
    result: FitResult,
    crowd: tuple[int, ...],
    frames: int,
    repetitions: int,
    recipe: PhosphorRecipe,
    settings: FinderSettings,
    *,
    seed: int,
    executor: Executor,
    in_flight: int = 4,
) -> NDArray:
    """Repeat the measurement at the answer, through frames; parameters as in `measure_bias`.

    Returns
    -------
    array (repetitions, P)
        Values of the fit, in the order of `result.names`; their covariance is the bootstrap's.
    """
    scene = scene_at(result, crowd)
    out = []
    for i in range(repetitions):
        run = play(scene, frames, recipe, settings, seed=(seed << 20) + i, executor=executor, in_flight=in_flight)
        out.append(answer_of(*(run.found[key].astype(float) for key in ("x", "z", "weight")), result).values)
    return np.array(out)
