"""Common parts of all command lines of ptychostream: the order of the commands, and options that are given once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from stream_service.cli.options import OUTPUT
from stream_service.errors import ConfigError
from stream_service.text.terminal import WARNING, errors, show_what_cannot_be_encoded

A_DAYS_WORK: Mapping[str, tuple[str, ...]] = {
    "At the beamline": ("init", "check", "run", "status", "web"),
    "Without a beamline": ("demo", "replay"),
    "Recorded scans": ("ingest", "sidecar"),
    "The standard file": ("report", "evaluate", "validate", "repair"),
    "To an image": ("orient", "probe", "recipe", "reconstruct", "export"),
    "Files for areaDetector": ("layout",),
}
"""The commands under their headings, in the order in which a scan needs them."""

FILES = ("FILE", "FOLDER", "GLOB", "PATH", "NAME|PATH", "FILE[:DATASET]")
"""Metavars of options that name files, or datasets in them."""
NO_NUMBER = "unable to parse string"
"""Of what typer says (0.29) of a text that is not a number; earlier versions show the text themselves."""
NO_CHOICE = "Value error, "
"""Where what typer says (0.29) of a text that is none of several begins."""


class Command(TyperCommand):
    """A command that never lets the last of several values win without a word.

    What is read or written is named once. Of other options the last one counts, with a warning, so that who calls a
    script that hands its options on can have the last word.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """A switch is shown by its name alone: it takes no value."""
        hide_types_of_switches(self.get_params(ctx))
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises `ConfigError` naming the option."""
        given: list[Any]
        values, left_over, given = self.make_parser(ctx).parse_args(args=list(args))
        parameters = self.get_params(ctx)
        patterns = [each.opts[0] for each in parameters if each.metavar == "GLOB"]
        if left_over and patterns and all(each.param_type_name == "option" for each in parameters):
            raise ConfigError(
                f"{left_over[0]!r} belongs to no option: if it is of the pattern of {patterns[0]}, that needs quotes, "
                "or the shell puts the names of files in its place"
            )
        for parameter in dict.fromkeys(given):
            if sum(other is parameter for other in given) == 1 or not has_one_value(parameter):
                continue
            names = " or ".join((*parameter.opts, *parameter.secondary_opts))
            if names_a_file(parameter):
                raise ConfigError(f"{names} is given more than once: give it once")
            last = str(values[parameter.name]).lower() if parameter.is_flag else values[parameter.name]
            errors.print(WARNING, f"{names} is given more than once: the last counts, {last}", soft_wrap=True)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            wrong = error.param
            if wrong is not None and error.message.startswith(NO_CHOICE):
                raise ConfigError(f"{wrong.opts[0]}: {error.message.removeprefix(NO_CHOICE)}") from None
            value = None if wrong is None else values.get(wrong.name)
            if wrong is None or NO_NUMBER not in error.message or not isinstance(value, str):
                raise
            raise ConfigError(f"{wrong.opts[0]} {value!r} {advice_on_number(error.message)}") from None


class Group(TyperGroup):
    """Commands under one name."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """See `Command`."""
        hide_types_of_switches(self.get_params(ctx))
        super().format_help(ctx, formatter)


class Commands(Group):
    """The commands under the headings of `A_DAYS_WORK`; what is not named there comes last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names in that order."""
        named = [name for names in A_DAYS_WORK.values() for name in names]
        return sorted(self.commands, key=lambda name: named.index(name) if name in named else len(named))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """With a panel for each heading."""
        for heading, names in A_DAYS_WORK.items():
            for name in names:
                if name in self.commands:
                    self.commands[name].rich_help_panel = heading  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


class App(typer.Typer):
    """A `Typer` whose commands are `Command`s, and which leaves errors to `cli.main`, or to `run`."""

    def __init__(self, cls: type[TyperGroup] = Group, **settings: Any) -> None:
        super().__init__(
            cls=cls,
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            add_completion=False,
            rich_markup_mode="rich",
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """As in `Typer`."""
        return super().command(name, cls=Command, **settings)

    def run(self) -> None:
        """As a program of its own: an option given twice is one sentence and exit code 2."""
        show_what_cannot_be_encoded()
        try:
            self()
        except ConfigError as error:
            typer.echo(f"error: {error}", err=True)
            sys.exit(2)


def hide_types_of_switches(parameters: Sequence[Any]) -> None:
    """Let help say nothing of the value of those that have none."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""


def has_one_value(parameter: Any) -> bool:
    """True for an option of which one value is meant; a switch that can only be put on may be put on again."""
    if parameter.param_type_name == "argument" or parameter.multiple:
        return False
    return not parameter.is_flag or bool(parameter.secondary_opts)


def advice_on_number(message: str) -> str:
    """Advice for a text that is not a number: the unit is in the option's name or its help."""
    if "integer" in message:
        return "is not a whole number: give digits only, such as 12"
    return "is not a number: give it without a unit and with a decimal point, such as 0.75 or 7.5e-5"


def names_a_file(parameter: Any) -> bool:
    """True for an option that names an input or an output."""
    return parameter.metavar in FILES or OUTPUT[0] in parameter.opts


def one_input(argument: Sequence[str] | None, option: str | None, name: str, what: str) -> str:
    """The input of a command, which may be given by position or by an option. Raises `ConfigError`."""
    given = [*(argument or ()), *([] if option is None else [option])]
    if not given:
        raise ConfigError(f"give {what}: as the first word, or with {name}")
    if len(given) > 1:
        raise ConfigError(
            f"{what} is given {len(given)} times ({', '.join(given[:3])}{', ...' if len(given) > 3 else ''}): give it "
            "once; a pattern needs quotes, or the shell puts the names of files in its place"
        )
    return given[0]
