"""Scan positions from a file: what an earlier scan used, or what another program planned."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychostream_plans.trajectories.trajectory import Trajectory, from_positions


def load_positions(path: Path) -> Trajectory:
    """Positions of the beam on the sample: rows of x and y in metres, in the order of the scan.

    `.npy` holds an (N, 2) or (N, 3) array; any other file is text, two columns separated by commas, with or without
    a line of names. Raises `ValueError` naming the file and line, `OSError`.
    """
    try:
        positions_m = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _read_csv(path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: save the table as CSV UTF-8") from error
    try:
        return from_positions(positions_m, name="file", parameters={"path": str(path)})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read_csv(path: Path) -> NDArray[np.float64]:
    rows: list[tuple[float, float]] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line_number, line in enumerate(csv.reader(file), start=1):
            if not line or line[0].lstrip().startswith("#"):
                continue
            try:
                rows.append((float(line[0]), float(line[1])))
            except (IndexError, ValueError) as error:
                if line_number == 1:
                    continue  # the names of the columns
                raise ValueError(f"{path}, line {line_number}: {line} is not x and y in metres") from error
    return np.array(rows).reshape(-1, 2)
