"""Paths of the standard file, each spelled once.

Readers use those of `/entry`, since a file that grows must not be read through two links; the `/entry_1` half has what
CXI asks for, over the same bytes.
"""

from __future__ import annotations

ENTRY = "/entry"
DATA = f"{ENTRY}/data"
POS = f"{ENTRY}/pos"
POS_X = f"{ENTRY}/posx_m"
POS_Y = f"{ENTRY}/posy_m"
KEEP = f"{ENTRY}/keep"
MASK = f"{ENTRY}/mask"
DARK = f"{ENTRY}/dark"
FLAT = f"{ENTRY}/flat"
ENERGY = f"{ENTRY}/energy_eV"
EXPOSURE = f"{ENTRY}/exposure_s"
DET_DIST = f"{ENTRY}/det_dist_m"
PIXEL = f"{ENTRY}/pixel_m"
PLANNED = f"{ENTRY}/planned"
PLANNED_X = f"{PLANNED}/x_m"
PLANNED_Y = f"{PLANNED}/y_m"
PLOT = f"{ENTRY}/plot"
"""What NeXus viewers show of `/entry`: its frames, which NeXus wants in an h5 group of their own."""

LIVE = f"{ENTRY}/live"
KEY_DATA, KEY_X, KEY_Y = LIVE_KEYS = (f"{LIVE}/key_data", f"{LIVE}/key_x", f"{LIVE}/key_y")

FRAMES = f"{ENTRY}/frames"
"""Identity and values of each row."""
UNIQUE_ID = f"{FRAMES}/unique_id"
EPOCH = f"{FRAMES}/epoch"
STAMPS = f"{FRAMES}/timestamp_ns"
FRAME_STATUS = f"{FRAMES}/status"
ROW_ENERGY = f"{FRAMES}/energy_eV"
REPLACES = f"{FRAMES}/replaces"
FLAGS = f"{FRAMES}/flags"

FEATURES = f"{ENTRY}/qc/features"
"""What the pixels of each row tell."""
INTENSITY = f"{FEATURES}/intensity"
N_SATURATED = f"{FEATURES}/n_saturated"

READBACKS = f"{ENTRY}/readbacks"
LEDGER = f"{ENTRY}/ledger"

RUN = f"{ENTRY}/run"
SCAN_ID = f"{RUN}/scan_id"
STATE = f"{RUN}/state"
END_REASON = f"{RUN}/end_reason"
MESSAGE = f"{RUN}/message"
START_TIMESTAMP = f"{RUN}/start_timestamp_ns"
END_TIMESTAMP = f"{RUN}/end_timestamp_ns"
HEARTBEAT = f"{RUN}/heartbeat"

PROCESS = f"{ENTRY}/process"
SETTINGS = f"{PROCESS}/settings"
VERSIONS = f"{PROCESS}/versions"
OPTICS = f"{PROCESS}/optics"

CXI_ENTRY = "/entry_1"
CXI_TITLE = f"{CXI_ENTRY}/title"
CXI_PROGRAM = f"{CXI_ENTRY}/program_name"
START_TIME = f"{CXI_ENTRY}/start_time"
END_TIME = f"{CXI_ENTRY}/end_time"
PLOT_1 = f"{CXI_ENTRY}/data_1"
"""What NeXus viewers show of a CXI entry, and what CXI calls its most important data."""
SAMPLE = f"{CXI_ENTRY}/sample_1"
GEOMETRY = f"{SAMPLE}/geometry_1"
TRANSLATION = f"{GEOMETRY}/translation"
INSTRUMENT = f"{CXI_ENTRY}/instrument_1"
SOURCE = f"{INSTRUMENT}/source_1"
SOURCE_ENERGY = f"{SOURCE}/energy"
BEAM = f"{INSTRUMENT}/beam_1"
BEAM_ENERGY = f"{BEAM}/incident_beam_energy"
DETECTOR = f"{INSTRUMENT}/detector_1"
CXI_DATA = f"{DETECTOR}/data"
CXI_MASK = f"{DETECTOR}/mask"
PIXEL_MASK = f"{DETECTOR}/detectorSpecific/pixel_mask"
SCORE = f"{DETECTOR}/score"
"""How conspicuous each row is, 0 to 1; NaN for one that was not judged."""
TAGS = f"{DETECTOR}/tags"
"""1 for a row that is rejected for its quality."""
BASIS_VECTORS = f"{DETECTOR}/basis_vectors"
CENTER_Y = f"{DETECTOR}/beam_center_y"
CENTER_X = f"{DETECTOR}/beam_center_x"
SATURATION_VALUE = f"{DETECTOR}/saturation_value"


def clock_offset(channel: str) -> str:
    """Of a channel: how far its clock was ahead of that of the frames."""
    return f"{READBACKS}/{channel}/clock_offset_s"
