"""Detectors that nobody describes to the program are learnt from their frames; each test makes its own."""

import dataclasses

import numpy as np
import pytest

from support import truth
from util.camera.imperfections import IDEAL, SmoothMap, Term, smooth_map
from util.camera.phosphor import Normal, PhosphorRecipe, draw_spots, light
from util.finder.calibration import FEWEST_SPOTS, learn_detector
from util.finder.finder import Finder, FinderSettings
from util.finder.matching import match
from util.frames.source import FrameSource
from util.runtime import settings
from util.runtime.errors import FrameError, InputError

RECIPE = settings.load(PhosphorRecipe, truth.ROOT / "param" / "phosphor.toml")
SETTINGS = settings.load(FinderSettings, truth.ROOT / "param" / "finder.toml")


@dataclasses.dataclass(frozen=True)
class Made:
    """A detector to be learnt: spot size [pixels], brightness, noise and background [counts] and the rest."""

    shape: tuple[int, int] = (512, 512)
    sigma_px: float = 4.0
    A: float = 100.0
    noise: float = 0.0
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hot: int = 0
    bits: int = 8
    exponential: bool = False
    gain: SmoothMap = ()


class Frames(FrameSource):
    """Frames in memory, with the electrons in them; every tenth may be damaged."""

    def __init__(self, made: Made, count: int = 16, electrons: int = 60, damaged: bool = False):
        rng = np.random.default_rng(7)
        pitch = 2 / max(made.shape)
        self.recipe = PhosphorRecipe(
            made.shape,
            5,
            made.noise,
            Normal(made.A, made.A / 10),
            Normal(made.sigma_px * pitch, made.sigma_px * pitch / 15),
            Normal(0.0, 0.1),
        )
        self.where, self.count, self.frame_shape, self.bits = "frames in memory", count, made.shape, made.bits
        self.damaged = damaged
        self.images, self.positions = [], []
        self.hot = rng.integers(0, made.shape, (made.hot, 2))
        across = [(np.arange(n) + 0.4 - n / 2) * pitch for n in made.shape]
        constant, along_x, along_z = made.background
        plane = constant + along_x * across[0][:, None] + along_z * across[1]
        for _ in range(count):
            x, z = rng.uniform(-0.97, 0.97, (2, electrons)) * np.array(made.shape)[:, None] / max(made.shape)
            A, sigma, rho = draw_spots(self.recipe, electrons, rng=rng)
            if made.exponential:
                A = rng.exponential(made.A, electrons)
            A *= smooth_map(made.gain, x, z)
            image = light(self.recipe, x, z, A, sigma, rho) + plane + made.noise * rng.standard_normal(made.shape)
            image[tuple(self.hot.T)] += 0.6 * made.A
            kind = np.uint8 if made.bits == 8 else np.uint16
            self.images.append(np.rint(image).clip(0, 2**made.bits - 1).astype(kind))
            self.positions.append(np.stack((x, z), axis=1))

    where = ""

    def read_row(self, index):
        if self.damaged and index % 10 == 3:
            raise FrameError("damaged")
        return index, self.images[index]

    def close(self):
        pass

    def _layout(self):
        return []


def f1(frames, detector):
    finder = Finder(detector, SETTINGS)
    found = []
    for image, electrons in zip(frames.images, frames.positions, strict=True):
        hits = finder.find(image)
        found.append(match(np.stack((hits["x"], hits["z"]), axis=1), electrons, frames.recipe.sigma.mean))
    return 2 * sum(m.hit.size for m in found) / sum(m.hits + m.electrons for m in found)


@pytest.mark.parametrize(
    ("made", "tolerance", "least_f1"),
    [
        (Made(), 0.01, 0.99),
        (Made(sigma_px=3.0), 0.01, 0.99),
        (Made(shape=(1024, 1024), sigma_px=12.0), 0.01, 0.97),
        (Made(shape=(1024, 1024), sigma_px=1.0), 0.01, 0.99),
        (Made(A=40.0), 0.02, 0.98),
        (Made(A=200.0), 0.01, 0.98),
        (Made(noise=2.0), 0.01, 0.98),
        (Made(noise=5.0), 0.01, 0.97),
        (Made(noise=5.0, background=(30.0, 0.0, 0.0)), 0.01, 0.97),
        (Made(noise=2.0, background=(30.0, 12.0, -8.0)), 0.01, 0.98),
        (Made(noise=1.0, hot=60), 0.02, 0.98),
        (Made(A=1600.0, bits=12), 0.01, 0.99),
        (Made(A=9000.0, noise=40.0, background=(500.0, 0.0, 0.0), bits=16), 0.01, 0.98),
        (Made(shape=(350, 500)), 0.01, 0.98),
        (Made(shape=(500, 350)), 0.01, 0.98),
    ],
    ids=str,
)
def test_a_detector_is_learnt_from_its_frames(made, tolerance, least_f1):
    frames = Frames(made)
    learned = learn_detector(frames, RECIPE, SETTINGS)
    detector = learned.detector
    assert learned.spots >= FEWEST_SPOTS
    assert detector.A.mean == pytest.approx(made.A, rel=max(tolerance, 3 * 0.1 / np.sqrt(learned.spots)))
    assert detector.sigma.mean / detector.pitch == pytest.approx(made.sigma_px, rel=tolerance)
    assert detector.A.std == pytest.approx(made.A / 10, rel=0.2)
    assert detector.sigma.std / detector.pitch == pytest.approx(made.sigma_px / 15, rel=0.2)
    assert detector.rho.std == pytest.approx(0.1, rel=0.2)
    assert detector.noise == pytest.approx(made.noise, rel=0.1, abs=0.3)
    if made.background[0]:
        np.testing.assert_allclose(detector.background, made.background, atol=0.2 + 0.02 * made.noise)
    assert set(detector.hot_pixels) == {tuple(pixel) for pixel in frames.hot.tolist()}
    assert detector.saturation == 2**made.bits - 1
    assert detector.imperfections == IDEAL
    assert f1(frames, detector) >= least_f1


