"""The standard file: written row by row under SWMR, checked by `validate_file`.

Settles: one file is at once the `/entry` schema and CXI 1.6 (ADR 0003); what a live reader may rely on
(`standard_file`); nothing is added after creation; nothing is overwritten.
"""

from stream_service.standard_file.rules.finding import Finding
from stream_service.standard_file.rules.validate import validate_file
from stream_service.standard_file.schema.header import ChannelColumn, FileHeader
from stream_service.standard_file.schema.ledger_columns import LedgerColumns
from stream_service.standard_file.write.swmr_file import StandardFile

__all__ = ["ChannelColumn", "FileHeader", "Finding", "LedgerColumns", "StandardFile", "validate_file"]
