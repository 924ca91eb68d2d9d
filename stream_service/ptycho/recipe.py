"""The PtyPy script for a standard file: complete, readable, and the very thing that `ptychostream reconstruct` runs.

The script needs PtyPy and the file, nothing of ours, so that a user can keep, change and send it. What in it is not
obvious is said in it; `docs/how-to/why-your-reconstruction-is-garbage.md` has the long version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from stream_service.errors import ConfigError, WriteError
from stream_service.ptycho.followed_rows import FILE_NAME as FOLLOWED
from stream_service.ptycho.illumination import Illumination
from stream_service.ptycho.scan_choices import ScanChoices
from stream_service.ptycho.scan_file import ScanFile

ENGINE_NAME = re.compile(r"[A-Z][A-Za-z0-9_]*")
GPU_ENGINES = ("DM", "RAAR", "EPIE", "SDR", "ML")
"""Those that PtyPy 0.9 also has for CUDA, as <name>_cupy."""
POLISH_SHARE = 5
"""One iteration in five is ML's: it takes noise for what it is, once DM has found the image."""
BLOCK_BYTES = 512 << 20
"""Of PtyPy's buffers for one block of frames; it keeps about 32 bytes per pixel (frame, mask, exit waves)."""
FEWEST_ROWS = 4
FOLLOWED_BLOCKS = 25
"""Blocks into which a scan is divided while it is followed: SwmrLoader takes whole blocks only."""


@dataclass(frozen=True, slots=True)
class RecipeSettings:
    """What the user chooses of a reconstruction. Raises `ConfigError` for what PtyPy could not do."""

    engine: str = "DM"
    """One of PtyPy's; any but ML is followed by ML for the last fifth of the iterations."""
    iterations: int = 100
    """Of all engines together."""
    n_polish: int | None = None
    """How many of them are ML's at the end, if not the last fifth."""
    n_modes: int = 1
    """Incoherent modes of the probe."""
    refine_positions: bool = False
    gpu: bool = False

    def __post_init__(self) -> None:
        if not ENGINE_NAME.fullmatch(self.engine):
            raise ConfigError(f"engine {self.engine!r} is no name of a PtyPy engine: DM, RAAR, EPIE, ML, DM_serial ...")
        if self.gpu and self.engine not in GPU_ENGINES:
            raise ConfigError(f"PtyPy has no engine {self.engine} for a GPU; it has {', '.join(GPU_ENGINES)}")

    @property
    def stages(self) -> tuple[tuple[str, int], ...]:
        """(engine, iterations), in order."""
        n_polish = self.iterations // POLISH_SHARE if self.n_polish is None else self.n_polish
        n_polish = 0 if self.engine.startswith("ML") else min(n_polish, self.iterations)
        stages = ((self.engine, self.iterations - n_polish), ("ML", n_polish))
        suffix = "_cupy" if self.gpu else ""
        return tuple((name + suffix, n) for name, n in stages if n)


@dataclass(frozen=True, slots=True)
class Output:
    """Where a reconstruction writes. PtyPy on its own would leave folders wherever it was started."""

    folder: Path
    run: str
    dump_interval: int = 0
    """Iterations between two dumps of the present state; 0 = none."""

    @property
    def results(self) -> str:
        """Pattern of the results, one per engine."""
        return f"{self.run}_*.ptyr"

    @property
    def dumps(self) -> str:
        """Pattern of the dumps."""
        return f"{self.run}.dump_*.ptyr"


@dataclass(frozen=True, slots=True)
class Start:
    """A reconstruction from which another goes on."""

    ptyr: Path
    same_rows: bool
    """It had the very rows that are there now. If not, its object lies on another grid, and only its probe is taken."""


