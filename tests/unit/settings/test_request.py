"""A request is checked at the edge: what it lets through cannot hurt the service."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stream_service.settings.request import MOST_FRAMES, ScanRequest


def said(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        ScanRequest.model_validate_json(json.dumps({"scan_id": "scan"} | fields))
    return str(caught.value)


def test_request_survives_its_way_as_text():
    request = ScanRequest(
        scan_id="2026-11_a.1",
        path="2026-11/proposal-1",
        n_positions=2,
        frames_per_position=3,
        planned_x_m=(1e-6, 2e-6),
        planned_y_m=(0.0, -1e-6),
        exposure_s=0.01,
        sample="Siemens star, 50 µm",
        metadata={"plan": "fermat", "uid": None, "n": 3},
    )
    assert ScanRequest.model_validate_json(request.model_dump_json()) == request
    assert request.n_planned_frames == 6


def test_unknown_length_plans_no_frames():
    assert ScanRequest(scan_id="a").n_planned_frames is None


@pytest.mark.parametrize(
    "scan_id", ["", ".", "..", "-a", ".hidden", "a/b", "a b", "a\n", "a\0", "ä", "a" * 129, "../a"]
)
def test_scan_id_that_cannot_be_a_file_name_is_refused(scan_id):
    assert "cannot be a file name" in said(scan_id=scan_id)


@pytest.mark.parametrize("path", ["/abs", "..", "a/..", "a/../b", "../a", "a\0b", "a\nb", "\x1b[31m"])
def test_path_that_leaves_the_data_root_or_is_unprintable_is_refused(path):
    assert "path" in said(path=path)


@pytest.mark.parametrize(("path", "kept"), [("", ""), ("a/b/", "a/b"), ("a..b", "a..b"), ("Probe 7 µm", "Probe 7 µm")])
def test_ordinary_path_is_kept(path, kept):
    assert ScanRequest(scan_id="a", path=path).path == kept


@given(st.text(max_size=20))
def test_no_path_leaves_the_data_root(path):
    try:
        kept = ScanRequest(scan_id="a", path=path).path
    except ValidationError:
        return
    assert not kept.startswith("/") and ".." not in kept.split("/") and "\0" not in kept


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"planned_x_m": [1.0], "planned_y_m": []}, "planned_x_m has 1 values and planned_y_m 0"),
        ({"planned_x_m": [1.0], "planned_y_m": [1.0], "n_positions": 2}, "1 planned positions but n_positions = 2"),
        ({"planned_x_m": [float("nan")], "planned_y_m": [0.0]}, "finite"),
        ({"n_positions": 0}, "n_positions"),
        ({"n_positions": -3}, "n_positions"),
        ({"n_positions": 10**12}, f"{MOST_FRAMES} is the most"),
        ({"n_positions": 10**6, "frames_per_position": 11}, f"{MOST_FRAMES} is the most"),
        ({"n_positions": 10**7, "extra_frames": 1}, f"{MOST_FRAMES} is the most"),
        ({"frames_per_position": 10**9}, "frames_per_position"),
        ({"extra_frames": 10**12}, "extra_frames"),
        ({"exposure_s": 0}, "exposure_s"),
        ({"exposure_s": float("inf")}, "exposure_s"),
        ({"exposure_s": float("nan")}, "exposure_s"),
        ({"metadata": {"a": [1]}}, "metadata"),
        ({"n_position": 3}, "n_position"),
    ],
)
def test_impossible_request_is_refused(fields, words):
    assert words in said(**fields)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"scan"', "{}"])
def test_text_that_is_no_request_is_refused(text):
    with pytest.raises(ValidationError):
        ScanRequest.model_validate_json(text)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"metadata": {"T": float("nan")}},
            "'T' is nan, which the file's JSON cannot hold: leave it out",
        ),
        ({"metadata": {"T": float("-inf")}}, "'T' is -inf"),
        ({"metadata": {"n": 1 << 64}}, "'n' has more than 64 bits: give it as a text"),
        ({"metadata": {"a": "x\0y"}}, "'a': a NUL character cannot be stored"),
        ({"metadata": {"a\0": 1}}, "a NUL character cannot be stored"),
        ({"metadata": {"a": "x" * (1 << 16)}}, "65545 bytes long as JSON; 65536 is the most"),
        ({"metadata": {"a": [1]}}, "metadata.a"),
        ({"sample": "a\0b"}, "a NUL character cannot be stored"),
        ({"sample": "x" * 70_000}, "at most 1000 characters"),
        ({"raw_file": "/data/a\0.h5"}, "a NUL character cannot be stored"),
        ({"references": {"dark": "a\0.npy"}}, "a NUL character cannot be stored"),
        ({"path": "a/" + "é" * 128}, "has a name of more than 255 bytes"),
    ],
)
def test_what_the_file_cannot_hold_is_refused_with_its_field(fields, sentence):
    assert sentence in said(**fields)
    assert next(iter(fields)) in said(**fields)


def test_half_a_character_is_refused():
    with pytest.raises(ValidationError, match="sample"):
        ScanRequest(scan_id="a", sample="Ni\udc80Fe")
