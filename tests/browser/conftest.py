from tests.device.conftest import colours, explained_colours, findings, rpicam

__all__ = ["colours", "explained_colours", "findings", "rpicam"]
