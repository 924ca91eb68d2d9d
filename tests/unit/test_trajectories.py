"""Where the beam goes: the seed's spiral, and what a trajectory promises about its positions."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptychostream_plans.positions_file import load_positions
from ptychostream_plans.trajectories import fermat, fermat_spiral, from_positions

finite_m = st.floats(-1e-3, 1e-3)


def seed_fermat_spiral(n_points, step_size=100e-9):
    """The seed's own function, word for word."""
    golden_angle = np.pi * (3 - np.sqrt(5))
    indices = np.arange(n_points)
    radii = step_size * np.sqrt(indices)
    angles = golden_angle * indices
    x = radii * np.cos(angles)
    y = radii * np.sin(angles)
    return np.column_stack([x, y, np.zeros(n_points)])


@given(n_points=st.integers(1, 500), step_size=st.floats(1e-9, 1e-3))
def test_spiral_is_the_seeds_spiral_in_x_and_y(n_points, step_size):
    spiral = fermat_spiral(n_points, step_size)
    assert spiral.shape == (n_points, 2)
    np.testing.assert_array_equal(spiral, seed_fermat_spiral(n_points, step_size)[:, :2])


def test_seeds_call_without_a_step_still_works():
    np.testing.assert_array_equal(fermat_spiral(7), seed_fermat_spiral(7)[:, :2])


@given(center_m=st.tuples(finite_m, finite_m))
def test_centre_moves_every_position_by_the_same(center_m):
    moved = fermat_spiral(50, 1e-6, center_m) - fermat_spiral(50, 1e-6)
    np.testing.assert_allclose(moved, np.tile(center_m, (50, 1)), atol=1e-18)


def test_neighbours_of_a_spiral_are_as_far_apart_as_its_docstring_says():
    assert fermat(1000, 1e-6).nearest_neighbour_m() == pytest.approx(1.7e-6, rel=0.02)


def test_trajectory_cannot_be_changed():
    trajectory = fermat(10, 1e-6)
    with pytest.raises(ValueError, match="read-only"):
        trajectory.x_m[0] = 1.0
    with pytest.raises(AttributeError):
        trajectory.name = "another"  # type: ignore[misc]


def test_trajectory_does_not_share_memory_with_what_it_was_made_from():
    positions_m = np.zeros((3, 2))
    trajectory = from_positions(positions_m)
    positions_m += 1
    assert trajectory.x_m.tolist() == [0, 0, 0]


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 50), st.integers(2, 3)), elements=finite_m))
def test_positions_stay_as_given_and_in_order(positions_m):
    np.testing.assert_array_equal(from_positions(positions_m).positions_m, positions_m[:, :2])


@given(
    positions_m=hnp.arrays(np.float64, st.tuples(st.integers(2, 600), st.just(2)), elements=finite_m),
    probe_diameter_m=st.floats(1e-9, 1e-3),
)
def test_overlap_equals_its_plain_definition(positions_m, probe_diameter_m):
    distances_m = np.linalg.norm(positions_m[:, None] - positions_m[None], axis=2)
    np.fill_diagonal(distances_m, np.inf)
    expected = max(0.0, 1 - np.median(distances_m.min(axis=1)) / probe_diameter_m)
    assert from_positions(positions_m).overlap(probe_diameter_m) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("positions_m", "sentence"),
    [
        ([], "shape"),
        ([1.0, 2.0], "shape"),
        ([[1.0], [2.0]], "shape"),
        ([[0.0, 0.0], [0.0, np.nan]], "position 1"),
        ([[0.0, np.inf]], "position 0"),
    ],
)
def test_what_is_no_list_of_positions_is_refused_with_a_reason(positions_m, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_positions(positions_m)


@pytest.mark.parametrize(("n_points", "step_m"), [(0, 1e-6), (5, 0.0), (5, -1e-6), (5, float("nan"))])
def test_impossible_spiral_is_refused(n_points, step_m):
    with pytest.raises(ValueError, match=r"must be greater than 0|at least one position"):
        fermat(n_points, step_m)


def test_one_position_has_no_overlap_to_speak_of():
    with pytest.raises(ValueError, match="no neighbour"):
        fermat(1, 1e-6).overlap(1e-6)


def test_positions_are_read_from_npy_and_from_csv_with_or_without_names(tmp_path):
    positions_m = fermat_spiral(5, 1e-6)
    np.save(tmp_path / "positions.npy", positions_m)
    lines = "\n".join(f"{x!r},{y!r}" for x, y in positions_m.tolist())
    (tmp_path / "named.csv").write_text(f"x_m,y_m\n# a comment\n{lines}\n")
    (tmp_path / "plain.csv").write_text(lines)
    for name in ("positions.npy", "named.csv", "plain.csv"):
        np.testing.assert_array_equal(load_positions(tmp_path / name).positions_m, positions_m)


@pytest.mark.parametrize(
    ("text", "where"), [("1e-6,2e-6\n1e-6\n", "line 2"), ("", "shape"), ("x,y\n1,nan\n", "position 0")]
)
def test_bad_line_of_a_positions_file_is_named(tmp_path, text, where):
    path = tmp_path / "positions.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=where) as error:
        load_positions(path)
    assert str(path) in str(error.value)
