"""Writes docs/api.md out of the public names' signatures, types and docstrings: `make docs`."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import edgedense

PAGE = Path(__file__).with_name("api.md")
WIDTH = 100  # characters of a signature on one line
HEAD = """# The Python functions

`import edgedense` offers the names below and no others; each is loaded when it is first asked for. This page is written
out of the docstrings by `make docs`. [python.md](python.md) shows how the functions are used together.

What a user can mend is an `EdgedenseError`: it says what was expected, what was found, and what to try. Where it names
an option of the command line, such as `--max-drop`, the keyword is `max_drop`.
"""
# What the names of types in signatures stand for.
TYPES = {
    "PictureLike": "edgedense.images.pictures",
    "PicturesLike": "edgedense.images.pictures",
    "LabelledLike": "edgedense.images.pictures",
    "Label": "edgedense.images.pictures",
    "Uncertain": "edgedense.images.tables",
    "Kind": "edgedense.images.tables",
    "CalibrationLike": "edgedense.converters.calibration.pictures",
    "Progress": "edgedense.progress",
    "LayerNoise": "edgedense.measures.layer_noise",
    "Pixels": "edgedense.images.decoding",
    "Floats": "edgedense.images.preprocessing",
    "Normalization": "edgedense.images.preprocessing",
    "Fit": "edgedense.images.fitting",
    "Method": "edgedense.images.resampling",
    "Resize": "edgedense.images.resizing",
    "Exif": "edgedense.images.decoding",
    "Depth": "edgedense.images.depth",
    "ChosenDepth": "edgedense.images.depth",
    "Size": "edgedense.images.steps",
    "Colour": "edgedense.images.steps",
    "Between": "edgedense.converters.opening",
    "Ending": "edgedense.converters.opening",
}


def page() -> str:
    """The whole page."""
    links = " · ".join(f"[{name}](#{name.lower()})" for name in edgedense.__all__)
    parts = [HEAD, f"{links}\n"]
    for name in edgedense.__all__:
        found = getattr(edgedense, name)
        parts += [f"## {name}\n", *(_of_class(name, found) if inspect.isclass(found) else _of_function(name, found))]
    parts.append("## Parts of results\n\nThey come with the results above, and are made by nobody else.\n")
    for found in _parts(getattr(edgedense, name) for name in edgedense.__all__):
        parts += [f"### {found.__name__}\n", *_of_class(found.__name__, found)]
    kinds = "\n".join(_definition(name, module) for name, module in TYPES.items())
    return "\n".join([*parts, "## Types\n\nWhat the names in signatures stand for.\n", _code(kinds)])


def _parts(public: Iterable[Any]) -> list[type]:
    """The dataclasses and named tuples that public classes hold or give, and those that these hold or give."""
    known = list(public)
    found: list[type] = []
    for one in known:
        if inspect.isclass(one):
            inner = [kind for hint in _hints(one) for kind in _dataclasses(hint)]
            found += [kind for kind in dict.fromkeys(inner) if kind not in known]
            known += [kind for kind in inner if kind not in known]
    return found


def _hints(found: type) -> list[Any]:
    """The types of a class's fields, and of what its public methods and properties return."""
    methods = [_called(member) for key, member in vars(found).items() if not key.startswith("_")]
    given = [typing.get_type_hints(method).get("return") for method in methods if method is not None]
    return [*typing.get_type_hints(found).values(), *given]


def _dataclasses(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and (is_dataclass(hint) or _is_named_tuple(hint)):
        yield hint
    for part in typing.get_args(hint):
        yield from _dataclasses(part)


def _definition(name: str, module: str) -> str:
    """`name = ...` as it stands in the module, or in the one that the module has it from."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            (target,) = node.targets if isinstance(node, ast.Assign) else (node.target,)
            if ast.unparse(target) == name:
                return f"{name} = {ast.unparse(node.value)}"
        if isinstance(node, ast.ImportFrom) and name in (alias.name for alias in node.names):
            return _definition(name, str(node.module))
    raise LookupError(f"{module} does not define {name}")


def _of_function(name: str, function: Any) -> Iterator[str]:
    yield _code(_signature(name, function))
    yield _text(function)


def _of_class(name: str, found: type) -> Iterator[str]:
    """How an object is made where a program makes it, what it is, and its fields, properties and methods."""
    if not is_dataclass(found) and not _is_named_tuple(found):
        yield _code(_signature(name, vars(found).get("__init__", found.__init__)))  # type: ignore[misc]
    yield _text(found)
    if is_dataclass(found):
        hints = typing.get_type_hints(found, include_extras=True)
        yield "\n".join(_field(field, hints[field.name]) for field in fields(found)) + "\n"
    if _is_named_tuple(found):
        yield "\n".join(f"- `{field}: {_plain(kind)}`" for field, kind in typing.get_type_hints(found).items()) + "\n"
    for key, member in vars(found).items():
        called = _called(member)
        if called is not None and not key.startswith("_"):
            yield f"### {name}.{key}\n"
            is_value = isinstance(member, property | cached_property)
            yield _code(f"{key}: {called.__annotations__['return']}" if is_value else _signature(key, called))
            yield _text(called)


def _is_named_tuple(found: type) -> bool:
    return issubclass(found, tuple) and hasattr(found, "_fields")


def _called(member: Any) -> Any:
    """The function behind a method or a property; None behind anything else."""
    if isinstance(member, property):
        return member.fget
    member = getattr(member, "func", getattr(member, "__func__", member))
    return member if inspect.isfunction(member) else None


def _signature(name: str, function: Any) -> str:
    """As it stands in the code, with a line for each parameter where one line would be too long."""
    signature = inspect.signature(function)
    parameters: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parameters:
            parameters.append("*")
        parameters.append(str(parameter.replace(annotation=_Bare(parameter.annotation))).replace("\n", " "))
    returned = "" if name[0].isupper() else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(parameters)}){returned}"
    return line if len(line) <= WIDTH else f"{name}(\n    " + ",\n    ".join(parameters) + f",\n){returned}"


class _Bare:
    """An annotation that is text already, shown without quotation marks."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _field(field: Field[Any], hint: Any) -> str:
    """A line on a dataclass's field: its name, type, default, and what it is for where the field says it."""
    extras = getattr(hint, "__metadata__", ())
    kind = _plain(hint.__origin__) if extras else str(field.type)
    default = field.default if field.default_factory is MISSING else field.default_factory()
    value = f"{type(default).__name__}()" if is_dataclass(default) else repr(default)
    told = "".join(f": {extra.help}" + (f" ({extra.limits})" if extra.limits else "") for extra in extras)
    return f"- `{field.name}: {kind}" + ("" if default is MISSING else f" = {value}") + f"`{told}"


def _plain(hint: Any) -> str:
    """A type as one would write it: without the modules of its parts."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    if typing.get_origin(hint) is typing.Union:
        return " | ".join("None" if part is type(None) else _plain(part) for part in typing.get_args(hint))
    text = str(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) else repr(hint)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])", "", text)


def _text(found: Any) -> str:
    """The docstring; what is raised stands out."""
    return re.sub(r"^Raises ", "**Raises** ", inspect.getdoc(found) or "", flags=re.MULTILINE) + "\n"


def _code(text: str) -> str:
    return f"```text\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
