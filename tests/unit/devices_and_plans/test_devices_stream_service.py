"""Promises of the service device to a plan, against PVs in memory: no network, no waiting, every order forced."""

import threading

import h5py
import pytest
from bluesky import protocols
from event_model import DocumentNames, schema_validators
from limits import HANG_S
from memory_pvs import REQUEST, MemoryPVs

from ptychostream_devices.status import JobStatus
from ptychostream_devices.stream_service_device import StreamServiceDevice, StreamServiceError
from stream_service.settings.request import ScanRequest


@pytest.fixture
def pvs() -> MemoryPVs:
    return MemoryPVs()


@pytest.fixture
def device(pvs: MemoryPVs) -> StreamServiceDevice:
    return StreamServiceDevice(name="stream", pvs=pvs, arm_timeout_s=0, quiet_s=0, end_timeout_s=0, return_timeout_s=0)


def outcome(status: JobStatus) -> BaseException | None:
    return status.exception(HANG_S)


def sentence(status: JobStatus) -> str:
    error = outcome(status)
    assert isinstance(error, StreamServiceError)
    return str(error)


def armed(device: StreamServiceDevice, request: ScanRequest = REQUEST) -> StreamServiceDevice:
    device.stage().wait(HANG_S)
    device.prepare(request).wait(HANG_S)
    return device


@pytest.mark.parametrize(
    "protocol",
    ["Stageable", "Preparable", "Flyable", "Readable", "Collectable", "WritesStreamAssets", "HasName", "HasParent"],
)
def test_device_follows_the_protocol(device, protocol):
    assert isinstance(device, getattr(protocols, protocol))


def test_its_statuses_are_bluesky_statuses(device):
    assert isinstance(device.stage(), protocols.Status)


def test_service_that_does_not_answer_fails_staging(device, pvs):
    pvs.is_served = False
    assert isinstance(outcome(device.stage()), TimeoutError)


def test_arming_hands_over_the_request_before_the_command(device, pvs):
    armed(device)
    assert pvs.puts == [("Request", REQUEST.model_dump_json()), ("Arm", 1)]


def test_refusal_is_told_in_the_services_own_words(device, pvs):
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1, ArmError="the disk is full", Message="idle") or pvs.say(Arm=0)
    device.stage().wait(HANG_S)
    assert sentence(device.prepare(REQUEST)) == "the disk is full"


def test_service_that_dies_while_it_arms_is_told_at_once(pvs):
    device = StreamServiceDevice(name="stream", pvs=pvs, arm_timeout_s=HANG_S + 60)
    device.stage().wait(HANG_S)

    def die(_):
        pvs.is_connected = False
        pvs.say(Arm=1)

    pvs.answers["Arm"] = die
    assert "went away while it was arming for scan scan_1" in sentence(device.prepare(REQUEST))


def test_error_of_an_earlier_arming_does_not_fail_a_good_one(device, pvs):
    pvs.connect(0)
    pvs.say(ArmError="an old reason")
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1, RunNumber=1, ScanId="scan_1", State="ARMED") or pvs.say(Arm=0)
    assert outcome(device.prepare(REQUEST)) is None


def test_state_left_over_from_the_last_run_is_not_taken_for_armed(device, pvs):
    pvs.connect(0)
    pvs.say(RunNumber=7, ScanId="scan_1", State="COMPLETE")
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1) or pvs.say(Arm=0, RunNumber=8)
    assert "State is COMPLETE" in sentence(device.prepare(REQUEST))


def test_service_armed_for_another_scan_is_not_ours(device, pvs):
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1) or pvs.say(Arm=0, RunNumber=1, ScanId="other", State="ARMED")
    device.stage().wait(HANG_S)
    assert "ScanId 'other' instead of 'scan_1'" in sentence(device.prepare(REQUEST))
    device.abort().wait(HANG_S)
    device.unstage().wait(HANG_S)
    assert pvs.commands == ["Arm"]


def test_service_that_goes_on_arming_is_told_with_what_it_says(device, pvs):
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1, Message="waiting for SIM:X.RBV")
    device.stage().wait(HANG_S)
    assert "did not come back to 0 within 0 s (State is IDLE): waiting for SIM:X.RBV" in sentence(
        device.prepare(REQUEST)
    )


