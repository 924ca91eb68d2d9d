"""Quality of the data, row by row, while it comes: `Evaluator` takes rows and gives `Verdicts`."""

from stream_service.qc.evaluator import Evaluator
from stream_service.qc.verdicts import Verdicts

__all__ = ["Evaluator", "Verdicts"]
