"""The sections of a PtyPy script, in their order: what they must say, and why, for whoever reads the script.

Text of a file, a name or a profile enters a script as a Python literal (`repr`) or as a comment made by `comment`,
never otherwise: a file is data, and the script is run.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from stream_service.ptycho.optics.illumination import Illumination
from stream_service.ptycho.ptypy.followed_rows import FILE_NAME as FOLLOWED
from stream_service.ptycho.ptypy.recipe_settings import Output, RecipeSettings, Start
from stream_service.ptycho.scan_file import ScanFile
from stream_service.standard_file.schema import paths
from stream_service.text.counted import counted
from stream_service.text.printable import printable


def comment(text: str) -> str:
    """The text as one line that Python skips, whatever is in it."""
    return f"# {printable(text)}"


def head(scan: ScanFile, settings: RecipeSettings, *, follow: bool, needs_numpy: bool) -> str:
    """Docstring, imports, the file."""
    engines = ", then ".join(f"{counted(n, 'iteration')} of {name}" for name, n in settings.stages)
    rows = (
        f"{counted(scan.n_rows_expected or 0, 'row')} to come"
        if follow
        else f"{scan.n_kept} of {counted(scan.n_rows, 'row')}"
    )
    loaders = "swmr_loader" if follow else "hdf5_loader"
    lines = [
        f'"""PtyPy reconstruction: {engines}.',
        "",
        f"Written by ptychostream {version('ptychostream')} for {rows} of {scan.frame_shape[0]} x "
        f"{scan.frame_shape[1]} at {scan.energy_eV:g} eV. It only reads the",
        "file, and is yours to change. PtyPy has its own, academic licence.",
        '"""',
        "",
        *(["import numpy as np"] if needs_numpy else []),
        "import ptypy",
        "import ptypy.utils as u",
        "",
        f'ptypy.load_ptyscan_module("{loaders}")',
    ]
    if settings.gpu:
        lines.append('ptypy.load_gpu_engines("cupy")  # needs cupy; on one with pycuda: "pycuda", and engines *_pycuda')
    elif settings.engine.endswith("_serial"):
        lines.append('ptypy.load_gpu_engines("serial")')
    lines += ["", f"SCAN = {scan.scan_id!r}", f"FILE = {str(scan.path.resolve())!r}", ""]
    return "\n".join(lines)


def general(scan: ScanFile, output: Output, block: int) -> str:
    """Parameters that are not of the scan: names, folders, blocks."""
    results, dumps = (f"/{output.run}{ending}_%(engine)s_%(iterations)05d.ptyr" for ending in ("", ".dump"))
    autosave = f", interval={output.dump_interval}, rfile=PATTERN + {dumps!r}" if output.dump_interval else ""
    return f"""
p = u.Param()
p.verbose_level = "interactive"
p.run = {output.run!r}
p.frames_per_block = {block}
p.io = u.Param()
p.io.home = {str(output.folder.resolve())!r}
PATTERN = p.io.home.replace("%", "%%")  # PtyPy fills in what follows a %
p.io.rfile = PATTERN + {results!r}
p.io.autosave = u.Param(active={bool(autosave)}{autosave})
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.scan = scan = u.Param()
scan.name = "BlockFull"
scan.propagation = {"nearfield" if scan.optics.propagation == "near_field" else "farfield"!r}
"""


def offline(keep: Path | None) -> str:
    """Frames and positions of a closed file; `keep` has `/entry/keep` instead of it."""
    kept = "FILE" if keep is None else repr(str(keep.resolve()))
    return f"""
scan.data = data = u.Param()
data.name = "Hdf5Loader"
data.intensities = u.Param(file=FILE, key="{paths.DATA}")
data.positions = u.Param(file=FILE, slow_key="{paths.POS_Y}", fast_key="{paths.POS_X}")
data.framefilter = u.Param(file={kept}, key="{paths.KEEP}")  # 1 = use; a list of indices is nothing PtyPy takes
"""


def follow(scan: ScanFile) -> str:
    """Frames and positions of a file that grows."""
    return f"""
# The three keys say which rows are whole. Which rows are rejected (/entry/keep) is not known before the end.
scan.data = data = u.Param()
data.name = "SwmrLoader"
data.intensities = u.Param(file=FILE, key="{paths.DATA}", live_key="{paths.KEY_DATA}")
data.positions = u.Param(
    file=FILE,
    slow_key="{paths.POS_Y}",
    fast_key="{paths.POS_X}",
    live_slow_key="{paths.KEY_Y}",
    live_fast_key="{paths.KEY_X}",
    slow_key_with_expected_shape="{paths.KEY_Y}",  # only the shape counts: {scan.n_rows_expected} rows
    fast_key_with_expected_shape="{paths.KEY_X}",
)
"""