def test_arming_that_takes_too_long_is_aborted_and_again_if_it_was_armed_meanwhile(device, pvs):
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1)
    pvs.answers["Abort"] = lambda _: pvs.say(Arm=0, RunNumber=1, ScanId="scan_1", State="ARMED")
    device.stage().wait(HANG_S)
    assert "did not come back to 0" in sentence(device.prepare(REQUEST))
    assert pvs.commands == ["Arm", "Abort", "Abort"]


def test_run_that_arms_after_we_gave_up_is_still_aborted(device, pvs):
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1)
    device.stage().wait(HANG_S)
    assert outcome(device.prepare(REQUEST)) is not None
    pvs.answers["Abort"] = lambda _: pvs.say(State="ABORTED")
    pvs.say(Arm=0, RunNumber=1, ScanId="scan_1", State="ARMED")
    device.abort().wait(HANG_S)
    assert pvs.commands == ["Arm", "Abort", "Abort"]


def give_up(pvs: MemoryPVs) -> None:
    """The service answers Abort: what it was arming leaves no run."""
    pvs.answers["Abort"] = lambda _: pvs.say(ArmError="given up, because Abort was put", Arm=0)


@pytest.mark.parametrize("how", ["abort", "unstage", "stage"])
def test_arming_that_nobody_waits_for_any_more_is_aborted(pvs, how):
    device = StreamServiceDevice(name="stream", pvs=pvs)
    device.stage().wait(HANG_S)
    give_up(pvs)
    is_arming = threading.Event()
    pvs.answers["Arm"] = lambda _: (pvs.say(Arm=1), is_arming.set())
    arming = device.prepare(REQUEST)
    assert is_arming.wait(HANG_S)
    assert outcome(getattr(device, how)()) is None
    assert outcome(arming) is None, "an end that was asked for is no failure"
    assert pvs.commands == ["Arm", "Abort"]
    with pytest.raises(StreamServiceError, match="is not armed"):
        device.kickoff()


def test_next_arming_begins_when_the_one_before_is_given_up(pvs):
    device = StreamServiceDevice(name="stream", pvs=pvs)
    device.stage().wait(HANG_S)
    give_up(pvs)
    is_arming = threading.Event()
    pvs.answers["Arm"] = lambda _: (pvs.say(Arm=1), pvs.answers.pop("Arm"), is_arming.set())
    first = device.prepare(REQUEST)
    assert is_arming.wait(HANG_S)
    pvs.answers["Arm"] = pvs.arm
    assert outcome(device.prepare(REQUEST)) is None
    assert outcome(first) is None
    assert pvs.commands == ["Arm", "Abort", "Arm"]


@pytest.mark.parametrize("state", ["ARMED", "RECEIVING", "DRAINING"])
def test_giving_up_an_arming_aborts_no_run_of_someone_else(device, pvs, state):
    device.stage().wait(HANG_S)
    pvs.say(RunNumber=7, ScanId="their_scan", State=state)
    pvs.answers["Arm"] = lambda _: pvs.say(Arm=1)
    assert "did not come back to 0" in sentence(device.prepare(REQUEST))
    assert pvs.commands == ["Arm"]


def test_kickoff_of_an_unarmed_service_is_refused(device):
    device.stage().wait(HANG_S)
    with pytest.raises(StreamServiceError, match="not armed"):
        device.kickoff()


def test_run_that_ends_by_itself_is_not_stopped(device, pvs):
    armed(device)
    pvs.say(Rows=3, State="COMPLETE")
    assert outcome(device.complete()) is None
    assert "Stop" not in pvs.commands


def test_run_in_which_nothing_more_comes_is_stopped(device, pvs):
    armed(device)
    pvs.answers["Stop"] = lambda _: pvs.say(State="COMPLETE")
    assert outcome(device.complete()) is None
    assert pvs.commands == ["Arm", "Stop"]


@pytest.mark.parametrize("request_", [REQUEST.model_copy(update={"extra_frames": 2}), ScanRequest(scan_id="scan_1")])
def test_run_that_only_stop_can_end_is_stopped_at_once(pvs, request_):
    device = armed(StreamServiceDevice(name="stream", pvs=pvs, quiet_s=HANG_S), request_)
    pvs.answers["Stop"] = lambda _: pvs.say(State="COMPLETE")
    assert outcome(device.complete()) is None


