"""What finding the electrons adds to the answer, measured on frames simulated at the answer.

The found hits and the true electrons of the same frames move the answer alike (`util.fit.influence_functions`), the
hits weighted by their flux, the electrons by the flux that each spot really had. Their noise is common to both, so the
difference shows the finder alone, with a third of the noise that counting whole electrons would leave; rounding flux to
electrons (`util.finder.weighting`) adds no bias of its own. Two fits would tell the same with two to six times the
variance: most electrons are found a hundredth of a bin away, but one that crosses the edge counts as a bin away. One
step of indirect inference (Gourieroux, Monfort and Renault 1993) subtracts it. Where it is large, as where bright
electrons hide faint ones, the answer differs too much from the truth for its frames to be as crowded as the measured
ones: they are simulated again at the answer without the bias, with as many electrons as are then found.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from util.camera.detector import Detector
from util.camera.phosphor import mean_flux
from util.electrons.hits import HitWeights
from util.finder.weighting import BROADEST
from util.fit.agreement import hotelling
from util.fit.influence_functions import Influence
from util.fit.likelihood import check_hits
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.physics import pad
from util.simulation.virtual_experiment import Played, Scene, VirtualExperiment

# Clear: as large a bias would appear by chance in one of a hundred sound answers.
CLEAR = 0.01
# Of the errors: a bias that is expected to change by more is measured again, in frames enough to know it so well.
_KNOWN = 1 / 3
# Simulated spots that differ more than this from the measured ones are no guide to what the finder did to those.
_UNLIKE_MEAN, _UNLIKE_SPREAD = 0.05, 0.25


@dataclass(frozen=True)
class Seen:
    """What the search saw in the measured frames.

    Attributes
    ----------
    crowd : tuple of int
        Electrons of each frame by flux, rounded: what frames of a simulation may hold.
    weight : float
        Of all hits of a frame, as the answer weighs them.
    least : float
        Flux that as many hits exceed as are counted at all.
    spots : dict
        Of each hit's `A` and `sigma`: mean and standard deviation.
    """

    crowd: tuple[int, ...]
    weight: float
    least: float
    spots: dict[str, tuple[float, float]]


def seen_in(events: NDArray[np.void], weight: NDArray[np.float64], frames: int) -> Seen:
    """Summarise what was seen in `frames` frames.

    `events` (n,) has dtype `util.finder.finder.EVENT`, is not empty, and holds one frame after another; `weight` (n,)
    is that of the hits in the answer.
    """
    frame = events["ImageId"]
    hits = np.diff(np.flatnonzero(frame[1:] != frame[:-1]) + 1, prepend=0, append=frame.size)
    electrons = (hits * max(float(events["weight"].mean()), 0)).round().astype(int)
    empty = frames - electrons.size
    least = float(np.quantile(events["flux"], np.mean(weight <= 0)))
    return Seen((*electrons.tolist(), *(0,) * empty), float(weight.sum()) / frames, least, _spots(events))


def _spots(events: NDArray[np.void]) -> dict[str, tuple[float, float]]:
    columns = {name: events[name].astype(float) for name in ("A", "sigma")}
    return {name: (float(values.mean()), float(values.std())) for name, values in columns.items()}


@dataclass(frozen=True)
class FinderBias:
    """Bias of the values of a fit, in the order of its parameters.

    Attributes
    ----------
    layout : Layout
        Of the P parameters. The centre counts as unbiased, and so do numbers of electrons by flux: what is found of an
        electron's light is a matter of its unit. Where hits are counted, the electrons that they hide are missing.
    bias : array (P,)
        What the finder adds.
    covariance : array (P, P)
        Of that, as far as the simulation knows it.
    frames : int
        How many were simulated.
    weight : float
        Of all hits of a simulated frame.
    unlike : tuple of str
        Sentences about simulated spots that do not look like the measured ones.
    """

    layout: Layout
    bias: NDArray[np.float64]
    covariance: NDArray[np.float64]
    frames: int
    weight: float
    unlike: tuple[str, ...] = ()

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors (P,) of the bias."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def p(self) -> float:
        """Probability that a finder without bias would show as much in this simulation."""
        moved = self.layout.shape[self.error[self.layout.shape] > 0]
        return hotelling(self.bias[moved], self.covariance[np.ix_(moved, moved)], self.frames)[1]

    @property
    def clear(self) -> bool:
        """Whether the bias should be subtracted: it stands out, and the simulation looks like the measurement."""
        return self.p < CLEAR and not self.unlike

    def known_to(self, result: FitResult) -> float:
        """Return the largest error of the bias of R, sigma_R or a beta, over that of an answer."""
        known = self._known(result)
        return float(np.max(self.error[known] / result.errors[known]))

    def changes(self, result: FitResult) -> float:
        """Return by how many errors of R, sigma_R or a beta the bias would change at the answer without it, about.

        In twice the proportion in which the answer changes, for pairs of electrons hide one another: numbers of
        electrons in that to themselves, radii and widths to the width of the line, betas to the largest of their
        sphere, or to the 1/2 that they stand beside.
        """
        layout, scale = self.layout, np.abs(result.values)
        scale[layout.R] = scale[layout.sigma_R]
        scale[layout.beta] = np.maximum(np.abs(result.beta).max(axis=1, keepdims=True), 0.5)
        known = self._known(result)
        every = np.append(known, layout.N)
        proportion = np.max(np.abs(self.bias[every]) / scale[every])
        return float(2 * proportion * np.max(np.abs(self.bias[known]) / result.errors[known]))

    def _known(self, result: FitResult) -> NDArray[np.intp]:
        return self.layout.shape[result.errors[self.layout.shape] > 0]


def scene_at(result: FitResult, crowd: tuple[int, ...]) -> Scene:
    """Return the scene that an answer describes; a PAD that dips below zero is flattened until it is a density.

    Parameters
    ----------
    result : FitResult
    crowd : tuple of int
        As in `Seen`.
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


