"""The Phoebus screens: `make docs` writes them, a test says when they are stale.

The layout is made here; names, states, limits and meanings are those of the status table. `ptychostream.bob` is for
the operator, `engineering.bob` has every PV of the service.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from display_builder import (
    BLUE,
    BODY,
    GREEN,
    LARGE,
    ORANGE,
    PALE,
    RED,
    WHITE,
    YELLOW,
    Colour,
    Place,
    Screen,
)

from stream_service.core.run import RunState
from stream_service.publishers.pva_tables import READBACK_COLUMNS, VERDICT_COLUMNS
from stream_service.settings.service_status import Health
from stream_service.settings.status_table import ServiceImage, ServicePV, ServiceTable

SCREENS = Path(__file__).resolve().parent
MACROS = {"P": "$(P=PTYCHO:)"}
"""What the launcher gives, or a default: a plain value here would win over the launcher's."""
LINE, LARGE_LINE = 28, 36
"""Heights of a line with its gap, in pixels."""
GAP = 4

STATE_COLOURS: dict[str, Colour] = {
    RunState.IDLE: WHITE,
    RunState.ARMED: YELLOW,
    RunState.RECEIVING: BLUE,
    RunState.DRAINING: BLUE,
    RunState.COMPLETE: GREEN,
    RunState.INCOMPLETE: ORANGE,
    RunState.ABORTED: ORANGE,
    RunState.FAILED: RED,
}
HEALTH_COLOURS: dict[str, Colour] = {Health.READY: GREEN, Health.BUSY: BLUE, Health.FAULTED: RED}

Line = tuple[str, ServicePV]

SCAN: tuple[Line, ...] = (
    ("Scan", ServicePV.SCAN_ID),
    ("Run", ServicePV.RUN_NUMBER),
    ("File", ServicePV.FILE),
    ("Ended because", ServicePV.END_REASON),
    ("Rows", ServicePV.ROWS),
    ("Rows expected", ServicePV.ROWS_EXPECTED),
    ("Time left", ServicePV.SECONDS_LEFT),
    ("Done", ServicePV.PERCENT),
)
RATES: tuple[Line, ...] = (
    ("Frames per second", ServicePV.FRAMES_PER_SECOND),
    ("Rows per second", ServicePV.ROWS_PER_SECOND),
    ("Latency", ServicePV.LATENCY),
    ("Queue", ServicePV.QUEUE_BYTES),
)
LEDGER: tuple[Line, ...] = (
    ("Expected", ServicePV.FRAMES_EXPECTED),
    ("Received", ServicePV.FRAMES_RECEIVED),
    ("Stored", ServicePV.FRAMES_STORED),
    ("Backfilled", ServicePV.FRAMES_BACKFILLED),
    ("Lost", ServicePV.FRAMES_LOST),
    ("Incomplete", ServicePV.FRAMES_INCOMPLETE),
    ("Not exposed", ServicePV.FRAMES_NOT_EXPOSED),
    ("Missing ids", ServicePV.MISSING_IDS),
)
LATEST: tuple[Line, ...] = (
    ("x", ServicePV.LAST_X),
    ("y", ServicePV.LAST_Y),
    ("Photon energy", ServicePV.LAST_ENERGY),
    ("Time", ServicePV.LAST_TIME),
    ("Intensity", ServicePV.LAST_INTENSITY),
    ("Saturated", ServicePV.LAST_SATURATED),
)
QUALITY: tuple[Line, ...] = (
    ("Rows judged", ServicePV.ROWS_JUDGED),
    ("Rejected", ServicePV.ROWS_REJECTED),
    ("Rejected lately", ServicePV.REJECTED_SHARE),
    ("Score of last row", ServicePV.LAST_SCORE),
    ("Last rejected", ServicePV.LAST_REJECTED),
    ("Positions lacking", ServicePV.POSITIONS_LACKING),
)
PLACE: tuple[Line, ...] = (
    ("Readbacks lost", ServicePV.READBACKS_LOST),
    ("Which", ServicePV.READBACK_PROBLEM),
    ("Disk free", ServicePV.DISK_FREE),
    ("Data root", ServicePV.DATA_ROOT),
    ("Report", ServicePV.REPORT),
    ("Arming refused", ServicePV.ARM_ERROR),
)


