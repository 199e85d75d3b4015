"""Accumulated images as a laboratory's camera makes them, for the tests of what reads them."""

import numpy as np

from support.truth import DESIGN, hits


def accumulated(electrons, size, *, gain=1.0, camera=0.0, seed=0):
    """Return an image (size, size) with x along axis 0; a gain other than 1 is spread over two pixels each."""
    rng = np.random.default_rng(seed)
    i, j = ((hits(DESIGN, (electrons // 2,) * 2, rng=rng) + 1) / 2 * size).astype(int)
    image = np.zeros((size, size))
    if gain == 1:
        np.add.at(image, (i, j), 1)
        return image
    beside = rng.random(i.size) < 0.5
    np.add.at(image, (i, j), gain / 2)
    np.add.at(image, (i + beside, j + ~beside), gain / 2)
    return image + rng.normal(0, camera, image.shape)


def symmetrised(image):
    """Return the sum of an image and its mirror images."""
    image = image + image[::-1]
    return image + image[:, ::-1]
