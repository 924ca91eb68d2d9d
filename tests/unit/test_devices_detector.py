"""What can be said of the detector without a network; the rest is promised by the plans' system tests."""

import pytest
from ophyd.areadetector.cam import EigerDetectorCam

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
