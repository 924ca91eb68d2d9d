"""PtyPy straight from TIFF files and a sidecar, without a standard file in between: a recipe to copy and change.

    python examples/ptypy_recipe_tiff.py --pattern '/data/scan001_*.tif' --sidecar /data/scan001_sidecar.h5 \
        --name HERMES_TIFF --optics hermes --iters 150 --out recon

Needs PtyPy (your own install) and ptychostream in the same Python. `--name TiffSidecar` takes no options of a profile.
"""

from __future__ import annotations

import argparse

try:
    import ptypy
    import ptypy.utils as u
except ImportError:
    raise SystemExit("PtyPy is not installed in this Python: see `ptychostream reconstruct`") from None

import stream_service.ptycho.ptypy.tiff_ptyscan as tiff_ptyscan
from stream_service.core.plausibility import HC_EV_M
from stream_service.ptycho.optics.probe import optics_probe
from stream_service.settings.beamlines import load_named_profile

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--pattern", required=True)
ap.add_argument("--sidecar", required=True)
ap.add_argument("--name", default="HERMES_TIFF", choices=("TiffSidecar", "HERMES_TIFF", "XRNF_TIFF"))
ap.add_argument("--optics", required=True, help="beamline (or profile) whose optics make the first probe")
ap.add_argument("--indices", help="ptypy_indices.json of rows to leave out")
ap.add_argument("--engine", default="DM")
ap.add_argument("--iters", type=int, default=150)
ap.add_argument("--out", default="recon", help="folder for PtyPy's results")
args = ap.parse_args()

p = u.Param()
p.verbose_level = "interactive"
p.run = "tiff"
p.io = u.Param(home=args.out, rfile="%(run)s_%(engine)s_%(iterations)05d.ptyr")
p.io.autosave = u.Param(active=False)
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.s1 = u.Param()
p.scans.s1.name = "BlockFull"
p.scans.s1.data = u.Param()
p.scans.s1.data.name = args.name
p.scans.s1.data.pattern = args.pattern
p.scans.s1.data.sidecar = args.sidecar
p.scans.s1.data.reject_json = args.indices

# the first probe: a flat one, PtyPy's default, ends in garbage
geometry = getattr(tiff_ptyscan, args.name)(p.scans.s1.data).info
shape = tuple(int(n) for n in u.expect2(geometry.shape))
wavelength_m = HC_EV_M / (geometry.energy * 1e3)
pixel_m = float(u.expect2(geometry.psize)[0])
pixel_yx_m = tuple(wavelength_m * geometry.distance / (n * pixel_m) for n in shape)
optics = load_named_profile(args.optics).optics
probe = optics_probe(optics, shape=shape, pixel_yx_m=pixel_yx_m, wavelength_m=wavelength_m)
p.scans.s1.illumination = u.Param(model=probe, aperture=None, propagation=None)

p.engines = u.Param()
p.engines.e1 = u.Param(name=args.engine, numiter=args.iters)

P = ptypy.core.Ptycho(p, level=5)  # 5 = load, make the engine, run it
