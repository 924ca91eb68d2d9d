"""A Python module in a process of its own, beside this one, that is asked and answers through pipes.

For files from which much is read, bit by bit, in a daemon: what a library does with a damaged one is then no worse than
a sentence. What is written into a pipe waits there: a process whose answer nobody takes goes on no further than a pipe
holds.
"""

from __future__ import annotations

import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from stream_service.processes.limited import KILL_S, LimitedProcessError, limited_environment, reason_of_end
from stream_service.processes.messages import NO_ARRAYS, Arrays, Inbox, Message, Outbox, packed


class PipedProcess:
    """One such process, `python -m module`, which begins with `limit_this_process`. Nothing here waits for longer than
    it says.

    A thread starts it and lives as long: Linux ends a process with the thread that started it.
    """

    def __init__(self, module: str, arguments: Sequence[str], most_bytes: int) -> None:
        """`most_bytes` is the limit of the arrays of one message. Raises `LimitedProcessError` without a free file
        descriptor."""
        try:
            self._from, to = os.pipe()
        except OSError as error:
            raise LimitedProcessError(f"no process can be started that reads it: {error.strerror}") from error
        os.set_blocking(self._from, False)
        self.inbox = Inbox(self._from, most_bytes)
        """What it says."""
        self._questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._is_closed = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""
        """On standard error; known when it has ended."""
        self._failure = ""
        """Why it could not be started."""
        command = [sys.executable, "-P", "-m", module, *arguments]
        kept = command, limited_environment(), to
        self._thread = threading.Thread(target=self._keep, args=kept, name=module, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._failure = f"it cannot be started: {error}"
            os.close(to)

    @property
    def is_running(self) -> bool:
        """False once it has ended, or could not be started."""
        return self._thread.is_alive() and (self._process is None or self._process.poll() is None)

    @property
    def number(self) -> int | None:
        """Of the process; None until it has been started."""
        return None if self._process is None else self._process.pid

    def send(self, facts: Mapping[str, Any], arrays: Arrays = NO_ARRAYS) -> None:
        """Hand over a message; it is copied, and written in the thread."""
        self._questions.put(b"".join(packed(facts, arrays)))

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is something to read, or its end; False if nothing came."""
        poll = select.poll()
        poll.register(self._from, select.POLLIN)
        return bool(poll.poll(timeout_s * 1e3))

    def exit_code(self) -> int | None:
        """Of a process that says nothing any more; None if it could not be started, or does not end."""
        self._let_go()
        return None if self._process is None else self._process.returncode

    def why_ended(self) -> str:
        """The same in words that go behind the name of what it read."""
        return self._failure or reason_of_end(self.exit_code() or 0, self._said)

    def close(self) -> None:
        """End it; one that cannot be ended, since a dead file server holds it, is left to the thread."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        if self._process is not None:
            self._process.kill()
        self._let_go()
        os.close(self._from)

    def _let_go(self) -> None:
        self._questions.put(None)
        if self._thread.is_alive():
            self._thread.join(KILL_S)

    def _keep(self, command: Sequence[str], environment: Mapping[str, str], to: int) -> None:
        with ExitStack() as opened:
            try:
                error = opened.enter_context(tempfile.TemporaryFile())
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=to,
                    stderr=error,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as problem:
                self._failure = f"it cannot be started: {problem.strerror}"
                return
            finally:
                os.close(to)
            self._process = process
            if self._is_closed.is_set():
                process.kill()
            assert process.stdin is not None
            with suppress(OSError):  # its end is told by the end of its output
                while (question := self._questions.get()) is not None:
                    process.stdin.write(question)
                    process.stdin.flush()
            with suppress(OSError):
                process.stdin.close()
            process.wait()
            error.seek(0)
            self._said = error.read()


def outbox() -> Outbox:
    """In the process: for its answers. What a library prints on standard output goes to standard error from now on."""
    fd = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return Outbox(fd)


def questions(most_bytes: int) -> Iterator[Message]:
    """In the process: the questions, until no more can come; `most_bytes` is the limit of the arrays of one."""
    inbox = Inbox(sys.stdin.fileno(), most_bytes)
    while True:
        try:
            question = inbox.next()
        except EOFError:
            return
        assert question is not None, "standard input is blocking"
        yield question
