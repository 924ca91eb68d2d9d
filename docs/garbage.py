"""The picture of "Why your reconstruction is garbage": the demo's scan, reconstructed rightly and in seven wrong ways.

    make demo
    python docs/garbage.py demo-output/demo_std.h5

Needs PtyPy in the same Python; writes docs/images/garbage.png. Each wrong way is one change of the recipe.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stream_service.ptycho.image.object_image import flattened_phase
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.recipe import write_recipe
from stream_service.ptycho.ptypy.recipe_settings import RecipeSettings
from stream_service.ptycho.ptypy.scan_choices import ScanChoices

ITERATIONS = 40
PICTURE = Path(__file__).resolve().parent / "images" / "garbage.png"
WAYS = {
    "right": ("", ""),
    "no mask": ("data.mask = ", "unused_mask = "),
    "mask not inverted": ("invert=True", "invert=False"),
    "no illumination": ("scan.illumination = ", "unused_illumination = "),
    "defocus sign": ("defocus = 1.6e-05", "defocus = -1.6e-05"),
    "position signs": (
        'fast_key="/entry/posx_m"',
        'fast_key="/entry/posx_m", slow_multiplier=-1.0, fast_multiplier=-1.0',
    ),
    "orientation": ("data.orientation = None", "data.orientation = 1"),
    "flat applied twice": ("data.shape = ", 'data.flatfield = u.Param(file=FILE, key="/entry/flat")\ndata.shape = '),
}


def reconstruct(scan: Path, folder: Path, name: str, change: tuple[str, str]) -> Ptyr:
    """The recipe of the scan with one change, run."""
    script = folder / f"{name.replace(' ', '_')}_recipe.py"
    write_recipe(scan, script, RecipeSettings("DM", ITERATIONS, n_polish=0), ScanChoices(), force=False)
    text = script.read_text(encoding="utf-8")
    if change[0] not in text:
        raise SystemExit(f"the recipe has no {change[0]!r} any more")
    script.write_text(text.replace(*change, 1) if change[0] else text, encoding="utf-8")
    subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Ptyr.read(next(folder.glob(f"{script.stem.removesuffix('_recipe')}_DM_*.ptyr")))


def draw(found: dict[str, Ptyr]) -> None:
    """Phases side by side, each with its error."""
    figure = Figure(figsize=(15, 8), layout="constrained")
    for axes, (name, ptyr) in zip(figure.subplots(2, 4).flat, found.items(), strict=True):
        edge = 60
        part = ptyr.object[edge:-edge, edge:-edge]
        phase = flattened_phase(part, np.ones(part.shape, bool))
        lowest, highest = np.percentile(phase, (2, 98))
        axes.imshow(phase, origin="lower", cmap="gray", vmin=lowest, vmax=highest)
        axes.set_title(f"{name}: photon error {ptyr.errors[-1, 1]:.3g}")
        axes.set_axis_off()
    FigureCanvasAgg(figure)
    figure.savefig(PICTURE, dpi=70)


def main() -> None:
    """Make the picture."""
    scan = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for way, change in WAYS.items():
            found[way] = reconstruct(scan, Path(folder), way, change)
            print(f"{way}: photon error {found[way].errors[-1, 1]:.4g}", flush=True)
    draw(found)


if __name__ == "__main__":
    main()
