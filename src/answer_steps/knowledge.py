"""Options of the answer stage that put knowledge into an answer: supported orders, a prior, I(c) >= 0."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from util.answer.notes import Notes, named_rows
from util.fit.cautions import cautions
from util.fit.constraints import choose_orders, nonnegative, prior_conflict, with_orders, with_prior
from util.fit.result import FitResult
from util.physics import pad
from util.runtime import settings
from util.runtime.errors import InputError
from util.training.priors import Prior

_CONFLICT = 1e-3  # p of the prior, given the data, below which a warning is due


OPTIONS = ("orders", "prior", "nonnegative")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--orders",
        choices=("all", "auto"),
        default="all",
        help="auto: only the betas that the data support, by Akaike's criterion (default %(default)s)",
    )
    parser.add_argument(
        "--prior", type=Path, metavar="FILE", help="normal prior of the betas, as param/fine_tuning.toml"
    )
    parser.add_argument("--nonnegative", action="store_true", help="the likeliest answer with I(c) >= 0")


def read_prior(path: Path, result: FitResult) -> tuple[NDArray, NDArray]:
    """Give mu and sigma, arrays (S, n), for the betas of an answer.

    Raises
    ------
    InputError
        No prior of as many spheres and at least as many betas.
    """
    prior = settings.load(Prior, path)
    spheres, n = result.beta.shape
    if len(prior.spheres) != spheres or prior.betas < n:
        raise InputError(
            f"{path}: expected {spheres} sphere(s) of at least {n} betas, found {len(prior.spheres)} of {prior.betas}; "
            "name another prior, or fit as many with --spheres and --order"
        )
    return tuple(np.array([getattr(sphere, key)[:n] for sphere in prior.spheres]) for key in ("mu", "sigma"))


def refine(result: FitResult, args: argparse.Namespace, notes: Notes) -> FitResult:
    """Apply what was asked for; the answer of the hits alone goes into `Unrefined` of final.h5."""
    free = result
    prior = None if args.prior is None else read_prior(args.prior, result)
    if args.orders == "auto":
        result = _supported(result, prior, args.prior, notes)
    if prior is not None:
        result = _with_prior(result, *prior, args.prior, notes)
    if args.nonnegative:
        result = _nonnegative(result, notes)
    if result is not free:
        notes.keep_values("Unrefined", free)
    notes.warnings += cautions(result)
    return result


def _supported(result: FitResult, prior: tuple[NDArray, NDArray] | None, path: Path | None, notes: Notes) -> FitResult:
    orders = choose_orders(result)
    notes.facts["orders"] = list(orders)
    degrees = " and ".join(map(str, orders))
    unsupported = result.layout.beyond(orders)
    if prior is None:
        notes.lines.append(f"the data support Legendre degrees up to {degrees}; betas beyond are taken as 0")
        return with_orders(result, orders)
    notes.lines.append(f"the data support Legendre degrees up to {degrees}; what those beyond are worth under {path}:")
    if not unsupported.size:
        notes.lines.append("  all are supported")
        return result
    after = with_prior(result, *prior)
    place = {index: np.unravel_index(k, result.beta.shape) for k, index in enumerate(result.layout.beta.ravel())}
    rows = []
    for index in unsupported:
        mu, sigma = (part[place[index]] for part in prior)
        data, error = result.values[index], result.errors[index]
        both, both_error = after.values[index], after.errors[index]
        # 0: the data add nothing to the prior; 1: they replace it.
        learnt = 1 - both_error**2 / sigma**2
        rows.append((data, error, mu, sigma, both, both_error, learnt))
        notes.lines.append(
            f"  {result.names[index]:<10} data {data:+.4f} +- {error:.4f}, prior {mu:+.4f} +- {sigma:.4f}, "
            f"together {both:+.4f} +- {both_error:.4f}: {100 * learnt:.0f} % from the data"
        )
    columns = ("Data", "DataError", "Prior", "PriorSigma", "Together", "TogetherError", "ShareOfData")
    names = tuple(result.names[index] for index in unsupported)
    notes.keep("Unsupported", named_rows(names, **dict(zip(columns, np.array(rows).T, strict=True))))
    # The prior says of them what zero would only pretend.
    return result


def _with_prior(result: FitResult, mu: NDArray, sigma: NDArray, path: Path, notes: Notes) -> FitResult:
    chi2, p = prior_conflict(result, mu, sigma)
    after = with_prior(result, mu, sigma)
    before_error, after_error = (np.sqrt(_mean_square(part)) for part in (result, after))
    moved = float(pad.distance(after.beta, result.beta))
    notes.lines.append(
        f"prior {path}: expected error (rms distance) {before_error:.4f} -> {after_error:.4f}, the answer moves by "
        f"{moved:.4f}; chi-square of the data against the prior {chi2:.1f} of {mu.size}, p = {p:.2g}"
    )
    if p < _CONFLICT:
        notes.warnings.append(f"the data contradict the prior {path} (p = {p:.1g}): answer without it")
    notes.facts["prior"] = {"file": path.name, "mu": mu.tolist(), "sigma": sigma.tolist(), "p": p}
    return after


def _mean_square(result: FitResult) -> float:
    n = result.beta.shape[1]
    norm = np.tile(2 / (4 * np.arange(1, n + 1) + 1), len(result.R))
    return float(norm @ np.diag(result.beta_covariance()))


def _nonnegative(result: FitResult, notes: Notes) -> FitResult:
    lowest = [float(pad.minimum(beta)) for beta in result.beta]
    after = nonnegative(result)
    if after is result:
        notes.lines.append("I(c) >= 0: so it is already")
        return result
    moved = float(pad.distance(after.beta, result.beta))
    dips = ", ".join(f"{value:.3g}" for value in lowest)
    notes.lines.append(f"I(c) >= 0: lowest values {dips} before; the answer moves by {moved:.4f}")
    return after
