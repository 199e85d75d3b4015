"""What real detectors do to the electrons of ideal ones, for the tests of what takes it out again."""

import numpy as np

from support import truth
from util.physics.sampling import project, sample_sphere


def blob(electrons, R, sigma_R, *, rng):
    """Positions (2, n) of slow electrons about the centre, isotropic."""
    speed, cosine = np.abs(rng.normal(R, sigma_R, electrons)), rng.uniform(-1, 1, electrons)
    return np.stack(project(speed, cosine, rng=rng))


def doublets(spheres, electrons, apart, share, *, rng):
    """Positions (2, n) of spheres whose lines are two, `apart` from each other; the faster holds `share`."""
    out = []
    for sphere, n in zip(spheres, electrons, strict=True):
        speed, cosine = sample_sphere(sphere.beta, sphere.R, sphere.sigma_R, n, rng=rng)
        fast = rng.random(n) < share
        out.append(project(speed + np.where(fast, (1 - share) * apart, -share * apart), cosine, rng=rng))
    return np.concatenate(out, axis=1)


def lopsided(spheres, electrons, share, *, rng):
    """Positions (2, n) of spheres that emit `share` more electrons forwards along their axis, (1 + share c) I(c)."""
    out = []
    for sphere, n in zip(spheres, electrons, strict=True):
        speed, cosine = sample_sphere(sphere.beta, sphere.R, sphere.sigma_R, n, rng=rng)
        forward = rng.random(n) < (1 + share * np.abs(cosine)) / 2
        out.append(project(speed, np.where(forward, 1, -1) * np.abs(cosine), rng=rng))
    return np.concatenate(out, axis=1)


def turned(x, z, degrees):
    """Positions turned about the centre, from +z towards +x."""
    a = np.radians(degrees)
    return np.stack((x * np.cos(a) + z * np.sin(a), z * np.cos(a) - x * np.sin(a)))


def stretched(x, z, share, degrees):
    """Positions stretched by `share` along one direction, counted from +z towards +x."""
    a = np.radians(degrees)
    along = share * (x * np.sin(a) + z * np.cos(a))
    return np.stack((x + along * np.sin(a), z + along * np.cos(a)))


def swollen(x, z, share, degrees):
    """Positions whose radii are up to share / 2 larger along one direction, and smaller across it."""
    larger = 1 + share / 2 * np.cos(2 * (np.arctan2(x, z) - np.radians(degrees)))
    return np.stack((x * larger, z * larger))


def design(electrons, *, rng):
    """Positions (2, n) of the two spheres of the final test, half of the electrons each."""
    return truth.hits(truth.DESIGN, (electrons // 2, electrons // 2), rng=rng)
