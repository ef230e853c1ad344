"""A site as one HTML page with everything inside: it opens from a folder or an e-mail, without a server.

Each file that the page reads is an element of its own, a block of data in base64; web/src/files.ts finds it there.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping

from edgedense.errors import EdgedenseError
from edgedense.website.site import RUNTIME, SITE

LARGEST = 60_000_000  # bytes; a page is read into memory as a whole, and a phone has little
_TYPE = "application/octet-stream+base64"
_WORKER = "worker.js"
_READ_AT_ONCE = (SITE, _WORKER)
_THREADED = "threaded"  # a page without a server is never isolated from others, as threads want it


def to_html(files: Mapping[str, bytes]) -> str:
    """The page of a site with these `files`, content by path. Raises EdgedenseError where it is larger than LARGEST."""
    carried = _carried(files)
    style, script = files["style.css"].decode(), _in_an_element(files["app.js"].decode())
    page = files["index.html"].decode()
    page = _policy(page, style, script)
    page = _replaced(page, r'<link rel="stylesheet" href="style\.css">', f"<style>{style}</style>")
    page = _replaced(page, r'<link rel="manifest"[^>]*>\n', "")
    page = _replaced(page, r'<link rel="apple-touch-icon"[^>]*>\n', "")
    page = _replaced(page, r'href="icon\.svg"', f'href="data:image/svg+xml;base64,{_base64(files["icon.svg"])}"')
    page = _replaced(page, r'<script src="app\.js" defer></script>\n', "")
    blocks = [_block(path, data) for path, data in carried.items()]
    page = _replaced(page, r"</body>", "\n".join([*blocks, f"<script>{script}</script>", "</body>"]))
    if (size := len(page.encode())) > LARGEST:
        raise EdgedenseError(
            f"a single file of at most {LARGEST / 1e6:g} MB", f"{size / 1e6:.1f} MB", "--out FOLDER, for a web server"
        )
    return page


def _carried(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the page reads when it runs. Its site.json names these files alone."""
    told = json.loads(files[SITE])
    wanted = {told["model"]["path"], _WORKER}
    wanted |= {told["golden"]["inputs"]["path"]} if told["golden"] else set()
    wanted |= {path for path in files if path.startswith(RUNTIME) and _THREADED not in path}
    told["files"] = [entry for entry in told["files"] if entry["path"] in wanted]
    return {SITE: json.dumps(told, ensure_ascii=False).encode(), **{path: files[path] for path in sorted(wanted)}}


def _block(path: str, data: bytes) -> str:
    """A file as an element. site.json and the worker's script are read at once, without being unpacked."""
    small = gzip.compress(data, compresslevel=6, mtime=0)
    is_packed = path not in _READ_AT_ONCE and len(small) < len(data)
    attributes = f'type="{_TYPE}" id="{path}"' + (' data-packed="gzip"' if is_packed else "")
    return f"<script {attributes}>{_base64(small if is_packed else data)}</script>"


def _policy(page: str, style: str, script: str) -> str:
    """The page's Content Security Policy, which allows its own style and script by their SHA-256."""
    page = _replaced(page, r"script-src 'self'", f"script-src {_hash(script)}")
    return _replaced(page, r"style-src 'self'", f"style-src {_hash(style)}")


def _hash(text: str) -> str:
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"


def _in_an_element(script: str) -> str:
    """JavaScript that an HTML page may hold: these two would end the element, and mean the same in a string."""
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _replaced(page: str, pattern: str, by: str) -> str:
    """`page` with the one place that fits `pattern` replaced."""
    found, count = re.subn(pattern, lambda _: by, page)
    assert count == 1, f"{count} places in index.html for {pattern}"
    return found
