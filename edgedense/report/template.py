"""Pages from the templates in `templates/`, which a web developer can open: text and layout stand there, values come
from here.

A page is one file that needs nothing else: no network, no script, no font.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **content: Any) -> str:
    """The text of `templates/TEMPLATE` with `content` filled in.

    Every value is escaped: names of classes, files and layers come from folders that others may have named. A value
    that a template needs and does not get raises jinja2.UndefinedError, which is a defect.
    """
    return _environment().get_template(template).render(content)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("edgedense.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
