"""Claims about the detector without a network; the rest is promised by the plans' system tests."""

import pytest
from ophyd.areadetector.cam import EigerDetectorCam
from ophyd.sim import make_fake_device

from ptychostream_devices import DetectorSetup, PtychoDetector


def test_detector_takes_any_camera_class():
    eiger = PtychoDetector.with_cam(EigerDetectorCam, "cam2:")
    assert issubclass(eiger, PtychoDetector)
    assert (eiger.cam.cls, eiger.cam.suffix) == (EigerDetectorCam, "cam2:")
    assert PtychoDetector.cam.suffix == "cam1:"


def test_setup_is_a_value():
    setup = DetectorSetup(exposure_s=0.01)
    assert setup == DetectorSetup(0.01, 1, None, "")
    with pytest.raises(AttributeError):
        setup.exposure_s = 1.0  # type: ignore[misc]


def test_zmq_plugin_is_watched_like_the_others(tmp_path):
    with_zmq = PtychoDetector.with_zmq()
    assert with_zmq.zmq.suffix == "ZMQ1:" and "zmq" not in PtychoDetector.component_names
    detector = make_fake_device(with_zmq)("FAKE:", name="detector", write_path_template=str(tmp_path))
    for plugin in (detector.hdf, detector.pva, detector.stats, detector.zmq):
        plugin.dropped_arrays.sim_put(0)
    detector.zmq.dropped_output_arrays.sim_put(5)
    detector.hdf.write_status.sim_put(0)
    detector._dropped_before = detector._dropped()
    assert detector.failure() == ""
    detector.zmq.dropped_output_arrays.sim_put(12)  # no peer took them
    assert "dropped arrays since the scan began (FAKE:ZMQ1: (output) 7): the scan has holes" in detector.failure()
