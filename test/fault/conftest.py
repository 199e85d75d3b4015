"""How long the random part looks: quickly as a rule, or with ``pytest test/fault --hypothesis-profile long``."""

import pytest
from hypothesis import HealthCheck, settings

from support.inputs import INPUTS

_ALWAYS = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("quick", max_examples=12, derandomize=True, **_ALWAYS)
settings.register_profile("long", max_examples=20_000, **_ALWAYS)
if settings.get_current_profile_name() != "long":  # which the command line may have asked for
    settings.load_profile("quick")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return a whole file of each kind of input, by name; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    for name, each in INPUTS.items():
        each.write(folder / name)
    return {name: folder / name for name in INPUTS}