def test_a_gain_that_changes_over_the_screen_is_learnt_and_taken_out():
    gain = (Term(2, 0, 0.25), Term(0, 2, -0.25))
    frames = Frames(Made(gain=gain))
    learned = learn_detector(frames, RECIPE, SETTINGS)
    detector = learned.detector
    side = np.linspace(-0.6, 0.6, 9)
    told = smooth_map(detector.imperfections.gain, side[:, None], side)
    assert told == pytest.approx(smooth_map(gain, side[:, None], side), abs=0.06)
    assert detector.A.std == pytest.approx(10, rel=0.2)
    assert "! gain over the screen: 2" in learned.report()
    finder = Finder(detector, SETTINGS)
    hits = np.concatenate([finder.find(image) for image in frames.images])
    assert abs(np.polyfit(hits["x"].astype(float) ** 2 - hits["z"].astype(float) ** 2, hits["flux"], 1)[0]) < 0.08
    assert f1(frames, detector) >= 0.99


def test_twelve_bits_in_sixteen_are_told_by_where_the_camera_clips():
    frames = Frames(Made(A=3000.0, bits=12))
    frames.bits = 16
    assert learn_detector(frames, RECIPE, SETTINGS).detector.saturation == 4095


def test_hits_are_said_to_be_counted_where_the_gain_spreads_widely():
    wide = learn_detector(Frames(Made(exponential=True)), RECIPE, SETTINGS)
    assert wide.detector.flux_spread > 0.5
    assert "hits bright enough are counted" in wide.report()
    assert "; searched as a gamma law" in wide.report()
    assert "hits bright enough are counted" not in learn_detector(Frames(Made()), RECIPE, SETTINGS).report()


def test_the_same_frames_give_the_same_detector_and_damaged_ones_are_left_out():
    first, second = (learn_detector(Frames(Made(), damaged=True), RECIPE, SETTINGS) for _ in range(2))
    assert first == second
    assert first.detector.A.mean == pytest.approx(100, rel=0.02)


def test_a_part_of_the_sample_without_one_readable_frame_is_left_out():
    frames = Frames(Made(shape=(256, 256)), count=60, electrons=8)
    read_row = frames.read_row

    def only_even(index):
        if index % 2:
            raise FrameError("damaged")
        return read_row(index)

    frames.read_row = only_even
    learned = learn_detector(frames, RECIPE, SETTINGS)
    assert learned.spots >= FEWEST_SPOTS and learned.frames == 60


def test_frames_without_light_leave_the_spot_to_the_recipe():
    learned = learn_detector(Frames(Made(), electrons=0), RECIPE, SETTINGS)
    assert learned.spots == 0
    assert (learned.detector.A, learned.detector.sigma) == (RECIPE.A, RECIPE.sigma)
    assert "the recipe's" in learned.report()


def test_a_few_spots_like_the_recipes_are_taken_for_them():
    learned = learn_detector(Frames(Made(sigma_px=3.9), count=1, electrons=12), RECIPE, SETTINGS)
    assert learned.spots < FEWEST_SPOTS
    assert learned.detector.sigma == RECIPE.sigma


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(Frames(Made(sigma_px=8.0, A=60.0), count=1, electrons=12), id="a few spots unlike the recipe's"),
        pytest.param(Frames(Made(sigma_px=12.0, A=40.0), electrons=400), id="light all over"),
        pytest.param(Frames(Made(shape=(128, 128), sigma_px=5.0, A=60.0), electrons=25), id="none stands alone"),
    ],
)
def test_frames_that_give_no_basis_are_refused_with_advice(frames):
    with pytest.raises(
        InputError,
        match=r"^frames in memory: expected at least 40 isolated spots of one kind .* --spots recipe --phosphor FILE$",
    ):
        learn_detector(frames, RECIPE, SETTINGS)


def test_crowded_light_that_never_goes_out_holds_no_hot_pixels():
    frames = Frames(Made(), count=16, electrons=0)
    rng = np.random.default_rng(3)
    for index in range(frames.count):
        x, z = rng.normal(0, 0.06, (2, 60)) + np.array([[0.4], [0.0]])
        frames.images[index] = np.rint(light(frames.recipe, x, z, *draw_spots(frames.recipe, 60, rng=rng)) / 4)
        lone = rng.uniform(-0.9, 0.2, (2, 20))
        frames.images[index] += light(frames.recipe, *lone, *draw_spots(frames.recipe, 20, rng=rng))
        frames.images[index] = frames.images[index].clip(0, 255).astype(np.uint8)
    assert min(image[358, 256] for image in frames.images) > 20
    assert learn_detector(frames, RECIPE, SETTINGS).detector.hot_pixels == ()