def measure_bias(
    result: FitResult,
    seen: Seen,
    frames: int,
    experiment: VirtualExperiment,
    *,
    most_frames: int | None = None,
    seed: int,
    hit_weights: HitWeights = "flux",
) -> FinderBias:
    """Simulate `frames` frames at the answer, find their electrons, and compare with the true ones.

    A clear bias that is large is measured again, twice: each time at the answer without the bias of the time before,
    which takes away two thirds of what it is wrong by.

    Parameters
    ----------
    result : FitResult
        The answer, from the found hits, without further knowledge.
    seen : Seen
    frames : int
        More than there are parameters.
    experiment : VirtualExperiment
        Has the detector and the finder that the hits of the answer came from.
    most_frames : int or None
        How many the last simulation of a large bias may have (None: `frames`).
    seed : int
    hit_weights : {"flux", "unit"}
        As for the answer.

    Raises
    ------
    InputError
        Too few electrons in so many frames to fit them.
    """
    bias = _measure(result, seen.crowd, frames, seen, experiment, seed, hit_weights)
    if bias.changes(result) < _KNOWN or not bias.clear:
        return bias
    crowd = seen.crowd
    enough = math.ceil(frames * (bias.known_to(result) / _KNOWN) ** 2)
    for number in (frames, min(max(frames, enough), most_frames or frames)):
        crowd = _crowded(crowd, seen.weight / bias.weight)
        bias = _measure(subtract(result, bias), crowd, number, seen, experiment, seed, hit_weights, towards=result)
    return bias


def _crowded(crowd: tuple[int, ...], times: float) -> tuple[int, ...]:
    """Return so many times as many electrons, rounded so that the sum of no frames is off by more than half a one."""
    until = np.floor(np.cumsum(crowd) * times + 0.5)
    return tuple(np.diff(until, prepend=0).astype(int).tolist())


