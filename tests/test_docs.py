"""The documents' commands run: each page of docs/ and the README, on a small model that has the names used there.

A block that begins with ```console is run: every line behind a `$`. A block that begins with ```sh needs a camera, root
or the package index; there each `edgedense` line must at least be understood by the command line. A block that begins
with ```python is executed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.converters.training import train
from tests import models
from tests.converters.training.conftest import SMALL
from tests.edgedense.test_cli import COMMANDS, edgedense
from tests.pictures import picture

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LENGTH = 150  # lines that the README may have


def blocks(page: Path, kind: str) -> list[str]:
    """The blocks of a kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The words of each `edgedense` command that is run."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    words = [shlex.split(line[2:]) for line in lines]
    assert all(first == "edgedense" for first, *_ in words), page
    return [rest for _, *rest in words]


def shown(page: Path) -> Iterator[list[str]]:
    """The words of each `edgedense` command that is only shown: in ```sh blocks, and in indented ones."""
    indented = [line for line in page.read_text("utf-8").splitlines() if line.startswith("    ")]
    text = "\n".join([*blocks(page, "sh"), *indented]).replace("\\\n", " ")
    for line in text.splitlines():
        found = re.match(r"\s*(?:sudo )?(?:\S*/|\"\$\(command -v )?edgedense(?:\)\")? (.*)", line)
        if found:
            yield shlex.split(found.group(1), comments=True)


def save(path: Path, random: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(random).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documents speak of: a small model of ten digits, and smooth pictures."""
    folder = tmp_path_factory.mktemp("docs")
    deep = models.densenet(
        body=lambda keras, x: models.body(keras, x, (4, 4), 16),  # deep enough for 60 % of it to be cut
        head=lambda keras, x: models.softmax_head(keras, x, 10),
    )
    deep.save(folder / "digits.keras")
    (folder / "labels.txt").write_text("".join(f"{i}\n" for i in range(10)))
    names = [f"photos/{name}.jpg" for name in ("0280", "0312", "0703", "0911")]
    names += [f"calibration/{number:04}.jpg" for number in range(24)]
    names += [
        f"{part}/{label}/{number:04}.jpg" for part in ("test", "train") for label in range(10) for number in (1, 2)
    ]
    names += [f"mri/{label}/{number:04}.jpg" for label in ("glioma", "no_tumor") for number in range(12)]
    random = np.random.default_rng(0)
    for name in names:
        save(folder / name, random)
    for name in ("photo_masks/0280_mask.png", *(f"masks/{label}/0001.png" for label in range(10))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.tri(50, 60, dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network is trained in the place of DenseNet121."""
    monkeypatch.setattr(train, "DENSENET", SMALL)


@pytest.mark.xdist_group("docs")  # the README makes the files that other pages speak of
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_what_a_page_says_can_be_typed(page: Path, place: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` may find a problem on this machine: its exit code is 1 then."""
    monkeypatch.chdir(place)
    for words in commands(page):
        ended = edgedense(*words)
        assert ended.code in ((0, 1) if words[0] == "doctor" else (0,)), (words, ended.err)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_understood(page: Path) -> None:
    for words in shown(page):
        command, rest = COMMANDS.get(words[0]), words[1:]
        assert command is not None, words
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[0], list(rest))


def test_that_a_wrong_command_is_not_understood(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nedgedense run m.tflite --sharpen\n```\n")
    (words,) = shown(page)
    with pytest.raises(Exception, match=r"No such option.*--sharpen"):
        COMMANDS["run"].make_context("run", words[1:])


@pytest.mark.slow
def test_python_on_a_page_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    edgedense(
        "convert", "digits.keras", "--calibration", "calibration", "--labels", "labels.txt", "--out", "digits.tflite"
    )
    found = [block for page in PAGES for block in blocks(page, "python")]
    assert found
    for block in found:
        exec(block, {})


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= LENGTH


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)#]+\.md)[^)]*\)", page.read_text("utf-8")):
            waiting.append((page.parent / target).resolve())
    assert set(PAGES) <= reached
