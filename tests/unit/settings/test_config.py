"""A profile is checked as a whole, once; a mistake is named by its field, in words."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from written_profile import mistake, write

from stream_service.core.frame import Marks
from stream_service.core.pairing.rule import How
from stream_service.errors import ConfigError
from stream_service.service.requests import parsed
from stream_service.settings.profile import Profile
from stream_service.settings.profile_file import load_profile
from stream_service.settings.request import ScanRequest
from stream_service.text.validation_messages import explain

CHECKOUT = Path(__file__).resolve().parents[3]
PROFILES = sorted((CHECKOUT / "xml_layouts").glob("*/profile.yaml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_profile_of_the_project_loads(path):
    assert load_profile(path).rules()


def test_good_profile_gives_rules_in_si_units(tmp_path):
    profile = load_profile(write(tmp_path))
    x, y, energy = profile.rules()
    assert (x.name, x.how, x.moving, x.scale) == ("x", How.TIMESTAMP, "x_moving", 1e-6)
    assert (y.name, y.how, y.attribute, y.scale) == ("y", How.ATTRIBUTE, "posy", 1e-3)
    assert (energy.attribute, energy.scale) == ("energy", 1e3)


def test_paths_are_relative_to_the_profile(tmp_path):
    profile = load_profile(write(tmp_path, {"references.dark": "refs.h5:/dark", "references.mask": "/abs/mask.npy"}))
    assert profile.service.data_root == tmp_path / "data"
    assert profile.references.dark == str(tmp_path / "refs.h5:/dark")
    assert profile.references.mask == "/abs/mask.npy"


def test_home_of_the_user_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load_profile(write(tmp_path, {"service.data_root": "~/data"})).service.data_root == tmp_path / "home/data"


def test_stage_map_is_rows_of_a_matrix(tmp_path):
    stage_map = load_profile(write(tmp_path, {"stage_map": [[0, 1], [-1, 0]]})).to_stage_map()
    assert stage_map.beam_on_sample(3.0, 4.0) == (4.0, -3.0)


def test_frame_time_is_handed_to_the_core(tmp_path):
    profile = load_profile(write(tmp_path, {"detector.frame_time": {"marks": "start", "offset_s": -0.01}}))
    frame_time = profile.detector.frame_time.to_core()
    assert (frame_time.marks, frame_time.offset_s) == (Marks.START, -0.01)


def test_settings_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        load_profile(write(tmp_path)).beamline = "another"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"detector.distanse_m": 1.0}, "detector.distanse_m: there is no such setting; did you mean distance_m?"),
        ({"detector.shard": 5}, "detector.shard: there is no such setting; did you mean shards?"),
        ({"channels.x.units": "um"}, "channels.x.units: there is no such setting; did you mean unit?"),
        ({"servise": {}}, "  servise: there is no such setting; did you mean service?"),
        ({"detector.zzz": 5}, "detector.zzz: there is no such setting; remove it or correct its spelling"),
        (
            {"preprocessing.group_by": "place"},
            "preprocessing.group_by: must be 'index' or 'position' [(]given: 'place'",
        ),
        (
            {"preprocessing.frames_per_position": 2000},
            "  preprocessing.frames_per_position: 2000 given, 1000 is the most",
        ),
        ({"detector.shards": 0}, "detector.shards: must be 1 or more [(]given: 0[)]"),
        ({"preprocessing.gaps": "some"}, "preprocessing.gaps: must be 'auto' or 'none', or a number [(]given: 'some'"),
        ({"detector.sensor_shape": "64"}, "detector.sensor_shape: must be a list [(]given: '64'[)]"),
        ({"service.pairing_patience_s": 1.0}, "service.pairing_patience_s: .* it is called pairing_timeout_s now"),
        ({"detector.distance_m": None}, "detector.distance_m: is missing"),
        ({"detector.distance_m": -1.0}, "detector.distance_m: must be more than 0 [(]given: -1.0[)]"),
        ({"detector.distance_m": float("inf")}, "detector.distance_m: .*finite"),
        ({"detector.frame_time": {"marks": "middle"}}, "detector.frame_time.marks: "),
        ({"detector.first_id": -1}, "detector.first_id"),
        ({"service.grace_s": 0}, "service.grace_s: must be more than 0"),
        ({"channels.x.how": "order"}, "channels.x.how: "),
        ({"channels.y": {"how": "index", "unit": "um"}}, "channels.y: .*'index' needs 'pv', the array, or 'dataset'"),
        ({"channels.energy.pv": "pva://E"}, "pva://E: over PVA only arrays are followed"),
        ({"channels.x.skip_first": 1}, "channels.x: .*only make sense for a channel paired by 'index'"),
        ({"channels.ring": {"how": "index", "pv": "R", "unit": "mA"}}, "'ring' cannot be paired by 'index': only x, y"),
        ({"arrays_file": {"path": "/panda/{name}.h5"}}, "may have {scan_id} and {path} of the request in braces"),
        ({"arrays_file": {"path": "/panda/a.h5", "pv": "P"}}, "has 'path' and 'pv': give one of them"),
        ({"channels.y.over": "window"}, "channels.y: 'over' only makes sense"),
        ({"channels.x.pv": ""}, "channels.x: a channel paired by 'timestamp' needs 'pv'"),
        ({"channels.y.attribute": ""}, "channels.y: .*needs 'attribute'"),
        ({"channels.y.moving": {"pv": "M:Y.DMOV"}}, "channels.y: 'moving' only makes sense"),
        ({"channels.x.moving": {"pv": "M:X.MOVN"}}, "M:X.MOVN is 1 while the motor moves: write moving_when: 1"),
        ({"channels.x.moving": {"pv": "M:X.DMOV", "moving_when": 1}}, "M:X.DMOV is 0 while the motor moves"),
        ({"channels.x.unit": "inch"}, "unit 'inch' of channel 'x' must be one of m, mm, um"),
        ({"channels.energy.unit": "um"}, "unit 'um' of channel 'energy' must be one of eV, keV"),
        ({"channels.energy": None}, "channel 'energy' is missing"),
        (
            {"channels.ring": {"how": "attribute", "attribute": "r", "unit": "mA"}},
            "'ring' is only recorded.*needs 'pv'",
        ),
        ({"channels.a/b": {"how": "timestamp", "pv": "A", "unit": "K"}}, "'a/b' cannot name a channel"),
        ({"channels.x_moving": {"how": "timestamp", "pv": "A", "unit": "K"}}, "not ending in '_moving'"),
        ({"stage_map": [[1, 1], [1, 1]]}, "stage_map: .*invertible"),
        ({"stage_map": [[float("nan"), 0], [0, 1]]}, "stage_map.*finite"),
        ({"preprocessing.rotate": 45}, "preprocessing.rotate: "),
        ({"preprocessing.bin": 0}, "preprocessing.bin: "),
        ({"preprocessing.sat_fraction": 1.5}, "preprocessing.sat_fraction: "),
        ({"preprocessing.grouping": "median"}, "preprocessing.grouping: "),
    ],
)
def test_mistake_is_named_by_its_field(tmp_path, changes, said):
    text = mistake(tmp_path, changes)
    assert text.startswith(f"the profile {tmp_path / 'profile.yaml'} is wrong:\n")
    assert re.search(said, text), text


def test_all_mistakes_are_named_at_once(tmp_path):
    text = mistake(tmp_path, {"detector.distance_m": -1.0, "service.drain_s": 0, "channels.x.how": "guess"})
    assert text.count("\n") == 3


def test_message_fits_into_a_pv_whatever_was_given(tmp_path):
    text = mistake(
        tmp_path, {"stage_map": [["x" * 10_000] * 2] * 2, "detector": dict.fromkeys(map(str, range(5000)), 1)}
    )
    assert len(text) < 4096
    assert "more problems" in text


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the profile .*nowhere.yaml: No such file"):
        load_profile(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no settings"),
        (b"- a\n- b\n", "holds no settings"),
        (b"a: [", r"not valid YAML in line 1, column 5: .*; what it belongs to begins in line 1\. Is it indented"),
        (b"a: b\nservice:\n  c: 1\n d: 2\n", r"not valid YAML in line 4, column 2: [^\n]*$"),
        (b"\xff\xfe\x00", "not a text in UTF-8"),
        (b"a: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_file_that_is_no_profile_is_refused_in_a_sentence(tmp_path, content, said):
    path = tmp_path / "profile.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_profile(path)


def test_place_is_left_out_when_no_field_is_to_blame():
    with pytest.raises(ValueError) as caught:
        Profile.model_validate("nonsense")
    said = "  must be a table of names and values (given: 'nonsense')"
    assert explain(caught.value) == explain(caught.value, Profile) == said  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as refused:
        parsed(ScanRequest, '{"scan_id": "a", "planned_x_m": [1.0]}')
    assert str(refused.value) == (
        "the request is wrong:\n  planned_x_m has 1 values and planned_y_m 0: give one pair per position"
    )


@pytest.mark.parametrize(
    "garbage", ["zzz", -7, -0.5, 1e300, None, True, [], [1, 2, 3], {"a": 1}, math.nan, "x" * 70000]
)
def test_no_words_of_the_library_are_in_a_message(garbage):
    document = yaml.safe_load((CHECKOUT / "xml_layouts/sim/profile.yaml").read_text(encoding="utf-8"))
    for section, settings in document.items():
        for name in settings if isinstance(settings, dict) else ():
            try:
                Profile.model_validate(document | {section: settings | {name: garbage}})
            except ValidationError as error:
                text = explain(error, Profile, {})
                assert not re.search(r"Input|valid (?!JSON)|pydantic|literal|\bfloat\b|\bint\b|instance", text), text