def common_data(scan: ScanFile, illumination: Illumination) -> str:
    """Mask, axis, orientation, energy and distances."""
    row, column = scan.square_center_px
    side = scan.square_px
    orientation = scan.upright.ptypy_orientation
    axis = "the optical axis"
    if (row, column) != tuple(round(value) for value in scan.center_px):
        axis += ", and a pixel more where PtyPy reverses rows or columns: it crops first, and n // 2 must be the axis"
    lines = [
        f'data.mask = u.Param(file=FILE, key="{paths.MASK}", invert=True)  # in the file 1 = bad, for PtyPy 1 = good',
        "# dark and flat are applied already: /entry/dark and /entry/flat are not for here",
        f"data.shape = ({side}, {side})  # PtyPy takes squares",
        f"data.center = ({row}, {column})  # {axis}",
        "data.auto_center = False",
    ]
    if orientation:
        lines.append(f"data.orientation = {orientation}  # these frames are not upright against the beam's positions")
    else:
        lines.append("data.orientation = None  # the frames in the file are upright")
    lines += [comment(remark) for remark in illumination.remarks]
    near = illumination.near_field
    lines.append(f'data.recorded_energy = u.Param(file=FILE, key="{paths.ENERGY}", multiplier=1e-3)  # keV')
    if near is None:
        lines += [
            f'data.recorded_distance = u.Param(file=FILE, key="{paths.DET_DIST}")',
            f'data.recorded_psize = u.Param(file=FILE, key="{paths.PIXEL}")',
        ]
    else:
        lines += [
            f"data.distance = {near.distance_m!r}  # effective, metres",
            f"data.psize = {near.pixel_m!r}  # effective: of the in-line hologram, on the sample, metres",
        ]
    return "\n".join(lines)


def modes(n_modes: int) -> str:
    """Partial coherence."""
    return f"""
scan.coherence = u.Param(num_probe_modes={n_modes})
scan.illumination.diversity = u.Param(power=0.1, noise=(np.pi, 3.0))  # the further modes must not begin alike
"""


def going_on(start: Start) -> str:
    """Probe, and object if it fits, of an earlier reconstruction."""
    return f"""
# go on from an earlier reconstruction
START = {str(start.ptyr.resolve())!r}
scan.illumination = u.Param(model="recon", recon=u.Param(rfile=START), aperture=None, propagation=None)
""" + ('scan.sample = u.Param(model="recon", recon=u.Param(rfile=START), process=None)\n' if start.same_rows else "")


def engines(settings: RecipeSettings, scan: ScanFile, illumination: Illumination) -> str:
    """Engines in order."""
    near = illumination.near_field
    lines = [
        "# By itself PtyPy cuts the probe off outside of a circle of 0.7 of the window (probe_support). Optics with",
        "# hard edges send light beyond it, and DM then leaves the image again the longer it runs; in the near field",
        "# the beam fills the window.",
        "p.engines = u.Param()",
    ]
    for number, (name, iterations) in enumerate(settings.stages):
        lines.append(f"p.engines.engine{number} = u.Param(name={name!r}, numiter={iterations}, probe_support=None)")
    if settings.refine_positions:
        name, iterations = settings.stages[0]
        side = (scan.square_px, scan.square_px)
        pixel_m = max(scan.sample_pixel_yx_m(side)) if near is None else near.pixel_m
        lines.append(_position_refinement(pixel_m, iterations))
    return "\n".join(lines)


def _position_refinement(pixel_m: float, iterations: int) -> str:
    return (
        "p.engines.engine0.position_refinement = u.Param(\n"
        "    method='GridSearch', record=True, amplitude_decay=False,\n"
        f"    start={iterations // 3}, stop={iterations * 9 // 10}, interval=5,\n"
        f"    amplitude={2.5 * pixel_m:.4g}, max_shift={3.5 * pixel_m:.4g},  # metres: up to 3 pixels\n"
        ")"
    )


def run(*, follow: bool) -> str:
    """The run; when following, also what PtyPy got."""
    run = """
if __name__ == "__main__":
    P = ptypy.core.Ptycho(p, level=5)  # 5 = load, make the engines, run them
"""
    noting = f"""
    # what PtyPy got: for each row a sum and where it was, to be compared with the file
    model = P.model.scans["scan"]
    np.savez(
        P.paths.home + "/{FOLLOWED}",
        sums=[view.data.sum(dtype=np.float64) for view in model.diff_views],
        positions_yx_m=np.array(model.positions),
    )
"""
    return run + noting if follow else run
