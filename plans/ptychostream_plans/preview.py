"""`python -m ptychostream_plans.preview`: what a scan would cover, before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptychostream_plans.trajectories import concentric, fermat, jittered, raster
from ptychostream_plans.trajectories.pictures import draw_trajectory
from ptychostream_plans.trajectories.positions_file import load_positions
from ptychostream_plans.trajectories.trajectory import Trajectory
from stream_service.cli.app import App
from stream_service.cli.options import OUTPUT
from stream_service.output_file import is_same_file

app = App(help="Draw a trajectory, its overlap and its coverage.")

ProbeOption = Annotated[float, typer.Option("--probe-um", min=1e-6, help="Diameter of the probe on the sample, µm.")]
StepOption = Annotated[float, typer.Option("--step-um", min=1e-6, help="Step, µm.")]
OutOption = Annotated[Path, typer.Option(*OUTPUT, help="The picture.")]
OUT = Path("trajectory.png")
UM = 1e-6


@app.command("fermat", epilog="Example: python -m ptychostream_plans.preview fermat --points 200 --step-um 0.3")
def fermat_(
    points: Annotated[int, typer.Option(min=2, help="Positions.")] = 200,
    step_um: StepOption = 0.3,
    probe_um: ProbeOption = 1.0,
    out: OutOption = OUT,
) -> None:
    """A Fermat spiral; neighbours are 1.7 steps apart."""
    _draw(fermat(points, step_um * UM), probe_um, out)


@app.command("raster", epilog="Example: python -m ptychostream_plans.preview raster --nx 20 --ny 10 --step-um 0.4")
def raster_(
    nx: Annotated[int, typer.Option(min=1, help="Positions along x.")] = 15,
    ny: Annotated[int, typer.Option(min=1, help="Lines along y.")] = 15,
    step_um: StepOption = 0.4,
    probe_um: ProbeOption = 1.0,
    out: OutOption = OUT,
) -> None:
    """A regular grid."""
    _draw(raster(nx, ny, step_um * UM), probe_um, out)


@app.command("concentric", epilog="Example: python -m ptychostream_plans.preview concentric --nrings 8")
def concentric_(
    nrings: Annotated[int, typer.Option(min=1, help="Rings.")] = 8,
    points_per_ring: Annotated[int, typer.Option(min=1, help="Ring i has i times as many positions.")] = 5,
    step_um: StepOption = 0.4,
    probe_um: ProbeOption = 1.0,
    out: OutOption = OUT,
) -> None:
    """Concentric rings, a step apart."""
    _draw(concentric(nrings, points_per_ring, step_um * UM), probe_um, out)


@app.command(
    "jittered", epilog="Example: python -m ptychostream_plans.preview jittered --nx 15 --ny 15 --jitter-um 0.1"
)
def jittered_(
    nx: Annotated[int, typer.Option(min=1, help="Positions along x.")] = 15,
    ny: Annotated[int, typer.Option(min=1, help="Lines along y.")] = 15,
    step_um: StepOption = 0.4,
    jitter_um: Annotated[float, typer.Option(min=0.0, help="Largest random move, µm.")] = 0.12,
    seed: Annotated[int, typer.Option(help="Same seed, same positions.")] = 0,
    probe_um: ProbeOption = 1.0,
    out: OutOption = OUT,
) -> None:
    """A grid whose positions are moved at random."""
    _draw(jittered(nx, ny, step_um * UM, jitter_um * UM, seed=seed), probe_um, out)


@app.command("file", epilog="Example: python -m ptychostream_plans.preview file positions.csv --probe-um 1.5")
def file_(
    positions: Annotated[Path, typer.Argument(help="x and y in metres, .npy or .csv.")],
    probe_um: ProbeOption = 1.0,
    out: OutOption = OUT,
) -> None:
    """Positions from a file."""
    try:
        if is_same_file(out, positions):
            raise ValueError(
                f"--output {out} is the file with the positions, and would destroy it: choose another --output"
            )
        trajectory = load_positions(positions)
    except (OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    _draw(trajectory, probe_um, out)


def _draw(trajectory: Trajectory, probe_um: float, out: Path) -> None:
    try:
        draw_trajectory(trajectory, probe_um * UM, out)
    except (OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{trajectory.describe(probe_um * UM)}; picture: {out}")


if __name__ == "__main__":
    app.run()
