"""What no image tells of the detector, and how far it would move the answer."""

from dataclasses import dataclass

from src.answer_steps.step import Step
from util.answer.tables import Table, named_rows
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
    columns = {what.capitalize(): moved for what, moved in found.per_percent.items()}
    table = Table(named_rows(answer.names, **columns), {"unit": "change per percent", "text": "\n".join(found.told)})
    return Unseen(answer, found.told, tables={"Systematics": table}, systematics=found)
