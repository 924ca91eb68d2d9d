"""STXM and DPC of rows: units, signs, and what they count from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scanned_rows import Scan

from stream_service.core.exposure import Flag
from stream_service.core.row import LONGEST_TRAVEL_M, row_dtype
from stream_service.qc.scan_values import ScanTable, measured, scan_values

MOVED = 30


def rows() -> np.ndarray:
    """A small scan; in one row the pattern lies nine rows and four columns further on."""
    scan = Scan(side=8)
    scan.frames[MOVED] = np.roll(scan.frames[MOVED], (9, 4), axis=(0, 1))
    return scan.rows()


def test_stxm_is_the_logarithm_of_the_counts_and_dpc_the_shift_of_their_centre_from_its_median():
    values = scan_values(measured(rows()), (1, 1))
    features = rows()["features"]
    np.testing.assert_allclose(values.stxm.values, np.log(features["intensity"]), rtol=1e-12)
    np.testing.assert_allclose(values.dpc_x.values, features["com_x"] - np.median(features["com_x"]), atol=1e-12)
    assert values.dpc_y.values[MOVED] == pytest.approx(9, abs=2)
    assert values.dpc_x.values[MOVED] == pytest.approx(4, abs=2)
    assert np.array_equal(values.x_m, rows()["x_m"])


@pytest.mark.parametrize("sign_y", [1, -1])
@pytest.mark.parametrize("sign_x", [1, -1])
def test_dpc_is_along_the_axes_of_the_beam_on_the_sample(sign_y, sign_x):
    along, stored = scan_values(measured(rows()), (sign_y, sign_x)), scan_values(measured(rows()), (1, 1))
    np.testing.assert_allclose(along.dpc_y.values, sign_y * stored.dpc_y.values, atol=1e-12)
    np.testing.assert_allclose(along.dpc_x.values, sign_x * stored.dpc_x.values, atol=1e-12)


def test_pixels_of_four_are_said_in_stored_ones():
    fine, coarse = scan_values(measured(rows()), (1, 1)), scan_values(measured(rows(), pixel=4), (1, 1))
    np.testing.assert_allclose(coarse.dpc_y.values, 4 * fine.dpc_y.values, atol=1e-12)


def test_rows_whose_position_is_not_trusted_do_not_say_what_is_usual():
    sound = rows()
    more = np.concatenate([sound, np.repeat(sound[MOVED : MOVED + 1], 100)])
    more["x_m"][64:90] = math.nan
    more["x_m"][90:120] = LONGEST_TRAVEL_M
    more["flags"][120:] = Flag.SPREAD
    usual = scan_values(measured(sound), (1, 1)).dpc_y.usual
    assert scan_values(measured(more), (1, 1)).dpc_y.usual == usual
    assert np.isnan(scan_values(measured(more), (1, 1)).x_m[64:]).all(), "a map has no flag beside a position"


def test_rows_without_light_have_no_shift_and_those_without_pixels_no_value():
    dark = rows()[:20]
    dark["features"]["com_y"] = math.nan
    dark["features"]["intensity"] = 0
    dark["features"]["intensity"][3] = math.nan
    values = scan_values(measured(dark), (1, 1))
    assert np.isnan(values.dpc_y.values).all() and values.dpc_y.usual == 0
    assert np.flatnonzero(~np.isfinite(values.stxm.values)).tolist() == [3]


def test_no_rows_are_no_values():
    assert len(scan_values(measured(np.zeros(0, row_dtype(1))), (1, 1)).dpc_x.values) == 0


def test_rows_are_kept_as_their_number_grows():
    table = ScanTable(capacity=2)
    for row in rows():
        table.add(measured(row[None]))
    kept = table.rows()
    table.add(measured(rows()))
    np.testing.assert_array_equal(kept, measured(rows()))
