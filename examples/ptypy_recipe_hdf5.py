"""PtyPy on a standard file: writes the recipe of the file and runs it; the file is only read.

    python examples/ptypy_recipe_hdf5.py --data demo-output/demo_std.h5 --engine DM --iters 200

Needs PtyPy (your own install) and ptychostream in the same Python. `ptychostream recipe` writes the same script for
you to keep, `ptychostream reconstruct` also makes an image file and pictures of the result.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from stream_service.errors import PtychostreamError
from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.ptycho.ptypy.recipe import write_recipe
from stream_service.ptycho.ptypy.recipe_settings import RecipeSettings
from stream_service.ptycho.ptypy.scan_choices import ScanChoices

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--data", required=True, type=Path)
ap.add_argument("--engine", default="DM")
ap.add_argument("--iters", type=int, default=200)
ap.add_argument("--out", type=Path, default=Path("recon"), help="folder for the recipe and PtyPy's results")
args = ap.parse_args()

try:
    PtypyPython.find()
    args.out.mkdir(parents=True, exist_ok=True)
    script = args.out / f"{args.data.stem.removesuffix('_std')}_recipe.py"
    for remark in write_recipe(args.data, script, RecipeSettings(args.engine, args.iters), ScanChoices(), force=True):
        print(f"note: {remark}")
except PtychostreamError as error:
    sys.exit(f"error: {error}")
runpy.run_path(str(script), run_name="__main__")