def test_completing_twice_is_the_same_as_once(device, pvs):
    armed(device)
    pvs.say(State="COMPLETE")
    assert outcome(device.complete()) is None
    assert outcome(device.complete()) is None


def test_failed_run_fails_in_the_services_own_words(device, pvs):
    armed(device)
    pvs.say(EndReason="the service could not go on", Message="the disk is full, 3 frames lost", State="FAILED")
    assert sentence(device.complete()) == (
        "scan scan_1 ended FAILED: the service could not go on: the disk is full, 3 frames lost. "
        "File: /data/scan_1_std.h5"
    )


def test_incomplete_run_is_a_warning_in_the_log(device, pvs, caplog):
    armed(device)
    pvs.say(EndReason="stopped", Message="2 of 3 frames stored, 1 lost", State="INCOMPLETE")
    assert outcome(device.complete()) is None
    assert "2 of 3 frames stored, 1 lost" in caplog.text


def test_incomplete_run_is_an_error_when_it_must_be_complete(pvs):
    device = armed(StreamServiceDevice(name="stream", pvs=pvs, quiet_s=0, require_complete=True))
    pvs.say(State="INCOMPLETE")
    assert "INCOMPLETE" in sentence(device.complete())


def test_run_that_does_not_end_is_told_with_its_state(device, pvs):
    armed(device)
    assert "was told to end but is still ARMED" in sentence(device.complete())


def test_service_that_went_away_is_told_with_the_file_so_far(device, pvs):
    armed(device)
    pvs.is_connected = False
    assert "no longer answers; its file so far is /data/scan_1_std.h5" in sentence(device.complete())
    pvs.say(File="")
    assert "no longer answers; its run had no file yet" in sentence(device.complete())


def test_service_that_was_started_again_is_told_once_more_to_end(pvs):
    device = armed(StreamServiceDevice(name="stream", pvs=pvs, end_timeout_s=HANG_S))
    pvs.say(State="RECEIVING")

    def lose(_: int | str) -> None:
        pvs.answers["Abort"] = lambda _: pvs.say(State="ABORTED")
        pvs.is_connected = False
        threading.Timer(0.05, setattr, (pvs, "is_connected", True)).start()

    pvs.answers["Abort"] = lose
    assert outcome(device.abort()) is None
    assert pvs.commands == ["Arm", "Abort", "Abort"]


def test_run_that_nobody_could_end_while_its_service_was_away_is_aborted_before_the_next(device, pvs):
    armed(device)
    pvs.is_connected = pvs.is_served = False
    assert "no longer answers" in sentence(device.abort())
    assert isinstance(outcome(device.stage()), TimeoutError)
    pvs.is_connected = pvs.is_served = True
    pvs.answers["Abort"] = lambda _: pvs.say(State="ABORTED")
    assert outcome(device.stage()) is None
    assert pvs.commands == ["Arm", "Abort", "Abort"] and pvs.text("State") == "ABORTED"


def test_progress_of_completing_reaches_the_watchers(pvs):
    device = armed(StreamServiceDevice(name="stream", pvs=pvs, quiet_s=HANG_S))
    pvs.say(RowsExpected=3)
    status = device.complete()
    seen = []

    def watcher(**progress: object) -> None:
        seen.append((progress["current"], progress["target"], progress["unit"]))
        pvs.say(State="COMPLETE")

    status.watch(watcher)
    pvs.say(Rows=2)
    assert outcome(status) is None
    assert seen == [(2, 3, "rows")]


@pytest.mark.parametrize("state", ["COMPLETE", "INCOMPLETE", "ABORTED", "FAILED"])
def test_run_that_ends_while_the_plan_goes_on_is_seen_by_a_check(device, pvs, state):
    assert outcome(armed(device).check()) is None
    pvs.say(EndReason="the disk is full", State=state)
    assert f"ended {state}: the disk is full" in sentence(device.check())


def test_service_that_went_away_or_to_another_run_is_seen_by_a_check(device, pvs):
    armed(device)
    pvs.is_connected = False
    assert "no longer answers" in sentence(device.check())
    pvs.is_connected = True
    pvs.say(RunNumber=2)
    assert "no longer the newest run" in sentence(device.check())


def test_abort_ends_the_run_and_a_second_abort_does_nothing(device, pvs):
    armed(device)
    pvs.answers["Abort"] = lambda _: pvs.say(State="ABORTED")
    assert outcome(device.abort()) is None
    assert outcome(device.abort()) is None
    assert pvs.commands == ["Arm", "Abort"]


