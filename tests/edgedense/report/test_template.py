"""Templates: what comes in is escaped, what is missing is a defect, and no template goes round either."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest

from edgedense.report import template
from edgedense.report.plots import layer_profile
from edgedense.report.template import render

SAID: dict[str, Any] = {"noise_verdict": "", "noisiest": [], "compared_with": ""}
FOLDER = Path(template.__file__).parent / "templates"


def test_values_are_escaped_and_what_templates_hold_is_not() -> None:
    page = render("benchmark.svg", title="<script>'\"&", title_lines=[], top=0, names=[], panels=[], height=1)
    assert "&lt;script&gt;&#39;&#34;&amp;" in page
    assert page.startswith("<svg xmlns")


def test_what_a_template_includes_is_not_escaped() -> None:
    page = render("noise.html", title="a<b", layers=[("<c>", "1.0")], noise_plot=layer_profile([]), **SAID)
    assert "<title>a&lt;b</title>" in page
    assert '<th scope="row">&lt;c&gt;</th>' in page
    assert "font: 16px/1.5 system-ui, sans-serif;" in page


def test_a_missing_value_is_a_defect() -> None:
    with pytest.raises(jinja2.UndefinedError, match="height"):
        render("benchmark.svg", title="", title_lines=[], top=0, names=[], panels=[])


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_template_turns_escaping_off_or_fetches_anything(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\|\s*safe|autoescape|Markup", text)
    assert not re.search(r"<script|@import|url\(|<link|\bon[a-z]+=", text)
    assert re.findall(r"https?://\S+?\"", text) in ([], ['http://www.w3.org/2000/svg"'])
