"""Turns a function with `Flag`s and dataclasses of options into a command: its options, its help, its limits."""

from __future__ import annotations

import functools
import inspect
import keyword
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from edgedense import flags
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag, Option

_METAVARS = {int: "N", float: "NUMBER", str: "TEXT"}
_CONTEXT = "context"  # the name under which a command gets typer's context
_UNBROKEN = "\N{NO-BREAK SPACE}"
_LONGEST = 60  # characters of default and limits that are kept on one line


def command(function: Callable[..., None]) -> Any:
    """`function` as a command, by itself; `add` makes it one of a group's."""
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    add(alone, function)
    return typer.main.get_command(alone)


def add(app: typer.Typer, function: Callable[..., None]) -> None:
    """Make `function` a command of `app`.

    Its parameters are `Annotated` with a Flag, or they are dataclasses, and each of their fields with a Flag is an
    option. What is not given on the command line has the default of the parameter or the field.
    """
    app.command(cls=Command, short_help=_first_sentence(function))(expanded(function))


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """The same with an option for each field in place of a dataclass, as typer takes it."""
    signature = inspect.signature(function, eval_str=True)
    options = {_parameter_of(option): option for option in _options(signature)}

    @functools.wraps(function)
    def command(**values: Any) -> None:
        given = _given(values.pop(_CONTEXT))
        chosen = {options[name].path: _read(options[name].flag, value) for name, value in given.items()}
        function(**{name: _value(parameter, chosen) for name, parameter in signature.parameters.items()})

    parameters = [
        inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(_shown(name, option) for name, option in options.items()),
    ]
    command.options = options  # type: ignore[attr-defined]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def flags_of(function: Callable[..., None]) -> dict[str, Flag]:
    """The Flag of each argument and option of a command's function, by the name that typer has for its value."""
    return {_parameter_of(option): option.flag for option in _options(inspect.signature(function, eval_str=True))}


def _first_sentence(function: Callable[..., None]) -> str:
    """What the list of commands says of this one: typer would cut it where the line ends."""
    text = (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")
    return text.partition(". ")[0].rstrip(".") + "."


def _options(signature: inspect.Signature) -> Iterator[Option]:
    """The arguments and options of a command. A path begins with the function's parameter."""
    for name, parameter in signature.parameters.items():
        hint, default = parameter.annotation, parameter.default
        if flag := flags.flag_of(hint):
            yield flags.option((name,), hint, MISSING if default is inspect.Parameter.empty else default, flag)
        else:
            yield from (replace(option, path=(name, *option.path)) for option in flags.options_of(hint))


def _parameter_of(option: Option) -> str:
    """The name that typer has for the value."""
    if len(option.path) == 1:
        return option.path[0]
    name = option.name.removeprefix("--").replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _shown(name: str, option: Option) -> inspect.Parameter:
    """An option as typer takes it. Defaults stay with the dataclass: here they are only told."""
    flag, kind, must = option.flag, option.type, option.default is MISSING
    told: dict[str, Any] = {"help": flag.help + _told(option.default, flag), "show_default": False}
    if Path in (kind, *get_args(kind)):
        told["path_type"] = Path
    if flag.argument:
        made = typer.Argument(metavar=flag.metavar or name.upper(), **told)
    else:
        metavar = None if kind is bool else flag.metavar or _metavar(kind, flag)
        made = typer.Option(option.name, metavar=metavar, rich_help_panel=flag.panel, **told)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind if must or kind is bool else kind | None, made],
        default=inspect.Parameter.empty if must else False if kind is bool else None,
    )


def _told(default: Any, flag: Flag) -> str:
    """Default and limits, as they stand behind the help: " [default: 300; at least 2]"."""
    usual = flag.usual or _words(default)
    words = ["required" if default is MISSING else "", usual and f"default: {usual}", flag.limits]
    text = "; ".join(filter(None, words))
    kept = text if len(text) > _LONGEST else text.replace(" ", _UNBROKEN)
    return f" [{kept}]" if text else ""


def _words(default: Any) -> str:
    """A default that says something by itself; none, no, and an empty list do not."""
    if default is MISSING or default is None or isinstance(default, (bool, tuple)):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def _metavar(kind: Any, flag: Flag) -> str:
    """What stands for the value: N, FILE, TEXT, or the choices with bars between them."""
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    inner = next((part for part in get_args(kind) if part is not type(None)), None)
    if inner is not None:
        return _metavar(inner, flag)
    return (flag.writes or flag.reads or "path").upper() if kind is Path else _METAVARS[kind]


def _check(options: Mapping[str, Option], given: Mapping[str, Any]) -> None:
    """Raise EdgedenseError for a number out of its limits, and for an option that does nothing without another."""
    names = {options[name].name for name in given}
    for name, value in given.items():
        option, needs = options[name].name, options[name].flag.needs
        options[name].flag.check(option, value)
        if needs and not names.intersection(needs):
            raise EdgedenseError(f"{' or '.join(needs)} with {option}", f"{option} alone")


def _value(parameter: inspect.Parameter, chosen: Mapping[tuple[str, ...], Any]) -> Any:
    """What the function gets: the value, or a dataclass of those that were given."""
    if is_dataclass(parameter.annotation):
        inner = {path[1:]: value for path, value in chosen.items() if path[0] == parameter.name}
        return flags.build(parameter.annotation, inner)  # type: ignore[arg-type]
    return chosen.get((parameter.name,), parameter.default)


def _read(flag: Flag, value: Any) -> Any:
    return value if flag.read is None else flag.read(value)


def _given(context: Any) -> dict[str, Any]:
    """The values that stand on the command line, by typer's names."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name: context.params[name] for name, source in sources.items() if source and source.name != "DEFAULT"}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value != ()  # an argument of any number of words that was given none
    }


class Command(TyperCommand):
    """A command whose help has the options under headings, and each text under its option, over the whole width.

    Typer's own tables leave a third of 80 columns to the text, and cut long words in it.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Also keeps limits and needs. Raises EdgedenseError."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _check(self.callback.options, _given(ctx))  # type: ignore[union-attr]
        return rest

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        for paragraph in inspect.cleandoc(self.help or "").split("\n\n"):
            formatter.write(f"\n{_wrapped(paragraph, 2, formatter.width)}\n")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            panel = "Arguments" if _is_argument(parameter) else getattr(parameter, "rich_help_panel", None)
            sections.setdefault(panel or "Options", []).append(parameter)
        for panel, parameters in sections.items():
            if parameters:
                with formatter.section(panel):
                    for parameter in parameters:
                        text = _wrapped(parameter.help or "", 6, formatter.width)
                        formatter.write(f"  {_typed(parameter)}\n{text}\n")

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = ["[OPTIONS]"]
        for parameter in filter(_is_argument, self.params):
            name = _typed(parameter) if parameter.required else f"[{_typed(parameter)}]"
            pieces.append(name + ("..." if parameter.nargs == -1 else ""))
        return pieces


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _typed(parameter: Any) -> str:
    """What is typed: an argument's name, or an option and what stands for its value."""
    if _is_argument(parameter):
        return str(parameter.metavar)
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {parameter.metavar}"


def _wrapped(text: str, indent: int, width: int) -> str:
    """In lines of the terminal's width, broken at spaces alone: half of an option's name would be another name."""
    margin = " " * indent
    lines = textwrap.fill(
        text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False, break_long_words=False
    )
    return lines.replace(_UNBROKEN, " ")
