"""The numba kernels that say what is wrong with a row: its gates, and what is most unlike its neighbours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stream_service.kernels.machine_code import compiled, part
from stream_service.qc.kernels.codes import (
    BANDS,
    CENTRE,
    CLIPPED,
    COM_X,
    COM_Y,
    CONTRAST,
    EMPTY_PIXELS,
    ENERGY,
    FINE,
    HALF_DARK,
    HOT,
    INTENSITY,
    LEFT_SIDE,
    LOG_CONTRAST,
    LOG_FINE,
    LOG_INTENSITY,
    LOG_MAX,
    LOG_SATURATED,
    LOWER,
    LOWER_SIDE,
    MIDDLE_SIDE,
    PARTIAL,
    PATTERN,
    POSITION,
    REPEATED,
    RIGHT,
    RIGHT_SIDE,
    RING_CURRENT,
    SATURATED,
    SHUTTER,
    UPPER_SIDE,
    ZERO_SHARE,
)

DEVIATION_AT_HALF = 4.5
"""The deviation with a score of 0.5, in units of what is usual."""
WORTH_A_REASON = 2.0
"""A smaller deviation is usual, and no reason is given for it."""
PRECEDENCE = 0.4
"""An earlier kind of reason is preferred to a later one that is stronger, down to this share of the strongest, or to
what is a fault by itself: light that is lost shows in the pattern, too."""
LEFT_IN_THE_DARK = 0.3
"""Of its usual light is left in a half that is called dark, at the most."""
LOG_LEFT_BY_A_BLADE = math.log(0.05)
"""Of the light of the neighbours, at the least: with less it is not a half that is dark."""
BRIGHTER = 2.0
"""The brightest pixel of a hot frame, relative to that of its neighbours, at the least."""
LARGEST_LOG = 80.0
"""The exponential of more is no number worth telling."""

FEWEST_COUNTS = 100.0
"""Expected in the bands that read nothing: with fewer, chance may have left them empty."""
MOST_LOST = 0.999
"""Of the light: what is left tells how much was to be expected."""


@compiled()
def gate(
    is_placed: Any,
    repeats: Any,
    energy_eV: Any,
    usual_eV: float,
    energy_tolerance: float,
    is_open: Any,
    ring_current_mA: Any,
    min_ring_current_mA: float,
    values: Any,
    n_pixels: int,
    max_saturated: float,
    dark: Any,
    unusual: int,
    of_rows: Any,
    of_columns: Any,
    bits: Any,
    reasons: Any,
    numbers: Any,
) -> None:
    """Which gates reject rows: `bits` (n,) by `Reason`, the first of them (n,), and its `numbers` (n, 2).

    `repeats` (n,) is the row of which each is a copy, -1 for none; bands that read nothing `dark` (n,), and are among
    the `unusual` ones, are missing if counts were to be expected from their shares of the light `of_rows`,
    `of_columns`.
    """
    for i in range(is_placed.size):
        bits[i] = reasons[i] = 0
        numbers[i, 0] = numbers[i, 1] = 0.0
        missing = dark[i] & np.uint32(unusual)
        if missing:
            side, share, lost = _missing(missing, of_rows, of_columns)
            intensity = math.exp(float(values[i, LOG_INTENSITY]))
            if intensity * lost / (1.0 - lost) > FEWEST_COUNTS:
                _reject(PARTIAL, side, share, i, bits, reasons, numbers)
        saturated = math.expm1(float(values[i, LOG_SATURATED])) / n_pixels
        if saturated > max_saturated:
            _reject(SATURATED, saturated, max_saturated, i, bits, reasons, numbers)
        if ring_current_mA[i] < min_ring_current_mA:
            _reject(RING_CURRENT, ring_current_mA[i], min_ring_current_mA, i, bits, reasons, numbers)
        if not is_open[i]:
            _reject(SHUTTER, 0.0, 0.0, i, bits, reasons, numbers)
        if abs(energy_eV[i] - usual_eV) > energy_tolerance * abs(usual_eV):
            _reject(ENERGY, energy_eV[i], usual_eV, i, bits, reasons, numbers)
        if repeats[i] >= 0:
            _reject(REPEATED, float(repeats[i]), 0.0, i, bits, reasons, numbers)
        if not is_placed[i]:
            _reject(POSITION, 0.0, 0.0, i, bits, reasons, numbers)


@part()
def _reject(reason: int, one: float, two: float, i: int, bits: Any, reasons: Any, numbers: Any) -> None:
    bits[i] |= np.uint32(1 << reason)
    reasons[i] = reason
    numbers[i, 0], numbers[i, 1] = one, two


@part()
def _missing(missing: int, of_rows: Any, of_columns: Any) -> Any:
    """Which side of the frame it is, its share of the frame, and the share of the light that it usually gets."""
    n_rows, n_columns, lost_rows, lost_columns = 0, 0, 0.0, 0.0
    for band in range(BANDS):
        if band < of_rows.size and missing >> band & 1:
            n_rows += 1
            lost_rows += of_rows[band]
        if band < of_columns.size and missing >> (BANDS + band) & 1:
            n_columns += 1
            lost_columns += of_columns[band]
    lost = min(max(lost_rows, lost_columns), MOST_LOST)
    n, size, shift, low, high = n_rows, of_rows.size, 0, UPPER_SIDE, LOWER_SIDE
    if n_columns > n_rows:
        n, size, shift, low, high = n_columns, of_columns.size, BANDS, LEFT_SIDE, RIGHT_SIDE
    first, last = missing >> shift & 1, missing >> (shift + size - 1) & 1
    side = MIDDLE_SIDE if first == last else (low if first else high)
    return float(side), n / size, lost


@compiled()
def explain(values: Any, difference: Any, ratio: Any, n_pixels: int, reasons: Any, numbers: Any) -> None:
    """What of rows, with `values`, `difference` and `ratio` (n, f), is most unlike their neighbours.

    That is one of the `reasons` (n,), and its `numbers` (n, 2).
    """
    strength, number = np.empty(PATTERN + 1), np.empty(PATTERN + 1)
    n_values = values.shape[1]
    for i in range(values.shape[0]):
        reasons[i] = 0
        numbers[i, 0] = numbers[i, 1] = 0.0
        strongest = 0.0
        for f in range(n_values):
            strongest = max(strongest, abs(ratio[i, f]))
        if strongest < WORTH_A_REASON:
            continue
        side, left = _darkest_side(values[i], difference[i])
        times = math.exp(min(float(difference[i, LOG_MAX] + difference[i, LOG_INTENSITY]), LARGEST_LOG))
        is_half = left < LEFT_IN_THE_DARK and difference[i, LOG_INTENSITY] > LOG_LEFT_BY_A_BLADE
        strength[CLIPPED] = max(ratio[i, LOG_SATURATED], 0.0)
        number[CLIPPED] = math.expm1(float(values[i, LOG_SATURATED])) / n_pixels
        strength[HOT], number[HOT] = ratio[i, LOG_MAX] if times > BRIGHTER else 0.0, times
        darkening = max(abs(ratio[i, LOWER]), abs(ratio[i, RIGHT]))
        strength[HALF_DARK], number[HALF_DARK] = darkening if is_half else 0.0, side
        strength[INTENSITY], number[INTENSITY] = abs(ratio[i, LOG_INTENSITY]), _change(difference[i, LOG_INTENSITY])
        strength[CENTRE] = max(abs(ratio[i, COM_Y]), abs(ratio[i, COM_X]))
        number[CENTRE] = math.hypot(float(difference[i, COM_Y]), float(difference[i, COM_X]))
        strength[FINE], number[FINE] = abs(ratio[i, LOG_FINE]), _change(difference[i, LOG_FINE])
        strength[CONTRAST], number[CONTRAST] = abs(ratio[i, LOG_CONTRAST]), _change(difference[i, LOG_CONTRAST])
        strength[EMPTY_PIXELS], number[EMPTY_PIXELS] = abs(ratio[i, ZERO_SHARE]), difference[i, ZERO_SHARE]
        strength[PATTERN] = number[PATTERN] = strongest
        enough = min(PRECEDENCE * strongest, DEVIATION_AT_HALF)
        for reason in (CLIPPED, HOT, HALF_DARK, INTENSITY, CENTRE, FINE, CONTRAST, EMPTY_PIXELS, PATTERN):
            if strength[reason] >= enough:
                reasons[i] = reason
                numbers[i, 0] = number[reason]
                numbers[i, 1] = left if reason == HALF_DARK else strength[reason]
                break


@part()
def _change(of_log: float) -> float:
    return math.expm1(float(of_log))


@part()
def _darkest_side(values: Any, difference: Any) -> Any:
    """The half of a frame that has lost most of its share of the light, and how much of it is left there."""
    darkest, least = 0, np.inf
    for side in (LOWER_SIDE, UPPER_SIDE, RIGHT_SIDE, LEFT_SIDE):
        column = LOWER if side in (LOWER_SIDE, UPPER_SIDE) else RIGHT
        share = float(values[column])
        usual = share - float(difference[column])
        if side in (UPPER_SIDE, LEFT_SIDE):
            share, usual = 1.0 - share, 1.0 - usual
        left = share / usual if usual > 0.0 else np.inf
        if left < least:
            darkest, least = side, left
    return float(darkest), least
