"""The published network's input, the matrix of electrons, beside the windows of `util.training.map_inversion`."""

from dataclasses import dataclass

from util.training.map_inversion import InputSettings


@dataclass(frozen=True)
class MatrixInput:
    """A square matrix of electrons, counted per pixel of the screen.

    Attributes
    ----------
    pixels : int
        Of each side.
    betas : int
        Of each sphere that is read off it.
    """

    pixels: int
    betas: int


# What a network sees.
NetworkInput = InputSettings | MatrixInput
