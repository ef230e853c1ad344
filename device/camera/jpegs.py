"""JPEG pictures in a row, as rpicam-vid and network cameras send them, -> one by one."""

from __future__ import annotations

_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # TEM and the restart markers carry no length
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
LARGEST = 64 << 20  # bytes; what has not ended by then is no picture


class JpegSplitter:
    """Feed it bytes as they come; it gives back the pictures that are complete.

    It follows the marker segments (ITU-T T.81, Annex B), so that a thumbnail within a segment does not
    end the picture. What stands between pictures, such as the headers of a multipart stream, is passed
    over.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0  # up to where the current picture has been followed; 0: it has not begun
        self._in_scan = False

    def feed(self, data: bytes) -> list[bytes]:
        """The pictures that `data` completes."""
        self._buffer += data
        pictures = []
        while (end := self._end_of_picture()) is not None:
            pictures.append(bytes(self._buffer[:end]))
            self._restart(end)
        if len(self._buffer) > LARGEST:
            self._restart(len(self._buffer))
        return pictures

    def _restart(self, consumed: int) -> None:
        del self._buffer[:consumed]
        self._position, self._in_scan = 0, False

    def _end_of_picture(self) -> int | None:
        """The length of the picture at the buffer's start, or None when it is not complete yet."""
        if not self._position and not self._begin():
            return None
        while True:
            marker = self._scan_for_marker() if self._in_scan else self._marker()
            if marker is None:
                return None
            code, at = marker
            if code == _EOI:
                return at + 2
            if code in _STANDALONE:
                self._position = at + 2
                continue
            if len(self._buffer) < at + 4:
                return None
            length = int.from_bytes(self._buffer[at + 2 : at + 4], "big")
            self._position, self._in_scan = at + 2 + length, code == _SOS

    def _begin(self) -> bool:
        """Drop what comes before the next start of a picture."""
        start = self._buffer.find(b"\xff\xd8")
        if start < 0:
            # its last byte may be the first half of a marker
            del self._buffer[: max(0, len(self._buffer) - 1)]
            return False
        del self._buffer[:start]
        self._position = 2
        return True

    def _marker(self) -> tuple[int, int] | None:
        """(code, position) of the marker where a segment must begin; fill bytes may stand before it."""
        at = self._position
        while at + 1 < len(self._buffer) and self._buffer[at] == self._buffer[at + 1] == 0xFF:
            at += 1
        if at + 1 >= len(self._buffer):
            return None
        if self._buffer[at] != 0xFF or self._buffer[at + 1] == _SOI:
            # Damaged, or cut off by the next picture: go on from there. The piece ends as a picture of
            # its own, which then fails to decode and is counted as lost.
            start = self._buffer.find(b"\xff\xd8", 2)
            return (_EOI, start - 2) if start > 0 else (_EOI, len(self._buffer) - 2)
        return self._buffer[at + 1], at

    def _scan_for_marker(self) -> tuple[int, int] | None:
        """(code, position) of the marker that ends the entropy-coded data, in which FF is followed by 00."""
        at = self._position
        while True:
            at = self._buffer.find(b"\xff", at)
            if at < 0 or at + 1 >= len(self._buffer):
                self._position = len(self._buffer) if at < 0 else at
                return None
            code = self._buffer[at + 1]
            if code not in (0x00, 0xFF) and code not in _STANDALONE:
                if code == _SOI:
                    return _EOI, at - 2  # cut off by the next picture
                return code, at
            at += 1 if code == 0xFF else 2
