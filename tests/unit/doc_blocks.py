"""The fenced blocks of README and docs, and what tests do with each: a block that none of them knows is an error.

Python blocks are executed, YAML and INI are read as what they are, commands are read by the command itself. Those that
need no beamline are given for real (`test_docs_commands.py`) in a folder with a scan; tests of their own follow whole
pages. What cannot be run here stands in NOT_GIVEN with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
NOT_RUN = "<!-- not run"
"""A comment before a code block that needs what a test does not have; it is then only compiled."""

FOLLOWED = {
    "docs/tutorials/your-beamline.md": "tests/system/project/test_docs_your_beamline.py",
    "docs/how-to/hardware-positions.md": "tests/system/live/test_arrays_in_a_file.py",
    "docs/how-to/run-a-plan.md": "tests/system/plans/test_plans_how_to.py",
    "docs/how-to/check-orientation.md": "tests/system/project/test_smoke.py",
}
"""Pages that a test of their own follows, command by command."""
EXAMPLES_OF_HELP = "docs/reference/commands.md"
"""The examples of `--help`: the how-tos give the same commands."""

NOT_GIVEN = {
    r"make ": "CI gives them",
    r"export |source |cd |cp |sed ": "a shell's",
    r"pip |docker |git ": "downloads",
    r"(systemctl|journalctl) ": "systemd's own programs; the units are read",
    r"(caget|caput|camonitor|pvget|pvmonitor) ": "EPICS' own programs; the PVs are checked",
    r"(h5clear|h5dump|h5ls) ": "HDF5's own programs",
    r"iocsim ": "runs until it is ended: tests/system/iocsim",
    r"(EPICS_CA_SERVER_PORT=\d+ )?ptychostream run ": "runs until it is ended: tests/system/live",
    r"ptychostream web ": "runs until it is ended: tests of the web page",
    r"ptychostream status ": "needs a service: tests/system/live, tests/unit/cli/test_cli_status.py",
    r"ptychostream check ": "needs a beamline: tests/system/live, tests/unit/cli/test_cli_check.py",
    r"ptychostream demo ": "tests/system/project/test_demo.py",
    r"ptychostream reconstruct ": "needs PtyPy: tests/system/image",
    r"ptychostream orient .*--reconstruct": "needs PtyPy: tests/system/image",
    r"ptychostream export .*--recon ": "needs a reconstruction: tests/unit/ptycho",
    r"ptychostream ingest hdf5 .*--profile hermes": "needs areaDetector's file: tests/system/recorded",
    r"ptychostream ingest hdf5 .*(--follow|--also-below)": "tests/system/recorded",
    r"ptychostream (sidecar|ingest tiff) ": "needs TIFFs and their log: tests/system/recorded/test_same_scan.py",
    r"ptychostream layout lint my_layout.xml": "the lines of tutorials/your-beamline.md are given for real",
    r"ptychostream repair ": "needs the file of a killed writer: tests/system/recorded/test_repair.py",
}
"""Commands that no test gives as they stand in the docs, and why, or where the like of it is tested."""

SHOWN_AS_TEXT = {
    "docs/tutorials/first-scan.md": "what the demo says: tests/system/project/test_demo.py",
    "docs/tutorials/your-beamline.md": "what the commands say, compared by its own test",
    "docs/how-to/hardware-positions.md": "what the run says: tests/system/live/test_arrays_in_a_file.py",
    "docs/how-to/frames-over-zmq.md": "what check says: tests/system/live/test_check_over_zmq.py",
    "docs/how-to/write-a-profile.md": "what check says: tests/unit/cli/test_cli_check.py",
    "docs/how-to/ingest-tiffs.md": "a log: tests/system/recorded/test_same_scan.py",
    "docs/reference/iocsim.md": "a file of faults: test_docs.py reads it",
    "docs/how-to/web-page.md": "the settings of a reverse proxy",
    "docs/explanation/performance.md": "a drawing",
}
"""Pages with blocks that are no code, and what they are."""


@dataclass(frozen=True)
class Block:
    """A fenced block of code, with indentation of lists taken off."""

    page: Path
    line: int
    language: str
    text: str
    is_run: bool

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command that a page tells to give."""

    block: Block
    line: str
    """Without the prompt and the remark behind it."""

    def __str__(self) -> str:
        return f"{self.block}-{self.line[:40]}"

    @property
    def why_not_given(self) -> str | None:
        """Where it is tested, or why not; None: it is given for real."""
        page = name_of(self.block.page)
        if page in FOLLOWED:
            return f"{FOLLOWED[page]} follows the page"
        if page == EXAMPLES_OF_HELP:
            return "an example of --help"
        return next((why for pattern, why in NOT_GIVEN.items() if re.match(pattern, self.line)), None)


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def all_blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, those without a language, too."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start, indent, info = 0, 0, ""
    for number, line in enumerate(lines):
        if not line.strip().startswith("```"):
            continue
        if not start:
            start, indent, info = number + 1, len(line) - len(line.lstrip()), line.strip().removeprefix("```")
            continue
        before = " ".join(lines[max(0, start - 3) : start - 1])
        text = "\n".join(row[indent:] for row in lines[start:number])
        yield Block(page, start, info.split(" ")[0], text, NOT_RUN not in before)
        start = 0


def blocks(page: Path, language: str) -> Iterator[Block]:
    """Those in this language."""
    return (block for block in all_blocks(page) if block.language == language)


def commands() -> Iterator[Command]:
    """Every command of every page."""
    for page in PAGES:
        for block in blocks(page, "console"):
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    yield Command(block, line[2:].partition("  #")[0].strip())