@pytest.mark.parametrize("state", ["COMPLETE", "INCOMPLETE", "ABORTED", "FAILED"])
def test_run_that_has_ended_is_neither_aborted_nor_stopped(device, pvs, state):
    armed(device)
    pvs.say(State=state)
    device.abort().wait(HANG_S)
    device.unstage().wait(HANG_S)
    assert pvs.commands == ["Arm"]


def test_run_of_someone_else_is_left_alone(device, pvs):
    armed(device)
    pvs.say(RunNumber=2, ScanId="their_scan", State="ARMED")
    device.abort().wait(HANG_S)
    device.unstage().wait(HANG_S)
    assert pvs.commands == ["Arm"]


def test_unstaging_stops_a_run_that_still_goes_on(device, pvs):
    armed(device)
    pvs.answers["Stop"] = lambda _: pvs.say(State="INCOMPLETE")
    device.unstage().wait(HANG_S)
    assert pvs.commands == ["Arm", "Stop"]


def test_unstaging_a_device_that_never_connected_does_nothing(device):
    assert device.unstage().done
    assert outcome(device.abort()) is None


def test_reading_has_the_keys_that_describing_says(device, pvs):
    armed(device)
    pvs.say(Rows=3, FramesLost=1)
    reading, description = device.read(), device.describe()
    assert reading.keys() == description.keys()
    assert (reading["stream_rows"]["value"], reading["stream_frames_lost"]["value"]) == (3, 1)
    assert reading["stream_state"]["value"] == "ARMED"
    assert description["stream_state"]["dtype"] == "string"


def stored_file(folder, shape=(3, 4, 5)):
    path = folder / "scan_1_std.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("/entry/data", shape, "f4", chunks=(1, *shape[1:]))
    return str(path)


def test_rows_are_documented_once_each_and_in_order(device, pvs, tmp_path):
    armed(device)
    pvs.say(Rows=2, File=stored_file(tmp_path))
    (key,) = device.describe_collect().values()
    assert (key["shape"], key["dtype_numpy"], key["external"]) == ([1, 4, 5], "<f4", "STREAM:")
    (resource_name, resource), (datum_name, first) = device.collect_asset_docs()
    assert (resource_name, datum_name) == ("stream_resource", "stream_datum")
    assert resource["uri"] == f"file://localhost{tmp_path}/scan_1_std.h5"
    assert resource["parameters"] == {"dataset": "/entry/data", "swmr": True, "chunk_shape": (1, 4, 5)}
    assert list(device.collect_asset_docs()) == []
    pvs.say(Rows=3)
    ((_, second),) = device.collect_asset_docs()
    assert [first["indices"], second["indices"]] == [{"start": 0, "stop": 2}, {"start": 2, "stop": 3}]
    schema_validators[DocumentNames.stream_resource].validate(resource)
    for datum in (first, second):
        schema_validators[DocumentNames.stream_datum].validate(datum)


def test_rows_beyond_the_index_asked_for_wait(device, pvs, tmp_path):
    armed(device)
    pvs.say(Rows=3, File=stored_file(tmp_path))
    device.describe_collect()
    _, (_, datum) = device.collect_asset_docs(1)
    assert datum["indices"] == {"start": 0, "stop": 1}


def test_frame_size_is_unknown_where_the_file_cannot_be_read(device, pvs):
    armed(device)
    pvs.say(Rows=1)
    (key,) = device.describe_collect().values()
    assert key["shape"] == [1, None, None]
    (_, resource), _ = device.collect_asset_docs()
    assert resource["parameters"]["chunk_shape"] == (1,)


def test_device_that_is_only_read_emits_no_stream(device, pvs):
    armed(device)
    pvs.say(Rows=3)
    assert list(device.collect_asset_docs()) == []


def test_job_that_raises_fails_its_status_with_that_error():
    def job(_: JobStatus) -> None:
        raise KeyError("gone")

    status = JobStatus("a job", job)
    assert isinstance(outcome(status), KeyError)
    assert not status.success
    assert "gone" in repr(status)
    with pytest.raises(KeyError):
        status.wait(HANG_S)


def test_callback_added_after_the_end_is_called_at_once():
    called = []
    status = JobStatus("nothing to do", None)
    status.add_callback(called.append)
    assert called == [status]
