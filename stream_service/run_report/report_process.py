"""The report of one run in a process of its own, beside a daemon: `python -m` this module, with the file.

It may take so much memory and no more, and yields the processor to whatever else runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stream_service.errors import PtychostreamError
from stream_service.processes.limited import limit_this_process

MiB = 1 << 20
MEMORY_BYTES = 2048 * MiB
"""Of addresses: a small report takes 450 MiB of them."""
OUTPUT_BYTES = 64 * MiB
"""A report has 1 to 3 MB."""
NICE = 10


def main(file: Path) -> None:
    """Write the report of a standard file beside it, and say where; else exit with a sentence on standard error."""
    limit_this_process(MEMORY_BYTES, OUTPUT_BYTES)
    os.nice(NICE)
    try:
        from stream_service.run_report.report import write_report
        from stream_service.run_report.report_path import report_path

        write_report(file, report_path(file))
        print(report_path(file))
    except PtychostreamError as error:
        sys.exit(str(error))
    except MemoryError:
        sys.exit(f"{file}: that takes more than {MEMORY_BYTES // MiB} MiB of memory")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
