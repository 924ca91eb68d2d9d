"""References of a run: what a flat or a mask was taken for is said, and what cannot be told is asked, live, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pixel_runs import live, stored

from stream_service.errors import ConfigError
from stream_service.kernels import recognise_flat
from stream_service.run.rows.saturation import IS_IT_RIGHT, OFTEN_ONLY

SHAPE = (12, 16)
RNG = np.random.default_rng(8)
RESPONSE = RNG.normal(1, 0.03, SHAPE)
DARK = RNG.normal(100, 2, SHAPE)
FRAMES = (RNG.poisson(50, (10, *SHAPE)) * RESPONSE + DARK).astype("u2")
RAW_FLAT = 5000 * RESPONSE + DARK
AS_RAW = "the flat is taken as measured: the dark is subtracted from it"
AS_NORMALISED = "is taken as normalised: no dark is subtracted from it ('flat_is' says otherwise: --flat-is raw)"
MAY_BE_EITHER = "may be as measured, or normalised without its dark .*: say which by flat_is, raw or normalised"


def expected() -> np.ndarray[Any, Any]:
    return np.maximum(FRAMES - DARK, 0) / (RESPONSE / RESPONSE.mean())


@pytest.mark.parametrize(
    ("flat", "dark", "kind"),
    [
        (RAW_FLAT, DARK, "raw"),
        (RESPONSE, DARK, "normalised"),
        (RESPONSE / RESPONSE.max(), DARK, "normalised"),
        (0.3 * RESPONSE, DARK, "normalised"),
        (RESPONSE, np.full(SHAPE, 0.001), "raw"),  # it makes no difference
        (RESPONSE, np.zeros(SHAPE), "raw"),
        (RESPONSE, np.full(SHAPE, 0.3), None),
        (RAW_FLAT, np.full(SHAPE, 0.3), "raw"),
        (100 * RESPONSE, np.full(SHAPE, 100.0), None),  # in ADU, and without its dark already
        (np.where(RESPONSE > 1.03, 90, RAW_FLAT), DARK, "raw"),
        (np.full(SHAPE, np.nan), DARK, "raw"),
        (np.where(RESPONSE > 1.05, np.nan, RESPONSE), np.where(RESPONSE < 0.95, np.inf, DARK), "normalised"),
    ],
)
def test_flat_is_recognised_by_its_level_and_its_dark(flat, dark, kind):
    assert recognise_flat(flat, dark) == kind


def test_flat_of_ones_beside_a_dark_in_whole_numbers_is_normalised() -> None:
    assert recognise_flat(np.ones(SHAPE, np.uint16), np.full(SHAPE, 100, np.uint16)) == "normalised"


@pytest.mark.parametrize(
    ("flat", "option", "note"),
    [
        (RAW_FLAT, "auto", AS_RAW),
        (RESPONSE, "auto", AS_NORMALISED),
        (RESPONSE, "normalised", ""),
        (RAW_FLAT, "raw", ""),
    ],
)
def test_either_kind_of_flat_gives_the_same_frames_and_is_named(tmp_path, flat, option, note):
    file, notes = stored(tmp_path, FRAMES, references={"dark": DARK, "flat": flat}, flat_is=option)
    with file:
        np.testing.assert_allclose(file["/entry/data"][()], expected(), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(file["/entry/flat"][()], RESPONSE / RESPONSE.mean(), rtol=1e-4)
    said = [text for text in notes if "the flat" in text]
    assert len(said) == bool(note) and note in "".join(said)


def test_pixels_that_the_flat_masks_are_told_where_they_are_many(tmp_path):
    flat = RAW_FLAT.copy()
    flat[:2] = 50
    file, notes = stored(tmp_path, FRAMES, references={"dark": DARK, "flat": flat})
    with file:
        assert (file["/entry/mask"][:2] != 0).all() and not file["/entry/mask"][2:].any()
    assert any(
        "the flat is not above the dark in 16.7 % of the pixels (32 of 192), which are masked" in said for said in notes
    )


def test_flat_in_adu_without_its_dark_is_asked_for(tmp_path):
    references = {"dark": np.full(SHAPE, 100.0), "flat": 100 * RESPONSE}
    with pytest.raises(ConfigError, match=MAY_BE_EITHER):
        stored(tmp_path, FRAMES, references=references)


def test_flat_that_may_be_either_is_asked_for(tmp_path):
    references = {"dark": np.full(SHAPE, 0.3), "flat": RESPONSE}
    with pytest.raises(ConfigError, match=MAY_BE_EITHER):
        stored(tmp_path, FRAMES, references=references)
    for option, response in (("raw", RESPONSE - 0.3), ("normalised", RESPONSE)):
        file, _ = stored(tmp_path, FRAMES, references=references, flat_is=option)
        with file:
            np.testing.assert_allclose(file["/entry/flat"][()], response / response.mean(), rtol=1e-5)


def test_normalised_flat_said_to_be_raw_is_refused_with_the_option(tmp_path):
    with pytest.raises(ConfigError, match=r"one that has lost its dark already is declared \(--flat-is normalised\)"):
        stored(tmp_path, FRAMES, references={"dark": DARK, "flat": RESPONSE}, flat_is="raw")


def reference_file(tmp_path: Path, flat: np.ndarray[Any, Any], exposure_s: float = 1.0) -> str:
    with h5py.File(tmp_path / "references.h5", "w") as file:
        file["dark"], file["flat"] = DARK, flat
        file.attrs["exposure_s"] = exposure_s
    return str(tmp_path / "references.h5")


@pytest.mark.parametrize("flat_is", [None, "normalised"])
def test_live_run_recognises_a_flat_or_is_told_by_its_request(tmp_path, flat_is):
    path = reference_file(tmp_path, RESPONSE)
    references = {"dark": path, "flat": path}
    bench, said = live(tmp_path, FRAMES, references=references, flat_is=flat_is)
    assert (AS_NORMALISED in said[0], AS_NORMALISED in bench.run.message) == ((flat_is is None,) * 2)
    with bench.file() as file:
        np.testing.assert_allclose(file["/entry/data"][()], expected(), rtol=1e-4, atol=1e-3)


def test_exposure_time_of_a_normalised_flat_does_not_matter(tmp_path):
    (tmp_path / "a").mkdir()
    flat, dark = reference_file(tmp_path / "a", RESPONSE, 3.0), reference_file(tmp_path, RESPONSE, 1.0)
    bench, _ = live(tmp_path, FRAMES, references={"dark": dark, "flat": flat}, exposure_s=1.0)
    bench.run.setup.path.unlink()
    raw = reference_file(tmp_path / "a", RAW_FLAT, 3.0)
    with pytest.raises(ConfigError, match=r"the flat .* was taken with 3 s, the scan takes 1 s"):
        live(tmp_path, FRAMES, references={"dark": dark, "flat": raw}, exposure_s=1.0)


@pytest.mark.parametrize(
    ("bad", "note"),
    [
        (0, "the mask calls no pixel bad (0 = good, anything else bad)"),
        (5, ""),
        (
            187,
            "the mask calls 97.4 % of the pixels bad (187 of 192; 0 = good, anything else bad): is it inverted?",
        ),
    ],
)
def test_mask_that_looks_wrong_is_told(tmp_path, bad, note):
    mask = np.zeros(SHAPE, "u1")
    mask.flat[:bad] = 1
    file, notes = stored(tmp_path, FRAMES, references={"mask": mask})
    file.close()
    assert [text for text in notes if "mask" in text] == ([note] if note else [])
    np.save(tmp_path / "mask.npy", mask)
    bench, said = live(tmp_path, FRAMES, references={"mask": str(tmp_path / "mask.npy")})
    assert note in said[0] and note in bench.run.message


SATURATED = "43.8 % of the pixels (84 of 192) are saturated, 200 or more, in 10 of 10 rows, and masked for all rows"


def test_level_that_masks_many_pixels_is_told(tmp_path):
    frames = FRAMES.copy()
    frames[:, :5], frames[0, 5, :4] = 300, 300
    frames[frames < 300] //= 2
    file, notes = stored(tmp_path, frames, sat=200.0)
    with file:
        assert file["/entry/mask"][()].sum() == 84
    assert f"{SATURATED}: {IS_IT_RIGHT} {OFTEN_ONLY}" in notes
    bench, said = live(tmp_path, frames, {"sat": 200.0})
    assert "43.8 % of the pixels (84 of 192) are saturated, 200 or more, in 9 of 9 rows" in said[0]
    assert SATURATED in bench.run.message
    with bench.file() as file:
        assert SATURATED in file["/entry/run/message"][()].decode()


def test_level_that_would_mask_all_masks_nothing_and_is_told(tmp_path):
    file, notes = stored(tmp_path, FRAMES, sat=0.0)
    with file:
        assert not file["/entry/mask"][()].any()
    assert any(f"so that no good pixel is left: this is not in the mask; {IS_IT_RIGHT}" in note for note in notes)


def test_nothing_saturated_is_not_worth_a_word(tmp_path):
    file, notes = stored(tmp_path, FRAMES, sat=60000.0)
    file.close()
    assert not any("saturated" in note for note in notes)