def _measure(
    result: FitResult,
    crowd: tuple[int, ...],
    frames: int,
    seen: Seen,
    experiment: VirtualExperiment,
    seed: int,
    hit_weights: HitWeights,
    *,
    towards: FitResult | None = None,
) -> FinderBias:
    """Simulate frames at an answer, with the electrons of one of `crowd` in each, and tell what the finder adds.

    A large bias makes of it the answer `towards`. The hits move the fit as they do halfway, to second order.
    """
    scene = scene_at(result, crowd)
    run = experiment.play(scene, frames, seed=seed)
    weights, counted = [np.ones(run.found.size), np.ones(run.true.size)], True
    if hit_weights == "flux":
        weights, counted = _by_flux(run, experiment.detector, seen.least)
    spheres = _of_scene(result, scene, run.true["x"], run.true["z"], weights[1])
    influence = Influence(spheres if towards is None else _halfway(spheres, towards, float(weights[0].sum())))
    found_sums, true_sums = (
        influence.by_group(hits["x"].astype(float), hits["z"].astype(float), weight, hits["ImageId"], frames)
        for hits, weight in zip((run.found, run.true), weights, strict=True)
    )
    added = found_sums - true_sums
    # As many electrons as the answer has, of which a simulation of other frames and weights holds a part.
    added[:, spheres.layout.N] *= result.electrons / spheres.electrons
    # Pieces that were fitted besides the spheres are not simulated, and count as unbiased.
    told = [layout.blocks[:, 0 if counted else 1 :].ravel() for layout in (result.layout, spheres.layout)]
    index, added = told[0], added[:, told[1]]
    bias, covariance = np.zeros(result.layout.size), np.zeros((result.layout.size, result.layout.size))
    bias[index] = added.sum(axis=0)
    covariance[np.ix_(index, index)] = frames * np.cov(added, rowvar=False)
    weight = run.found["weight"] if hit_weights == "flux" else weights[0]
    return FinderBias(
        result.layout,
        bias,
        covariance,
        frames,
        float(weight.sum()) / frames,
        _unlike(_spots(run.found), seen.spots),
    )


def _of_scene(
    result: FitResult, scene: Scene, x: NDArray[np.float64], z: NDArray[np.float64], weight: NDArray[np.float64]
) -> FitResult:
    """Return the spheres of an answer as they were simulated, with as many electrons as weigh so much (n,)."""
    check_hits(x, z, weight, spheres=len(scene.R))
    spheres = result.of_spheres()
    values = spheres.values.copy()
    values[spheres.layout.N] = weight.sum() * np.array(scene.share)
    values[spheres.layout.beta] = scene.beta
    return replace(spheres, values=values)


def _halfway(spheres: FitResult, found: FitResult, weight: float) -> FitResult:
    """Return the middle between the spheres that were simulated and those found, whose hits weigh so much."""
    other = found.of_spheres()
    values = other.values.copy()
    values[other.layout.N] = weight * other.electrons / other.electrons.sum()
    return replace(spheres, values=(spheres.values + values) / 2)


def _by_flux(run: Played, detector: Detector, least: float) -> tuple[list[NDArray[np.float64]], bool]:
    """Return the weights of what was found and of all true electrons, which hold as much of the same noise as they can.

    Of a narrow law these are fluxes; of a broad one, by which hits are counted, whether that is bright enough, in the
    simulation and, above `least`, in the measurement. Also whether they were counted.
    """
    found, true = run.found["flux"].astype(float), run.true["flux"].astype(float)
    if detector.flux_spread <= BROADEST or not np.any(counted := run.found["weight"] > 0):
        return [found, true], False
    if counted.all():  # too few lone hits to count by: they weigh as their flux, as those of the answer do
        return [found, true], False
    # Fluxes are in means of what was found when the detector was learnt, true ones in the law's.
    true *= mean_flux(detector, pulse_heights=detector.imperfections.pulse_heights) / detector.flux.mean
    # Were a threshold of the plate too low to be told, fainter electrons would be found here than there, if in part.
    least = max(least, float(found[counted].min()))
    return [(flux >= least).astype(float) for flux in (found, true)], True


def _unlike(simulated: dict[str, tuple[float, float]], measured: dict[str, tuple[float, float]]) -> tuple[str, ...]:
    out = []
    for name, (mean, spread) in measured.items():
        wanted_mean, wanted_spread = simulated[name]
        if (
            abs(mean - wanted_mean) > _UNLIKE_MEAN * wanted_mean
            or abs(spread - wanted_spread) > _UNLIKE_SPREAD * wanted_spread
        ):
            out.append(
                f"simulated spots are unlike the measured ones: {name} {wanted_mean:.4g} +- {wanted_spread:.2g} "
                f"against {mean:.4g} +- {spread:.2g}; check param/phosphor.toml"
            )
    return tuple(out)


def subtract(result: FitResult, bias: FinderBias) -> FitResult:
    """Return the answer without the finder's bias, whose uncertainty is added to the covariance."""
    return replace(result, values=result.values - bias.bias, covariance=result.covariance + bias.covariance)
