"""`edgedense web`."""

from __future__ import annotations

import datetime
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgedense.cli.options import DeployedFile, OwnLabels
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag
from edgedense.hosts import is_loopback

if TYPE_CHECKING:
    from segno import QRCode

    from edgedense.device.preview.address import Address
    from edgedense.website.site import Site

SHOWING = "Show it on the local network"
USUAL = ":8443"
_SERVED = """{url}

{who} The browser does not know the certificate,
and asks whether to go on. Its SHA-256 fingerprint, for comparison:
{fingerprint}

Whoever opens the page gets the model too. Ctrl+C ends."""
_PHONE = "Open it on a phone in the same network, or scan the code."
_ALONE = "This machine alone can open it."

Out = Annotated[
    Path | None,
    Flag(
        "The folder to write, for any web server. One that edgedense web has made is replaced, any other is left as it "
        "is. With --single-file it is the page to write.",
        metavar="FOLDER|FILE",
        writes="folder",
    ),
]
SingleFile = Annotated[
    bool,
    Flag(
        "Write one HTML page with everything in it, which opens without a server. A phone cannot install it.",
        needs=("--out",),
    ),
]
Title = Annotated[str | None, Flag("What the page is called.", usual="the model's name")]
Threshold = Annotated[
    float | None,
    Flag(
        "When a class counts as seen, in place of the file's own thresholds, as for edgedense run.",
        metavar="SCORE",
        minimum=0,
        maximum=1,
    ),
]
Runtime = Annotated[
    Path | None,
    Flag(
        "The npm package that runs the model in the browser, as `npm pack` writes it, for machines without npm or a "
        "network. By default npm brings it once.",
        reads="file",
    ),
]
Serve = Annotated[
    bool,
    Flag(
        "Show the site until Ctrl+C, encrypted (HTTPS), because browsers give the camera to such pages alone. The "
        "certificate is made here, and a phone asks once whether to take it.",
        panel=SHOWING,
    ),
]
ServeAddress = Annotated[
    str | None,
    Flag(
        "Where it is shown.",
        panel=SHOWING,
        metavar="HOST:PORT",
        usual=f"{USUAL}, on every interface",
        needs=("--serve",),
    ),
]


def web(
    model: DeployedFile,
    *,
    out: Out = None,
    single_file: SingleFile = False,
    title: Title = None,
    labels: OwnLabels = None,
    threshold: Threshold = None,
    runtime: Runtime = None,
    serve: Serve = False,
    address: ServeAddress = None,
) -> None:
    """Make a site that classifies in the browser: a phone's camera, or pictures that are chosen there.

    No picture leaves the phone, and once opened the page works without a network. The folder can be put on any web
    server.
    """
    import edgedense

    _check(out, single_file, serve)
    where = _address(address) if serve else None
    site = edgedense.web(model, title=title, labels=labels, threshold=threshold, runtime=runtime)
    if out is not None and single_file:
        _write_page(site, out)
    elif out is not None:
        site.save(out)
        print(f"{out}: {site.size / 1e6:.1f} MB in {len(site.files)} files")
    if where is not None:
        _serve(site, where)


def _check(out: Path | None, single_file: bool, serve: bool) -> None:
    """Raise EdgedenseError now, and not when the work is done, for what cannot be written or served."""
    from edgedense.files import check_writable
    from edgedense.website import folder

    if out is None and not serve:
        raise EdgedenseError("where the site goes", "neither --out nor --serve", "--out site, or --serve")
    if single_file and serve:
        raise EdgedenseError("--serve, or --single-file", "both", "leave --single-file out: a server shows the folder")
    if out is None:
        return
    if not single_file:
        folder.check(Path.cwd() / out)
        return
    if out.suffix != ".html":
        raise EdgedenseError("--out FILE.html with --single-file", str(out), f"--out {out.with_suffix('.html')}")
    check_writable(out)


def _write_page(site: Site, out: Path) -> None:
    from edgedense.files import write_atomically

    page = site.to_html().encode()
    write_atomically(out, page)
    print(f"{out}: {len(page) / 1e6:.1f} MB")


def _address(text: str | None) -> Address:
    from edgedense.device.preview.address import parse_address

    return parse_address(text or USUAL, "--address", "192.168.1.20:8443")


def _serve(site: Site, where: Address) -> None:
    """Show the site until Ctrl+C."""
    from edgedense.website.runtime import missing_extra

    try:
        import segno

        from edgedense.website import certificate
        from edgedense.website.server import SiteServer
    except ImportError as error:
        raise missing_extra(error) from error
    names = certificate.names_of_this_machine()
    given = () if where.is_everywhere else (where.host,)
    made = certificate.certificate(certificate.folder(), (*given, *names), datetime.datetime.now(datetime.timezone.utc))
    server = SiteServer(site.files, where, made, names[0])
    server.start()
    try:
        is_alone = is_loopback(where.host)
        if not is_alone:
            _print_code(segno.make(server.url))
        who = _ALONE if is_alone else _PHONE
        print(_SERVED.format(url=server.url, who=who, fingerprint=made.fingerprint), flush=True)
        server.wait()
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    finally:
        server.stop()


def _print_code(code: QRCode) -> None:
    """Light on dark whatever the terminal's colours are; nothing in a terminal that has no block characters."""
    from rich.console import Console
    from rich.text import Text

    console, text = Console(), io.StringIO()
    if not console.options.ascii_only:
        code.terminal(text, compact=True)
        console.print(Text(text.getvalue(), style="bright_white on black"), soft_wrap=True)
