"""The spot classifier as a finder: a whole frame in one pass, one electron for each cell that says it holds one.

An electron near the edge of a cell convinces two cells. Both tell its place, so where two places are close the less
sure one is dropped. `benchmark.spot_classifier` compares this with the joint fit, which the stages use.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from src.spot_classifier.net import SpotNet
from src.spot_classifier.patches import GaussSettings, to_cells


def answer_frame(net: SpotNet, data: NDArray[np.integer | np.floating], half_width: int) -> NDArray[np.float32]:
    """Ask the network, on its device, about every cell of a frame (h, w): (3, h, w), logit and offset [cells].

    Beyond its edges the frame is taken to be dark, as in the patches.
    """
    padded = np.pad(np.asarray(data, np.float32), half_width)
    with torch.inference_mode():
        answer: torch.Tensor = net(torch.from_numpy(padded)[None].to(next(net.parameters()).device))[0]
    return answer.cpu().numpy()


def positions(
    answer: NDArray[np.float32],
    data: NDArray[np.integer | np.floating],
    settings: GaussSettings,
    *,
    threshold: float,
    apart: float,
) -> NDArray[np.float64]:
    """Return the places of electrons (n, 2) [cells from the frame's corner].

    Parameters
    ----------
    answer : (3, h, w)
        Of `answer_frame`.
    data : (h, w)
        The frame in cells; only bright ones are asked about.
    settings : GaussSettings
    threshold : float
        Logit from which a cell holds an electron.
    apart : float
        Of two places nearer than this the less sure one is dropped [cells].
    """
    cells = np.argwhere((answer[0] > threshold) & (data >= settings.bright))
    places = np.asarray(cells + 0.5 + answer[1:, cells[:, 0], cells[:, 1]].T, np.float64)
    places = places[np.argsort(-answer[0, cells[:, 0], cells[:, 1]], kind="stable")]
    dropped = np.zeros(len(places), bool)
    for better, worse in sorted(KDTree(places).query_pairs(apart)) if len(places) else ():
        if not dropped[better]:
            dropped[worse] = True
    return places[~dropped]


def find(
    net: SpotNet, frame: NDArray[np.uint8], settings: GaussSettings, *, threshold: float, apart: float
) -> NDArray[np.float64]:
    """Return the places of the electrons of a frame (n, 2), in detector units; parameters as in `positions`."""
    none = np.zeros(0)
    data = to_cells(frame, none, none, settings.bin).data
    places = positions(answer_frame(net, data, settings.half_width), data, settings, threshold=threshold, apart=apart)
    pixels: NDArray[np.float64] = places * settings.bin - np.array(frame.shape) / 2
    return np.asarray(pixels * (2 / max(frame.shape)))