def recipe_text(
    scan: ScanFile,
    settings: RecipeSettings,
    illumination: Illumination,
    output: Output,
    *,
    follow: bool = False,
    start: Start | None = None,
    keep: Path | None = None,
) -> str:
    """The script. With `follow` PtyPy reads the file while it grows; `keep` has `/entry/keep` instead of the file.

    Raises `ConfigError` when it could not work.
    """
    check_scan(scan, follow=follow)
    side = scan.square_px
    block = max(1, min(10_000, BLOCK_BYTES // (32 * side * side)))
    if follow:
        assert scan.n_rows_expected is not None  # see check_scan
        block = min(block, max(1, scan.n_rows_expected // FOLLOWED_BLOCKS))
    sections = [
        _general(scan, output, block),
        _follow(scan) if follow else _offline(keep),
        _common_data(scan, illumination),
        illumination.code,
    ]
    if settings.n_modes > 1:
        sections.append(_modes(settings.n_modes))
    if start is not None:
        sections.append(_going_on(start))
    sections += [_engines(settings, scan), _run(follow=follow)]
    body = "\n".join(section.strip("\n") + "\n" for section in sections)
    return _head(scan, settings, follow=follow, needs_numpy="np." in body) + "\n" + body


def write_recipe(
    data: Path, out: Path, settings: RecipeSettings, choices: ScanChoices, *, force: bool
) -> tuple[str, ...]:
    """Write the script for a finished scan; what the user should know of it. Its results go beside it.

    Raises `ConfigError`, `SourceError`, and `WriteError` if `out` exists already.
    """
    if out.exists() and not force:
        raise WriteError(f"{out} exists already: choose another --out, or replace it with --force")
    scan = choices.read_scan(data)
    output = Output(out.parent, out.stem.removesuffix("_recipe"))
    try:
        illumination = choices.illumination(scan, out.parent, output.run)
        out.write_text(recipe_text(scan, settings, illumination, output), encoding="utf-8")
    except OSError as error:
        raise WriteError(f"cannot write {out}: {error.strerror}") from error
    return illumination.remarks


def check_scan(scan: ScanFile, *, follow: bool = False) -> None:
    """Raises `ConfigError` for a file from which nothing can be reconstructed."""
    if scan.square_px < 8:
        row, column = scan.center_px
        raise ConfigError(
            f"{scan.path}: the optical axis at row {row:g}, column {column:g} is too near the edge of the frames of "
            f"{scan.frame_shape[0]} x {scan.frame_shape[1]}: ingest again with another --roi-center"
        )
    if follow and scan.n_rows_expected is None:
        raise ConfigError(
            f"{scan.path} cannot be followed: how many positions the scan has was not known at its start, and PtyPy "
            "has to know; wait for the end and reconstruct without --follow"
        )
    if scan.is_growing and not follow:
        raise ConfigError(
            f"{scan.path} is still being written, or its writer was killed, and PtyPy opens closed files only: wait "
            "for the end, or let `ptychostream reconstruct` see to it"
        )
    if not follow and scan.n_kept < FEWEST_ROWS:
        raise ConfigError(f"{scan.path} has {scan.n_kept} rows to use of {scan.n_rows}: too few for a reconstruction")


def _head(scan: ScanFile, settings: RecipeSettings, *, follow: bool, needs_numpy: bool) -> str:
    engines = ", then ".join(f"{n} iterations of {name}" for name, n in settings.stages)
    rows = f"{scan.n_rows_expected} rows to come" if follow else f"{scan.n_kept} of {scan.n_rows} rows"
    loaders = "swmr_loader" if follow else "hdf5_loader"
    lines = [
        f'"""PtyPy reconstruction of {scan.scan_id}: {engines}.',
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
    lines += ["", f"FILE = {str(scan.path.resolve())!r}", ""]
    return "\n".join(lines)


def _general(scan: ScanFile, output: Output, block: int) -> str:
    if output.dump_interval:
        autosave = (
            f"u.Param(active=True, interval={output.dump_interval}, "
            f'rfile="{output.run}.dump_%(engine)s_%(iterations)05d.ptyr")'
        )
    else:
        autosave = "u.Param(active=False)"
    return f"""
p = u.Param()
p.verbose_level = "interactive"
p.run = {output.run!r}
p.frames_per_block = {block}
p.io = u.Param()
p.io.home = {str(output.folder.resolve())!r}
p.io.rfile = "{output.run}_%(engine)s_%(iterations)05d.ptyr"
p.io.autosave = {autosave}
p.io.autoplot = u.Param(active=False)
p.io.interaction = u.Param(active=False)

p.scans = u.Param()
p.scans.scan = scan = u.Param()
scan.name = "BlockFull"
scan.propagation = {"nearfield" if scan.optics.propagation == "near_field" else "farfield"!r}
"""


def _offline(keep: Path | None) -> str:
    kept = "FILE" if keep is None else repr(str(keep.resolve()))
    return f"""
scan.data = data = u.Param()
data.name = "Hdf5Loader"
data.intensities = u.Param(file=FILE, key="/entry/data")
data.positions = u.Param(file=FILE, slow_key="/entry/posy_m", fast_key="/entry/posx_m")
data.framefilter = u.Param(file={kept}, key="/entry/keep")  # 1 = use; a list of indices is nothing PtyPy takes
"""


def _follow(scan: ScanFile) -> str:
    return f"""
# The three keys say which rows are whole. Which rows are rejected (/entry/keep) is not known before the end.
scan.data = data = u.Param()
data.name = "SwmrLoader"
data.intensities = u.Param(file=FILE, key="/entry/data", live_key="/entry/live/key_data")
data.positions = u.Param(
    file=FILE,
    slow_key="/entry/posy_m",
    fast_key="/entry/posx_m",
    live_slow_key="/entry/live/key_y",
    live_fast_key="/entry/live/key_x",
    slow_key_with_expected_shape="/entry/live/key_y",  # only the shape counts: {scan.n_rows_expected} rows
    fast_key_with_expected_shape="/entry/live/key_x",
)
"""


def _common_data(scan: ScanFile, illumination: Illumination) -> str:
    row, column = (round(value) for value in scan.center_px)
    side = scan.square_px
    orientation = scan.upright.ptypy_orientation
    lines = [
        'data.mask = u.Param(file=FILE, key="/entry/mask", invert=True)  # in the file 1 = bad, for PtyPy 1 = good',
        "# dark and flat are applied already: /entry/dark and /entry/flat are not for here",
        f"data.shape = ({side}, {side})  # PtyPy takes squares",
        f"data.center = ({row}, {column})  # the optical axis",
        "data.auto_center = False",
    ]
    if orientation:
        lines.append(f"data.orientation = {orientation}  # these frames are not upright against the beam's positions")
    else:
        lines.append("data.orientation = None  # the frames in the file are upright")
    lines += [f"# {line}" for line in illumination.remarks]
    near = illumination.near_field
    lines.append('data.recorded_energy = u.Param(file=FILE, key="/entry/energy_eV", multiplier=1e-3)  # keV')
    if near is None:
        lines += [
            'data.recorded_distance = u.Param(file=FILE, key="/entry/det_dist_m")',
            'data.recorded_psize = u.Param(file=FILE, key="/entry/pixel_m")',
        ]
    else:
        lines += [
            f"data.distance = {near.distance_m!r}  # effective, metres",
            f"data.psize = {near.pixel_m!r}  # effective: of the shadow, on the sample, metres",
        ]
    return "\n".join(lines)


def _modes(n_modes: int) -> str:
    return f"""
scan.coherence = u.Param(num_probe_modes={n_modes})
scan.illumination.diversity = u.Param(power=0.1, noise=(np.pi, 3.0))  # the further modes must not begin alike
"""


def _going_on(start: Start) -> str:
    return f"""
# go on from an earlier reconstruction
START = {str(start.ptyr.resolve())!r}
scan.illumination = u.Param(model="recon", recon=u.Param(rfile=START), aperture=None, propagation=None)
""" + ('scan.sample = u.Param(model="recon", recon=u.Param(rfile=START), process=None)\n' if start.same_rows else "")


def _engines(settings: RecipeSettings, scan: ScanFile) -> str:
    near_field = scan.optics.propagation == "near_field"
    lines = ["p.engines = u.Param()"]
    for number, (name, iterations) in enumerate(settings.stages):
        whole = ", probe_support=None" if near_field else ""  # there the beam fills the frame
        lines.append(f"p.engines.engine{number} = u.Param(name={name!r}, numiter={iterations}{whole})")
    if settings.refine_positions:
        name, iterations = settings.stages[0]
        lines.append(_position_refinement(scan, iterations))
    return "\n".join(lines)


def _position_refinement(scan: ScanFile, iterations: int) -> str:
    near_field = scan.optics.propagation == "near_field"
    pixel_m = scan.pixel_m if near_field else max(scan.sample_pixel_yx_m((scan.square_px, scan.square_px)))
    return (
        "p.engines.engine0.position_refinement = u.Param(\n"
        "    method='GridSearch', record=True, amplitude_decay=False,\n"
        f"    start={iterations // 3}, stop={iterations * 9 // 10}, interval=5,\n"
        f"    amplitude={2.5 * pixel_m:.4g}, max_shift={3.5 * pixel_m:.4g},  # metres: all pixels within 3 of the place\n"
        ")"
    )


def _run(*, follow: bool) -> str:
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
