"""The standard file: written row by row under SWMR, checked by `validate_file`; and other HDF5 files, written whole.

Settles: one file is at once the `/entry` schema and CXI 1.6 (ADR 0003); what a live reader may rely on
(`standard_file`); nothing is added after creation; nothing is overwritten.
"""

from stream_service.standard_file.repair.repair import repair as repair_file
from stream_service.standard_file.repair.salvaged_rows import SalvagedRows
from stream_service.standard_file.revise.verdicts import RowVerdicts, apply_verdicts, check_takes_verdicts
from stream_service.standard_file.rules.finding import Finding
from stream_service.standard_file.rules.validate import validate_file
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import LEDGER_COUNTS, PixelFlag
from stream_service.standard_file.schema.header import ChannelColumn, FileHeader
from stream_service.standard_file.schema.ledger_columns import LedgerColumns
from stream_service.standard_file.schema.verdict_columns import VERDICTS_DTYPE
from stream_service.standard_file.write.guarded_file import GuardedFile
from stream_service.standard_file.write.sidecar_file import SidecarContents, write_sidecar
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.standard_file.write.whole_hdf5 import Check, whole_hdf5, write_tree
from stream_service.standard_file.write.write_errors import write_error

__all__ = [
    "LEDGER_COUNTS",
    "VERDICTS_DTYPE",
    "ChannelColumn",
    "Check",
    "FileHeader",
    "Finding",
    "GuardedFile",
    "LedgerColumns",
    "PixelFlag",
    "RowVerdicts",
    "SalvagedRows",
    "SidecarContents",
    "StandardFile",
    "apply_verdicts",
    "check_takes_verdicts",
    "paths",
    "repair_file",
    "validate_file",
    "whole_hdf5",
    "write_error",
    "write_sidecar",
    "write_tree",
]
