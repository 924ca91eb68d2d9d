"""What all command lines of ptychostream have in common: the order of the commands, and options that are given once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from stream_service.errors import ConfigError

A_DAYS_WORK: Mapping[str, tuple[str, ...]] = {
    "At the beamline": ("init", "check", "run", "status"),
    "Without a beamline": ("demo", "replay"),
    "Recorded scans": ("ingest", "sidecar"),
    "The standard file": ("validate", "repair"),
    "To an image": ("orient", "probe", "recipe", "reconstruct", "export"),
    "Files for areaDetector": ("layout",),
}
"""The commands under their headings, in the order in which a scan needs them."""


class Command(TyperCommand):
    """A command that refuses an option given twice, of which the last would count without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises `ConfigError` naming the option."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in given:
            is_free = parameter.param_type_name == "argument" or parameter.multiple or is_switch(parameter)
            if not is_free and sum(other is parameter for other in given) > 1:
                names = " or ".join((*parameter.opts, *parameter.secondary_opts))
                raise ConfigError(f"{names} is given more than once: give it once")
        return super().parse_args(ctx, args)


class Commands(TyperGroup):
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
    """A `Typer` whose commands are `Command`s, and which leaves errors to `cli.main`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            add_completion=False,
            rich_markup_mode="rich",
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """As in `Typer`."""
        return super().command(name, cls=Command, **settings)


def is_switch(parameter: Any) -> bool:
    """Whether an option has one meaning, so that saying it twice changes nothing."""
    return parameter.is_flag and not parameter.secondary_opts


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
