from tests.device.conftest import colours, explained_colours, rpicam

__all__ = ["colours", "explained_colours", "rpicam"]
