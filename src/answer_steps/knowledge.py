"""Knowledge put into an answer: the orders that the data support, a prior, I(c) >= 0."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from src.answer_steps.options import Knowledge
from src.answer_steps.step import Step, join
from util.answer.made_by import UsedPrior
from util.answer.tables import Axis, Table, named_rows, value_table
from util.fit.cautions import cautions
from util.fit.constraints import choose_orders, nonnegative, prior_conflict, with_orders, with_prior
from util.fit.result import FitResult
from util.physics import pad
from util.runtime import settings
from util.runtime.errors import InputError
from util.runtime.value_with_error import shorthand
from util.training.priors import Prior

_CONFLICT = 1e-3  # p of the prior, given the data, below which a warning is due


@dataclass(frozen=True)
class BetaPrior:
    """Independent normal priors of the betas: mu and sigma, arrays (S, n), and the file that they are from."""

    path: Path
    mu: NDArray[np.float64]
    sigma: NDArray[np.float64]


def read_prior(path: Path, result: FitResult) -> BetaPrior:
    """Read the prior of the betas of an answer.

    Raises
    ------
    InputError
        The prior is not of as many spheres with at least as many betas.
    """
    prior = settings.load(Prior, path)
    spheres, n = result.beta.shape
    if len(prior.spheres) != spheres or prior.betas < n:
        raise InputError(
            f"{path}: expected {spheres} sphere(s) of at least {n} betas, found {len(prior.spheres)} of {prior.betas}; "
            "name another prior, or fit as many with --spheres and --order"
        )
    mu, sigma = (np.array([getattr(sphere, key)[:n] for sphere in prior.spheres]) for key in ("mu", "sigma"))
    return BetaPrior(path, mu, sigma)


def apply(result: FitResult, known: Knowledge) -> Step:
    """Apply what is known; the answer of the hits alone goes into `Unrefined` of final.h5."""
    prior = None if known.prior is None else read_prior(known.prior, result)
    steps = [Step(result)]
    if known.orders == "auto":
        steps.append(_supported(result) if prior is None else _judge_orders(result, prior))
    if prior is not None:
        steps.append(_with_prior(steps[-1].answer, prior))
    if known.nonnegative:
        steps.append(_nonnegative(steps[-1].answer))
    after = steps[-1].answer
    before = value_table(result, "the answer before orders, prior and I(c) >= 0 were put in")
    tables = {} if after is result else {"Unrefined": before}
    return join([*steps, Step(after, warnings=tuple(cautions(after)), tables=tables)])


def _supported(result: FitResult) -> Step:
    orders = choose_orders(result)
    line = f"the data support Legendre degrees up to {_and(orders)}; betas beyond are taken as 0"
    return Step(with_orders(result, orders), (line,), facts={"orders": orders})


def _judge_orders(result: FitResult, prior: BetaPrior) -> Step:
    """Say what betas that the data do not support are worth under a prior, which is better than to take them as 0."""
    orders = choose_orders(result)
    head = f"the data support Legendre degrees up to {_and(orders)}; what those beyond are worth under {prior.path}:"
    facts = {"orders": orders}
    beyond = result.layout.beyond(orders)
    index = result.layout.beta[beyond]
    if not index.size:
        return Step(result, (head, "  all are supported"), facts=facts)
    after = with_prior(result, prior.mu, prior.sigma)
    columns = {
        "Data": result.values[index],
        "DataError": result.errors[index],
        "Prior": prior.mu[beyond],
        "PriorSigma": prior.sigma[beyond],
        "Together": after.values[index],
        "TogetherError": after.errors[index],
    }
    columns["ShareOfData"] = 1 - columns["TogetherError"] ** 2 / columns["PriorSigma"] ** 2
    names = tuple(result.names[i] for i in index)
    table = Table(
        named_rows(names, **columns),
        "betas that the data do not support, by the data, by the prior, and by both; ShareOfData: 0: the data add "
        "nothing to the prior, 1: they replace it",
        "1",
        (Axis("unsupported", names),),
    )
    return Step(result, (head, _worth(table.array)), tables={"Unsupported": table}, facts=facts)


def _worth(rows: NDArray[np.void]) -> str:
    """Return the rows of `Unsupported` as a table."""
    pairs = {"data": ("Data", "DataError"), "prior": ("Prior", "PriorSigma"), "together": ("Together", "TogetherError")}
    columns = {
        "parameter": [name.decode() for name in rows["Name"]],
        **{word: [shorthand(*pair) for pair in rows[list(names)].tolist()] for word, names in pairs.items()},
        "from the data": [f"{100 * share:.0f} %" for share in rows["ShareOfData"]],
    }
    align = ("left", *["right"] * (len(columns) - 1))
    return tabulate(columns, headers="keys", tablefmt="plain", colalign=align, disable_numparse=True)


def _and(orders: tuple[int, ...]) -> str:
    return " and ".join(map(str, orders))


def _with_prior(result: FitResult, prior: BetaPrior) -> Step:
    chi2, p = prior_conflict(result, prior.mu, prior.sigma)
    after = with_prior(result, prior.mu, prior.sigma)
    before_error, after_error = (np.sqrt(_mean_square(part)) for part in (result, after))
    line = (
        f"prior {prior.path}: expected error (rms distance) {before_error:.4f} -> {after_error:.4f}, the answer moves "
        f"by {float(pad.distance(after.beta, result.beta)):.4f}; chi-square of the data against the prior {chi2:.1f} "
        f"of {prior.mu.size}, p = {p:.2g}"
    )
    against = f"the data contradict the prior {prior.path} (p = {p:.1g}): answer without it"
    mu, sigma = (tuple(map(tuple, part.tolist())) for part in (prior.mu, prior.sigma))
    facts = {"prior": UsedPrior(prior.path.name, mu, sigma, p)}
    return Step(after, (line,), (against,) if p < _CONFLICT else (), facts=facts)


def _mean_square(result: FitResult) -> float:
    n = result.beta.shape[1]
    norm = np.tile(pad.squared_norms(n), len(result.R))
    return float(norm @ np.diag(result.beta_covariance()))


def _nonnegative(result: FitResult) -> Step:
    after = nonnegative(result)
    odd = ("--nonnegative: odd betas were fitted too; I(c) >= 0 holds for their even part alone",)
    warnings = odd if result.layout.odd_degrees else ()
    if after is result:
        return Step(result, ("I(c) >= 0: so it is already",), warnings)
    dips = ", ".join(f"{float(pad.minimum(beta)):.3g}" for beta in result.beta)
    moved = float(pad.distance(after.beta, result.beta))
    return Step(after, (f"I(c) >= 0: lowest values {dips} before; the answer moves by {moved:.4f}",), warnings)
