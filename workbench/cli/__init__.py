"""The shell's skin over the API: `workbench targets | estimate | findings | suggest | meet | compare | apply | verify |
search | calibrate | lab`.

Errors raised on purpose are one sentence on stderr and exit code 2; budgets that nothing meets, and a model that does
not compile, are exit code 1. With --json the answer is one JSON document on stdout, its numbers as they are.
"""

import sys
from collections.abc import Sequence

import typer

from ..errors import WorkbenchError
from .advising import findings, meet, suggest
from .calibrating import calibrate
from .looking import compare, estimate, lab, targets
from .making import apply, verify
from .searching import search

__all__ = ["app", "main"]

app = typer.Typer(
    help="Make a vision model fast on a neural accelerator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (targets, estimate, findings, suggest, meet, compare, apply, verify, search, calibrate, lab):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: exits with 0, with 2 for a wrong argument, with 1 for an answer that is no."""
    try:
        app(arguments)
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
