"""The settings in param/, as options of the programs and as what they are read into."""

from support import ROOT
from util.runtime.settings import load
from util.training.map_inversion import InputSettings
from util.training.priors import Prior
from util.training.recipe import TrainingStages

PARAM = ROOT / "param"
PHOSPHOR = ["--phosphor", f"{PARAM}/phosphor.toml"]
EXPERIMENT = ["--experiment", f"{PARAM}/experiment.toml", *PHOSPHOR]
FINDER = [*PHOSPHOR, "--finder", f"{PARAM}/finder.toml"]
INPUT = load(InputSettings, PARAM / "network_input.toml")
STAGES = load(TrainingStages, PARAM / "training.toml")
MATRIX_STAGES = load(TrainingStages, PARAM / "published.toml")


def prior_named(name):
    """Return the prior of a file in param/."""
    return load(Prior, PARAM / f"{name}.toml")
