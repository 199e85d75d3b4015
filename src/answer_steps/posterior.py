"""The answer of METHOD=resnet: the hits, and the prior that the network was trained on, from where the network looks.

The prior is an assumption. So the step first asks whether hits, prior and network agree: a fit that does not describe
the hits, hits that contradict the prior, a network that reads something else than the fit.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from src.answer_steps.bias_and_bootstrap import Unbiased
from src.answer_steps.likelihood import Fitted, table_of_tests
from src.answer_steps.network import Look
from src.answer_steps.step import Step
from util.answer.final_h5 import sphere_table
from util.answer.made_by import UsedNetwork
from util.answer.posterior import contradiction, hits_alone, posterior
from util.fit.cautions import cautions
from util.fit.goodness import ALARM
from util.fit.known_spheres import KnownSpheres
from util.fit.named_faults import Test
from util.fit.result import FitResult
from util.runtime.errors import InputError
from util.runtime.value_with_error import shorthand
from util.training.reference import APART

_REFUSE = 1e-6  # p
# Tests of `util.fit.goodness` that look at the whole map; the others name causes.
_WHOLE = ("deviance", "radial profile", "angular profile", "worst region")


def used_network(seen: Look) -> dict[str, Any]:
    """Return what `MadeBy` tells of the network."""
    facts = seen.facts
    return {
        "weights": seen.weights.name,
        "network": UsedNetwork(facts.stage, facts.arch, facts.seed, facts.samples, seen.prior),
    }


def answer_with_prior(
    fitted: Fitted, seen: Look, known: KnownSpheres, unbiased: Unbiased, *, seed: int, force: bool
) -> Step:
    """Put hits and prior together.

    Parameters
    ----------
    fitted : Fitted
        By a fit that weighed `known`.
    seen : Look
    known : KnownSpheres
        The prior's means and spreads.
    unbiased : Unbiased
        The step that measured the finder's bias.
    seed : int
        Of the draws from the posterior.
    force : bool
        Whether to answer although the tests speak against it.

    Raises
    ------
    InputError
        They do, clearly, and `force` is not set.
    """
    found = fitted.answer
    read, silent = _against_network(hits_alone(found), seen)
    own = [_against_prior(found, known, seen), *read]
    tests = (*fitted.goodness.tests, *own)
    clear = [test for test in tests if test.p < _REFUSE and (test in own or test.name in _WHOLE)]
    if clear and not force:
        named = fitted.goodness.warnings[-1:] if not any(test in own for test in clear) else []
        reasons = "; ".join([*(f"{test.text} (p = {test.p:.1g})" for test in clear), *named])
        raise InputError(
            f"this is not what the network was trained for: {reasons}; answer with METHOD=likelihood, or all the same "
            "with --force"
        )
    subtracted = unbiased.bias if unbiased.further is not None else None
    bias = None if subtracted is None else (subtracted.bias, subtracted.covariance)
    after = posterior(found, seen.prior, known, rng=np.random.default_rng([2, seed]), bias=bias)
    goodness = replace(fitted.goodness, tests=tests)
    return Step(
        after,
        lines=(*(f"{test.name}: {test.text}, p = {test.p:.3g}" for test in own), *silent),
        warnings=(*(f"{test.text} (p = {test.p:.1g})" for test in own if test.p < ALARM), *cautions(after)),
        tables={
            "Tests": table_of_tests(goodness),
            "Network": sphere_table(
                seen.R, seen.beta, "what the network alone reads, no answer", "I(c) = 1/2 + sum beta_2i P_2i(c)"
            ),
        },
        facts=used_network(seen),
    )


def _against_prior(found: FitResult, known: KnownSpheres, seen: Look) -> Test:
    against = contradiction(found, known)
    text = (
        f"hits and the prior of {seen.weights.name} differ by chi-square {against.chi2:.0f}, most in {against.name}: "
        f"{shorthand(*against.hits)}, prior {shorthand(*against.known)}"
    )
    return Test("prior", against.chi2, float("nan"), against.p, text)


def _against_network(found: FitResult, seen: Look) -> tuple[list[Test], list[str]]:
    """Compare reading and hits, where the samples of the training tell how far they may lie apart, or say why not.

    The hits alone, since a prior draws a fit to few electrons its own way, and the reading not.
    """
    reference = seen.facts.reference
    if reference is None:
        return [], ["network: its reading is compared with the hits only of weights that release_weights.sh released"]
    if len(found.R) > 1 and np.diff(found.R).min() < APART:
        return [], [f"network: its reading is not compared with the hits of spheres less than {APART} apart"]
    if found.layout.pieces:
        besides = ", ".join(found.layout.pieces)
        return [], [f"network: its reading, which knows nothing of {besides}, is not compared with the hits"]
    p = reference.p(seen.beta, found.beta[:, : seen.beta.shape[1]], float(found.electrons.sum()))
    away = np.abs(seen.beta - found.beta[:, : seen.beta.shape[1]]).max()
    text = f"the network reads betas that lie {away:.4f} from what the hits tell at most"
    return [Test("network", float("nan"), float("nan"), p, text)], []
