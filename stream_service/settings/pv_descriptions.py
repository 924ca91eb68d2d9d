"""Descriptions of the service's PVs that fit into a string of Channel Access, where `DESC` is read."""

from __future__ import annotations

from stream_service.settings.status_table import ServicePV

MOST_CHARACTERS = 39
SHORT = {
    ServicePV.ARM: "put 1: arm for Request",
    ServicePV.REPEAT: "put 1: repeat the positions in Request",
    ServicePV.STOP: "put 1: stop gracefully",
    ServicePV.ABORT: "put 1: end now, keep the rows",
    ServicePV.ARM_ERROR: "why the last Arm or Repeat was refused",
    ServicePV.RUN_NUMBER: "number of the newest run",
    ServicePV.ROWS_EXPECTED: "rows the file should have",
    ServicePV.PERCENT: "rows of those expected",
    ServicePV.SECONDS_LEFT: "time until all expected rows are there",
    ServicePV.LAST_X: "latest row: beam on the sample, x",
    ServicePV.LAST_Y: "latest row: beam on the sample, y",
    ServicePV.LAST_ENERGY: "photon energy of the latest row",
    ServicePV.LAST_TIME: "when the latest row was exposed",
    ServicePV.LAST_INTENSITY: "latest row: sum of the good pixels",
    ServicePV.LATENCY: "frame received to row seen by readers",
    ServicePV.FRAMES_RECEIVED: "frames received",
    ServicePV.FRAMES_BACKFILLED: "frames fetched from the raw file",
    ServicePV.FRAMES_LOST: "frames exposed and not in the file",
    ServicePV.MISSING_IDS: "uniqueIds of the frames lost",
    ServicePV.FRAMES_INCOMPLETE: "frames whose group never filled",
    ServicePV.FRAMES_UNEXPECTED: "unexpected frames, not stored",
    ServicePV.FRAMES_BEFORE_RUN: "frames exposed before the run",
    ServicePV.QUEUE_BYTES: "memory of what waits to be stored",
    ServicePV.MOST_QUEUE_BYTES: "high-water mark of QueueBytes",
    ServicePV.MOST_FRAMES_BYTES: "high-water mark: frames not taken yet",
    ServicePV.MOST_PAIRING_BYTES: "high-water mark: frames to be paired",
    ServicePV.MOST_JUDGING_BYTES: "high-water mark: rows to be judged",
    ServicePV.ROWS_COMPARED: "rows judged with all around them",
    ServicePV.ROWS_REJECTED: "rows rejected for their quality",
    ServicePV.REJECTED_SHARE: "share of the latest 100 rows rejected",
    ServicePV.LAST_SCORE: "score of the latest row, 0 to 1 (bad)",
    ServicePV.LAST_REJECTED: "latest row rejected, and why",
    ServicePV.POSITIONS_LACKING: "positions without a usable row",
    ServicePV.TO_REPEAT: "JSON: what a plan should repeat",
    ServicePV.READBACKS_LOST: "PVs of the profile without a value",
    ServicePV.READBACK_PROBLEM: "which PVs have no value",
    ServicePV.REPORT: "the newest report of a run",
    ServicePV.STANDBY: "1: auto mode, armed for what comes",
    ServicePV.RESUMING: "1: an interrupted run is taken up",
}
"""Of those whose meaning is longer."""


def description_of(pv: ServicePV) -> str:
    """The meaning of a PV in 39 characters at most."""
    return SHORT.get(pv, pv.meaning)
