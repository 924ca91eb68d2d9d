"""A disk that takes nothing any more, not even the end of the run: what was flushed stays, the next run goes well."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scripted_run import Bench, frames

from stream_service.core.run import EndReason, RunState
from stream_service.standard_file.schema.columns import GrowingColumn
from stream_service.standard_file.write.fixed_datasets import FixedDatasets
from stream_service.standard_file.write.guarded_file import GuardedFile

WRITES = {
    GrowingColumn: ("_write", "_extend", "write_chunks"),
    FixedDatasets: ("write", "replace", "replace_text"),
    GuardedFile: ("reserve",),
}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EDQUOT, "your quota on this disk is used up"),
        (errno.EROFS, "this file system is read-only"),
        (errno.EIO, "the disk reports an I/O error"),
    ],
)
@pytest.mark.parametrize("has_foresight", [True, False])
def test_rows_so_far_can_be_read_and_the_reason_is_said(
    tmp_path: Path, number: int, words: str, has_foresight: bool
) -> None:
    b = Bench(tmp_path, n_positions=6)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:

        def dies() -> None:
            for kind, names in WRITES.items():
                for name in names:
                    if has_foresight or kind is not GuardedFile:
                        patch.setattr(kind, name, refuse)

        run = b.play(frames([1, 2]), b.settles(), b.file_is_written, dies, frames([3, 4]), b.exposed(6), b.settles())
    assert (run.state, run.status().end_reason) == (RunState.FAILED, EndReason.FAILED)
    assert "could not write" in run.message and words in run.message
    assert "2 of 6 frames stored in 2 rows, 4 lost (missing ids: 3-6)" in run.message
    with h5py.File(run.setup.path, "r", swmr=True) as file:
        assert np.count_nonzero(file["/entry/live/key_data"][()]) == 2
        assert file["/entry/frames/unique_id"][:2, 0].tolist() == [1, 2]
    (tmp_path / "next").mkdir()
    following = Bench(tmp_path / "next", n_positions=2).play(frames([1, 2]))
    assert following.state is RunState.COMPLETE, following.message
