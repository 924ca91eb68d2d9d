"""Plans as bluesky's queueing servers want them: annotated by types they know, described parameter by parameter."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar, get_args, get_type_hints

from bluesky.protocols import Flyable, Movable, Readable

from ptychostream_devices.detector import PtychoDetector
from ptychostream_devices.energy import Monochromator
from ptychostream_devices.shutter import Shutter
from ptychostream_devices.stage import ScanStage
from ptychostream_devices.stream_service_device import StreamServiceDevice
from ptychostream_plans.scan_options import DEFAULTS, DESCRIPTIONS

P = ParamSpec("P")
R = TypeVar("R")

PROTOCOLS = {
    PtychoDetector: Readable,
    ScanStage: Readable,
    StreamServiceDevice: Flyable,
    StreamServiceDevice | None: Flyable | None,
    Monochromator: Movable,
    Shutter: Movable,
}
"""What a server can check by the devices it has: it knows bluesky's protocols, and no class of ours."""

COMMON = "<the parameters of every scan>"


def queueable(plan: Callable[P, R]) -> Callable[P, R]:
    """Give a plan a signature of types (not their names), with the common options one by one, all of them described.

    The plan takes those as `**scan: Unpack[ScanOptions]` or another of `scan_options`, and its docstring has a line
    `<the parameters of every scan>` where they are to be described.
    """
    signature = inspect.signature(plan, eval_str=True)
    parameters = list(_parameters(signature))
    doc = inspect.cleandoc(plan.__doc__ or "")  # Python 3.13 strips the indentation itself, earlier ones do not
    names = [parameter.name for parameter in parameters if f"{parameter.name} : " not in doc]
    plan.__doc__ = doc.replace(COMMON, "\n".join(_description(name) for name in names if name in DESCRIPTIONS))
    plan.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return plan


def _parameters(signature: inspect.Signature) -> Iterator[inspect.Parameter]:
    for parameter in signature.parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            yield parameter.replace(annotation=PROTOCOLS.get(parameter.annotation, parameter.annotation))
            continue
        (options,) = get_args(parameter.annotation)
        for name, annotation in get_type_hints(options).items():
            default = DEFAULTS.get(name, inspect.Parameter.empty)
            yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _description(name: str) -> str:
    kind, text = DESCRIPTIONS[name]
    return f"{name} : {kind}\n" + textwrap.indent(textwrap.fill(text, 110), 4 * " ")
