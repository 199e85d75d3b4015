"""What no image tells of the detector, and how far it would move the answer."""

from dataclasses import dataclass

from src.answer_steps.step import Step
from util.answer.tables import parameter_table
from util.fit.detection import Detection
from util.fit.result import FitResult
from util.fit.systematics import Systematics, systematics


@dataclass(frozen=True, kw_only=True)
class Unseen(Step):
    """How far the answer would move."""

    systematics: Systematics


def tell_unseen(answer: FitResult, detection: Detection, *, efficiency_known: bool) -> Unseen:
    """Say how far one percent of what no image tells would move the answer."""
    found = systematics(answer, detection, efficiency_known=efficiency_known)
    table = parameter_table(
        answer.layout,
        {what.capitalize(): moved for what, moved in found.per_percent.items()},
        "what one percent of each, which no image tells, would move a parameter by",
        {"unit": "change per percent", "text": "\n".join(found.told)},
    )
    return Unseen(answer, found.told, tables={"Systematics": table}, systematics=found)
