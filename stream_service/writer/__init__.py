"""The standard file: written row by row under SWMR, checked by `validate_file`.

Settles: one file is at once the `/entry` schema and CXI 1.6 (ADR 0003); what a live reader may rely on
(`standard_file`); nothing is added after creation; nothing is overwritten.
"""

from stream_service.writer.finding import Finding
from stream_service.writer.header import ChannelColumn, FileHeader
from stream_service.writer.ledger_columns import LedgerColumns
from stream_service.writer.row import Row
from stream_service.writer.standard_file import StandardFile
from stream_service.writer.validate import validate_file

__all__ = ["ChannelColumn", "FileHeader", "Finding", "LedgerColumns", "Row", "StandardFile", "validate_file"]
