"""A small RTSP camera on loopback: one JPEG, again and again, as RTP within the RTSP connection (RFC 2326, 2435)."""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLOCK = 90_000  # RTP's clock for JPEG, in Hz
_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=card\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track\r\n"


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of each segment; the scan's content is its entropy-coded data."""
    at = 2
    while True:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker == 0xDA:
            yield marker, jpeg[at + 2 + length : -2]
            return
        yield marker, jpeg[at + 4 : at + 2 + length]
        at += 2 + length


def _packets(jpeg: bytes, width: int, height: int, number: int, timestamp: int) -> Iterator[bytes]:
    """The picture's RTP packets. It must be a baseline JPEG with 4:2:0 chroma and the standard Huffman tables."""
    tables, scan = b"", b""
    for marker, content in _segments(jpeg):
        if marker == 0xDB:
            tables += b"".join(content[i + 1 : i + 65] for i in range(0, len(content), 65))
        elif marker == 0xDA:
            scan = content
    for start in range(0, len(scan), 1200):
        part = scan[start : start + 1200]
        is_last = start + len(part) == len(scan)
        head = struct.pack(">BBHII", 0x80, 26 | (0x80 if is_last else 0), number & 0xFFFF, timestamp & 0xFFFFFFFF, 1)
        picture = struct.pack(">IBBBB", start, 1, 255, width // 8, height // 8)
        quantization = struct.pack(">BBH", 0, 0, len(tables)) + tables if start == 0 else b""
        yield head + picture + quantization + part
        number += 1


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        playing = threading.Event()
        while request := self._request():
            method, url, number = request
            answer = {
                "OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Base: {url}/\r\nContent-Length: {len(_SDP)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
            }.get(method, "")
            body = _SDP if method == "DESCRIBE" else ""
            self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n{answer}\r\n{body}".encode())
            if method == "PLAY" and not playing.is_set():
                playing.set()
                threading.Thread(target=self._play, daemon=True).start()

    def _request(self) -> tuple[str, str, str] | None:
        """(method, URL, number), or None when the reader has gone."""
        try:
            first = self.rfile.readline()
            while first[:1] == b"$":  # the reader's own reports
                first = self.rfile.readline()
            headers = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.decode(errors="replace").partition(":")
                headers[name.lower()] = value.strip()
        except OSError:
            return None
        words = first.decode(errors="replace").split()
        return (words[0], words[1].rstrip("/"), headers.get("cseq", "0")) if len(words) > 1 else None

    def _play(self) -> None:
        number, started = 0, time.monotonic()
        try:
            while True:
                jpeg, width, height = self.server.card  # type: ignore[attr-defined]
                for packet in _packets(jpeg, width, height, number, int((time.monotonic() - started) * _CLOCK)):
                    self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)
                    number += 1
                time.sleep(1 / 30)
        except (OSError, ValueError):
            return


@contextmanager
def rtsp_camera(jpeg: bytes, width: int, height: int) -> Iterator[tuple[str, Callable[[bytes, int, int], None]]]:
    """(the address of a camera that shows `jpeg`, what makes it show another picture)."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Connection) as server:

        def show(jpeg: bytes, width: int, height: int) -> None:
            server.card = jpeg, width, height  # type: ignore[attr-defined]

        show(jpeg, width, height)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/card", show
        server.shutdown()