def operator_screen() -> Screen:
    """What an operator looks at."""
    screen = Screen.named("ptychostream", 1600, 1000, MACROS)
    screen.label("ptychostream  $(P)", Place(10, 10, 330, 44), LARGE, bold=True)
    screen.state(ServicePV.STATE, STATE_COLOURS, Place(350, 10, 230, 44))
    screen.state(ServicePV.HEALTH, HEALTH_COLOURS, Place(590, 10, 150, 44))
    screen.progress(ServicePV.PERCENT, Place(750, 10, 400, 44))
    screen.put_button(
        ServicePV.STOP,
        "Stop",
        "Stop the run? What came is stored, and the file is closed.",
        YELLOW,
        Place(1160, 10, 130, 44),
    )
    screen.put_button(
        ServicePV.ABORT, "Abort", "Abort the run now? The rows in the file stay.", RED, Place(1300, 10, 130, 44)
    )
    screen.screen_button("engineering.bob", "Engineering", Place(1440, 10, 150, 44))
    screen.value(ServicePV.MESSAGE, Place(10, 62, 1580, 34), BODY, bold=True)

    for x, parts in (
        (10, (("Scan", SCAN), ("Rates", RATES), ("Frames", LEDGER))),
        (415, (("Latest row", LATEST), ("Quality", QUALITY), ("Beamline and disk", PLACE))),
    ):
        y = 104
        for title, lines in parts:
            y = _section(screen, title, lines, Place(x, y, 395, LARGE_LINE), 170)

    on_map = ("x of the beam →", "y of the beam ↓")
    images = (
        (ServiceImage.FRAME, "Frame, log scale", ("x", "y"), Place(820, 104, 380, 330)),
        (ServiceImage.STXM, "STXM", on_map, Place(1210, 104, 380, 330)),
        (ServiceImage.DPC_X, "DPC x", on_map, Place(820, 442, 252, 252)),
        (ServiceImage.DPC_Y, "DPC y", on_map, Place(1079, 442, 252, 252)),
        (ServiceImage.SCORE, "Score, 1 = rejected", on_map, Place(1338, 442, 252, 252)),
    )
    for image, title, axes, (x, y, width, height) in images:
        screen.label(title, Place(x, y, width, 24), BODY, bold=True)
        below = Place(x, y + 24, width, height - 24)
        screen.image(image, below, axes=axes, log_scale=image is ServiceImage.FRAME)
    verdicts = Place(820, 702, 770, 288)
    _table(screen, "Verdicts, the latest last", ServiceTable.VERDICTS, VERDICT_COLUMNS, verdicts)
    return screen


def engineering_screen() -> Screen:
    """Every PV of the service, in the order of the status table; the tooltips say what it is."""
    columns, width, top = 4, 450, 60
    n_lines = -(-len(ServicePV) // columns)
    below = top + n_lines * LINE + 10
    screen = Screen.named("ptychostream: all PVs", columns * (width + 10) + 10, below + 290, MACROS)
    screen.label("ptychostream  $(P)  all PVs", Place(10, 10, 600, 44), LARGE, bold=True)
    screen.put_button(ServicePV.ARM, "Arm", "Arm for the request that is in Request?", PALE, Place(1280, 10, 120, 44))
    screen.put_button(
        ServicePV.REPEAT,
        "Repeat",
        "Announce the positions in Request as exposed again?",
        PALE,
        Place(1410, 10, 120, 44),
    )
    screen.screen_button("ptychostream.bob", "Operator", Place(1690, 10, 150, 44))
    for number, pv in enumerate(ServicePV):
        column, line = divmod(number, n_lines)
        x, y = 10 + column * (width + 10), top + line * LINE
        screen.label(pv, Place(x, y, 180, LINE - GAP))
        screen.value(pv, Place(x + 180, y, width - 180, LINE - GAP))
    readbacks = Place(10, below, columns * (width + 10) - 10, 280)
    _table(screen, "PVs of the profile", ServiceTable.READBACKS, READBACK_COLUMNS, readbacks)
    return screen


def _table(screen: Screen, title: str, table: ServiceTable, columns: Iterable[tuple[str, str]], place: Place) -> None:
    x, y, width, height = place
    screen.label(title, Place(x, y, width, 24), BODY, bold=True)
    widths = {"row": 60, "score": 70, "reason": 270, "pv": 300, "value": 140, "time_s": 180}
    screen.table(table, Place(x, y + 24, width, height - 24), [(name, widths.get(name, 90)) for name, _ in columns])


def _section(screen: Screen, title: str, lines: Iterable[Line], first: Place, label_width: int) -> int:
    """A title and a line for each PV below it; gives where the next section begins."""
    x, y, width, height = first
    screen.label(title, Place(x, y, width, height - GAP), BODY, bold=True)
    for text, pv in lines:
        y += height
        screen.label(text, Place(x, y, label_width, height - GAP), BODY)
        screen.value(pv, Place(x + label_width, y, width - label_width, height - GAP), BODY)
    return y + height + 2 * GAP


def files() -> dict[Path, str]:
    """The text of each screen."""
    screens = {"ptychostream.bob": operator_screen(), "engineering.bob": engineering_screen()}
    return {SCREENS / name: screen.as_xml() for name, screen in screens.items()}


def main() -> None:
    """Write the screens."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
