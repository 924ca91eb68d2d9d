"""Trajectories: the beamline's own spiral, and what a trajectory promises about its positions."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptychostream_plans.trajectories import (
    concentric,
    concentric_rings,
    fermat,
    fermat_spiral,
    jittered,
    random_jittered,
    raster,
    raster_grid,
)
from ptychostream_plans.trajectories.positions_file import load_positions
from ptychostream_plans.trajectories.trajectory import from_positions

finite_m = st.floats(-1e-3, 1e-3)


def seed_fermat_spiral(n_points, step_size=100e-9):
    """The beamline's own function, word for word."""
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


@given(n_x=st.integers(1, 30), n_y=st.integers(1, 30), step_size=st.floats(1e-9, 1e-5), snake=st.booleans())
def test_raster_is_every_point_of_its_grid_once(n_x, n_y, step_size, snake):
    grid = raster_grid(n_x, n_y, step_size, snake=snake)
    indices = np.rint(grid / step_size + [(n_x - 1) / 2, (n_y - 1) / 2]).astype(int)
    assert {tuple(index) for index in indices.tolist()} == {(x, y) for x in range(n_x) for y in range(n_y)}
    assert len(grid) == n_x * n_y
    np.testing.assert_allclose(grid.mean(axis=0), 0, atol=1e-9 * step_size * n_x * n_y + 1e-20)
    steps = np.abs(np.diff(indices, axis=0)).sum(axis=1)
    assert not snake or (steps == 1).all()  # a snake never jumps


@given(nrings=st.integers(1, 15), points_per_ring=st.integers(3, 12), step_size=st.floats(1e-9, 1e-5))
def test_rings_are_a_step_apart_and_evenly_filled(nrings, points_per_ring, step_size):
    rings = concentric_rings(nrings, points_per_ring, step_size)
    radii = np.hypot(*rings.T) / step_size
    assert len(rings) == 1 + points_per_ring * nrings * (nrings + 1) // 2
    for ring in range(1, nrings + 1):
        on_ring = rings[np.abs(radii - ring) < 1e-6]
        assert len(on_ring) == ring * points_per_ring
        gaps = np.hypot(*np.diff(on_ring, axis=0).T) / step_size
        np.testing.assert_allclose(gaps, 2 * ring * np.sin(np.pi / (ring * points_per_ring)), rtol=1e-6)
    assert (np.diff(np.rint(radii)) >= 0).all()  # from the middle outwards


def test_neighbours_on_rings_of_five_or_six_are_about_as_far_apart_as_rings():
    for points_per_ring in (5, 6):
        assert concentric(20, points_per_ring, 1e-6).nearest_neighbour_m() == pytest.approx(1e-6, rel=0.05)


@given(n_x=st.integers(1, 20), n_y=st.integers(1, 20), jitter=st.floats(0, 1e-6), seed=st.integers(0, 2**32 - 1))
def test_jittered_grid_stays_near_its_grid_and_is_repeatable(n_x, n_y, jitter, seed):
    moved = random_jittered(n_x, n_y, 1e-6, jitter, seed=seed) - raster_grid(n_x, n_y, 1e-6)
    assert (np.abs(moved) <= jitter * (1 + 1e-9) + 1e-20).all()
    np.testing.assert_array_equal(
        random_jittered(n_x, n_y, 1e-6, jitter, seed=seed), random_jittered(n_x, n_y, 1e-6, jitter, seed=seed)
    )


def test_another_seed_gives_other_positions():
    assert not np.array_equal(random_jittered(5, 5, seed=1), random_jittered(5, 5, seed=2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: raster(0, 3, 1e-6), "n_x is 0"),
        (lambda: raster(3, 3, -1e-6), "step_size"),
        (lambda: concentric(3, 0, 1e-6), "points_per_ring is 0"),
        (lambda: concentric(0, 5, 1e-6), "nrings is 0"),
        (lambda: jittered(3, 3, 1e-6, -1e-9), "jitter_amplitude"),
        (lambda: jittered(3, 3, 1e-6, float("nan")), "jitter_amplitude"),
    ],
)
def test_impossible_trajectory_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("make", [raster, jittered, concentric, fermat])
def test_trajectory_remembers_how_it_was_made(make):
    arguments = {
        "raster": (3, 4, 1e-6),
        "jittered": (3, 4, 1e-6, 1e-7),
        "concentric": (2, 5, 1e-6),
        "fermat": (9, 1e-6),
    }
    trajectory = make(*arguments[make.__name__])
    again = make(**trajectory.parameters)
    np.testing.assert_array_equal(trajectory.positions_m, again.positions_m)


@given(distance=st.floats(0.0, 3.0))
def test_area_overlap_is_that_of_two_disks(distance):
    area = from_positions([[0.0, 0.0], [distance, 0.0]]).area_overlap(1.0)
    x = np.linspace(-0.5, 0.5, 2001)
    common = np.clip(np.sqrt(0.25 - x**2) - 0, 0, None)  # half heights of the first disk
    other = np.sqrt(np.clip(0.25 - (x - distance) ** 2, 0, None))
    assert area == pytest.approx(np.trapezoid(2 * np.minimum(common, other), x) / (np.pi / 4), abs=2e-3)


def test_description_says_what_an_operator_asks():
    text = raster(5, 4, 0.5e-6).describe(1e-6)
    field, _, overlap = text.partition(", ")
    assert field == "raster: 20 positions over 2 x 1.5 µm"
    assert overlap == "neighbours 0.5 µm apart: 50% overlap (39% of the area) of a probe of 1 µm"
    assert from_positions([[0.0, 0.0]]).describe(1e-6) == "positions: 1 position over 0 x 0 µm"


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
