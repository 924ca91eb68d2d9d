"""The gallery `thumbs/index.html`: small pictures of the rows with the highest scores, with position, score and reason.

The page is static, and asks for nothing but the pictures beside it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.image import imsave

from stream_service.quality_report.evaluated_file import EvaluatedFile
from stream_service.quality_report.evaluation import Evaluation
from stream_service.quality_report.lists import output, text_output
from stream_service.quality_report.thumbnail import thumbnail
from stream_service.text.counted import counted
from stream_service.text.printable import printable

UM = 1e6
NAME = "row_{:07d}.png"
OURS = re.compile(r"row_\d{7,}\.png")
STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; background: #fff; color: #222; }
main { display: flex; flex-wrap: wrap; gap: 1.2em; }
figure { margin: 0; } figcaption { font-size: 13px; }
figure.rejected img { outline: 3px solid #c00; }
img { display: block; image-rendering: pixelated; margin-bottom: 0.4em; }
"""


def write_gallery(
    folder: Path, file: EvaluatedFile, evaluation: Evaluation, n_rows: int, size: int, step: Callable[[int], None]
) -> int:
    """Write the worst `n_rows` rows into `folder`, the longer side of each `size` pixels; how many there are."""
    rows = [int(row) for row in evaluation.worst_first[:n_rows]]
    figures, reasons = [], evaluation.reasons()
    for done, row in enumerate(rows, 1):
        pixels = file.pixels(row)
        shown = None if pixels is None else thumbnail(pixels, file.good, size)
        if shown is not None:
            with output(folder / NAME.format(row)) as picture:
                imsave(picture, shown, format="png")
        figures.append(_figure(evaluation, row, reasons[row], shown))
        step(done)
    for old in folder.iterdir():  # of an earlier evaluation into this folder
        if OURS.fullmatch(old.name) and old.name not in {NAME.format(row) for row in rows}:
            old.unlink()
    _write_page(folder / "index.html", file.recording.path.name, evaluation, figures)
    return len(rows)


def _figure(evaluation: Evaluation, row: int, reason: str, shown: npt.NDArray[np.uint8] | None) -> str:
    table = evaluation.numbers
    x_um, y_um = table["x_m"][row] * UM, table["y_m"][row] * UM
    where = f"x {x_um:.4g} µm, y {y_um:.4g} µm" if table.has_position[row] else "position not known"
    state = "rejected" if evaluation.rejected[row] else "accepted"
    said = html.escape(printable(reason) or "as its neighbours")
    picture = "<p>its pixels cannot be read</p>"
    if shown is not None:
        height, width = shown.shape[:2]
        picture = f'<img src="{NAME.format(row)}" width="{width}" height="{height}" alt="frame of row {row}">'
    score = f"score {evaluation.score[row]:.3f}"
    return (
        f'<figure class="{state}">{picture}<figcaption>row {row}: {state}, {score}<br>{where}<br>{said}'
        "</figcaption></figure>"
    )


def _write_page(path: Path, name: str, evaluation: Evaluation, figures: list[str]) -> None:
    title = html.escape(f"{printable(name)}: the highest scores of {counted(len(evaluation.mask_indices), 'row')}")
    with text_output(path) as page:
        page.write(
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
            f"<p>{counted(len(evaluation.reject_indices), 'row')} rejected (outlined in red): "
            f"{html.escape(evaluation.rule)}. Logarithmic scale, each frame by its own brightest pixel; masked pixels "
            "are grey.</p>\n<main>\n" + "\n".join(figures) + "\n</main>\n</body>\n</html>\n"
        )
