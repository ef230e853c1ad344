from tests.device.conftest import colours, rpicam

__all__ = ["colours", "rpicam"]
