"""The start of the command `ptychostream`, which is small.

A command that reads files does its work in a subprocess (`processes/guard.py`).
"""

from __future__ import annotations

import sys

from stream_service.errors import ConfigError

ON_FILES = frozenset(
    (
        *("evaluate", "export", "ingest", "orient", "probe", "recipe", "reconstruct", "repair", "replay", "report"),
        *("sidecar", "validate"),
    )
)
"""Commands that read files in their own process; the daemon and `check` have them read by another one."""


def main() -> None:
    """Entry point. Ctrl-C while modules are still being loaded ends it like later, without a traceback."""
    try:
        if ON_FILES.intersection(sys.argv[1:2]):
            _go_on_in_subprocess()
        from stream_service.cli.main import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)


def _go_on_in_subprocess() -> None:
    """Return in the subprocess only; its parent ends with its exit code, and says what it could not say."""
    from stream_service.processes.guard import CAN_WATCH, guarded, machine_limits

    if not CAN_WATCH:
        return
    try:
        ended = guarded(machine_limits())
        if ended is None:
            return
        code, reason = ended.exit_code, ended.reason
    except ConfigError as error:
        code, reason = 2, str(error)
    if reason:
        _say(reason)
    sys.exit(code)


def _say(reason: str) -> None:
    from rich.text import Text

    from stream_service.text.terminal import errors, show_what_cannot_be_encoded

    show_what_cannot_be_encoded()
    if errors.is_terminal:  # a bar that nobody moves any more has hidden the cursor, in the middle of a line
        errors.show_cursor()
        errors.print()
    errors.print(Text("error:", "red"), reason, soft_wrap=True)


if __name__ == "__main__":
    main()
