"""What tests of several rooms share besides fixtures: truth, small inputs, and ways to run a stage.

No test imports another test; what two need stands here, and a fixture that two need in a ``conftest.py``.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
