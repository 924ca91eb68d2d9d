"""Plans for queueing servers: every parameter described, whatever Python does to the indentation of docstrings."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from types import FunctionType
from typing import Unpack, get_type_hints

import pytest

import ptychostream_plans
from ptychostream_plans.queueable import COMMON, queueable
from ptychostream_plans.scan_options import DESCRIPTIONS, ScanOptions

QUEUEABLE = sorted(name for name in ptychostream_plans.__all__ if name.startswith("ptycho_") or name == "dark_flat")
INDENTED = """Scan.

    Parameters
    ----------
    n_points : int
        Number of positions.
    <the parameters of every scan>

    Returns
    -------
    uid : str
    """
"""As Python up to 3.12 keeps it; 3.13 strips it while it compiles."""


def plan_with(doc: str | None) -> FunctionType:
    def plan(*, n_points: int, **scan: Unpack[ScanOptions]) -> None: ...

    plan.__doc__ = doc
    queueable(plan)
    return plan


@pytest.mark.parametrize("name", QUEUEABLE)
def test_every_parameter_of_a_plan_is_described_once(name: str) -> None:
    plan = getattr(ptychostream_plans, name)
    described = re.findall(r"^(\w+) : ", plan.__doc__.partition("\nReturns\n")[0], re.MULTILINE)
    assert sorted(described) == sorted(inspect.signature(plan).parameters)
    assert COMMON not in plan.__doc__


def test_every_option_of_a_scan_has_a_description() -> None:
    assert get_type_hints(ScanOptions).keys() <= DESCRIPTIONS.keys()


def test_the_docstring_of_a_plan_is_the_same_on_every_python() -> None:
    assert plan_with(INDENTED).__doc__ == plan_with(inspect.cleandoc(INDENTED)).__doc__


def test_plans_import_without_assertions_and_docstrings() -> None:
    subprocess.run([sys.executable, "-OO", "-c", "import ptychostream_plans"], check=True)


def test_a_plan_that_describes_nothing_is_a_finding_of_a_test_and_still_a_plan() -> None:
    assert next(iter(inspect.signature(plan_with(None)).parameters)) == "n_points"
