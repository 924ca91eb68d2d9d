"""The process that reads standard files for the page: a question, an answer.

A damaged file, or a disk that does not answer, costs this process and not the page. The file is opened anew for each
question: one that a resumed run has put in its place is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stream_service.errors import SourceError
from stream_service.hdf5.failures import HDF5_ERRORS, reason_of
from stream_service.hdf5.opening import open_hdf5
from stream_service.processes.answering import answer_questions
from stream_service.processes.limited import limit_this_process
from stream_service.processes.messages import NO_ARRAYS, Arrays
from stream_service.web.past_runs import PastRuns
from stream_service.web.picture import MOST_PIXELS_ONCE, picture_of
from stream_service.web.stored_row import nearest_row, stored_row
from stream_service.web.stored_series import stored_series

MEMORY_BYTES = 4 << 30
OUTPUT_BYTES = 1 << 20
"""Of its standard error."""

Answer = tuple[Mapping[str, Any], Arrays]
_runs = PastRuns()


def answer(question: Mapping[str, Any]) -> Answer:
    """Facts and arrays. Raises `SourceError` with one sentence."""
    path = Path(question["path"])
    if question["what"] == "runs":
        return _runs.below(path), NO_ARRAYS
    try:
        with open_hdf5(path).file as file:
            if question["what"] == "series":
                return stored_series(file)
            facts, pixels = stored_row(file, nearest_row(file, *question["place_m"]))
    except SourceError as error:
        sentence = str(error)
        raise SourceError(sentence if str(path) in sentence else f"{path}: {sentence}") from error
    except HDF5_ERRORS as error:
        raise SourceError(f"{path} cannot be read just now: {reason_of(error)}") from error
    good = pixels[np.isfinite(pixels)]
    facts |= {"sum": float(good.sum(dtype=np.float64)), "largest": float(good.max()) if good.size else 0.0}
    shown = picture_of(pixels, {}, MOST_PIXELS_ONCE)
    return facts | {"step": shown.step}, {"pixels": shown.pixels}


if __name__ == "__main__":
    limit_this_process(MEMORY_BYTES, OUTPUT_BYTES)
    answer_questions(answer)
