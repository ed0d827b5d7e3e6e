"""Commands that look: the targets, what a network costs, two networks side by side, JupyterLab."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from ..errors import InputError
from .opening import (
    AsJson,
    Ini,
    MemoryMode,
    Model,
    Pretrained,
    RecipeFile,
    Size,
    SystemConfig,
    TargetName,
    open_session,
    target_of,
)
from .printing import print_json, print_table, records, working

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["compare", "estimate", "lab", "targets"]

_FIGURES = ("latency_ms", "sram_bytes", "peak_activation_bytes", "weight_bytes", "params", "macs")


def targets(as_json: AsJson = False) -> None:
    """List the targets and whether each is calibrated."""
    import workbench

    table = workbench.targets()
    if as_json:
        print_json(records(table))
    else:
        print_table(table, "Targets", index=False)


def estimate(
    model: Model,
    target: TargetName = None,
    input_size: Size = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="One row per block, too.")] = False,
    recipe: RecipeFile = None,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
    as_json: AsJson = False,
) -> None:
    """Estimate a model's latency and memory (estimated; no compiler runs)."""
    session = open_session(model, target_of(model, target, ini, system_config, memory_mode), input_size, recipe=recipe)
    figures = session.estimate
    if as_json:
        print_json(_described(session) | ({"blocks": records(session.blocks)} if blocks else {}))
        return
    from ..advice import headline
    from ..metrics import metric_text

    table = Drawn("metric", "estimated", title=Text(f"{session.model_name} on {figures.target}"))
    for name in _FIGURES:
        basis = f" ({figures.basis})" if name == "latency_ms" else ""
        label = name.removesuffix("_ms").removesuffix("_bytes").replace("_", " ")
        table.add_row(label, Text(metric_text(name, getattr(figures, name)) + basis))
    table.add_row("bound by", figures.bound)
    if not figures.complete:
        names = ", ".join(figures.cpu_ops[:5])
        table.add_row("incomplete", Text(f"{len(figures.cpu_ops)} operators not counted: {names}"))
    console = Console()
    console.print(table)
    console.print(Text(headline(session)))
    if blocks:
        print_table(session.blocks, "Blocks (estimated)", index=False)


def compare(
    before: Annotated[str, typer.Argument(help="A timm model, a session file (.wb), or a deployed .tflite file.")],
    after: Annotated[
        str | None, typer.Argument(help="The same, but no .tflite; where not given, BEFORE as it is now.")
    ] = None,
    target: TargetName = None,
    input_size: Size = None,
    pretrained: Pretrained = False,
    recipe: Annotated[Path | None, typer.Option("--recipe", "-r", help="Apply this recipe to AFTER first.")] = None,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
    as_json: AsJson = False,
) -> None:
    """Two networks side by side on one target, or one as it was opened and as it is now."""
    chosen = target_of(after or before, target, ini, system_config, memory_mode)
    deployed = before.endswith(".tflite")
    if deployed:
        from ..files import nearest_file

        nearest_file(before, "TFLite", (".tflite",))
        if after is None:
            raise InputError(f"{before} is a baseline; name what to compare it with, such as tuned.wb")
        if chosen is not None and not chosen.compiles_tflite:
            raise InputError(
                f"{chosen.name} compiles no .tflite file; an Ethos-U target, such as 'ethos-u65-512', does"
            )
    sizes = [None if name.endswith(".wb") else input_size for name in (before, after or before)]
    now = open_session(after or before, chosen, sizes[1], pretrained and not (after or before).endswith(".wb"), recipe)
    baseline: Any = None
    if deployed:
        with working(f"compiling {before}"):
            baseline = now.target.measure(before)
    elif after is not None:
        baseline = open_session(before, now.target, sizes[0], pretrained and not before.endswith(".wb"))
    table = now.compare(baseline)
    if as_json:
        print_json({"before": before, "after": after or before, "target": now.target.name, "figures": records(table)})
    else:
        print_table(table, f"{after} beside {before}" if after else f"{before}, as opened and now")


def lab(notebook: Annotated[Path | None, typer.Argument(help="A notebook to open.")] = None) -> None:
    """Start JupyterLab, on a notebook where one is given."""
    import subprocess

    from ..files import nearest_file

    arguments = [] if notebook is None else [str(nearest_file(notebook, "notebook", (".ipynb",)))]
    raise typer.Exit(subprocess.call([sys.executable, "-m", "jupyterlab", *arguments]))


def _described(session: "Session") -> dict[str, Any]:
    """An estimate as plain data."""
    estimate = session.estimate
    return {
        "model": session.model_name,
        "target": estimate.target,
        "target_digest": estimate.target_digest,
        "compiler": estimate.compiler,
        "figures": "estimated",
        **{
            name: getattr(estimate, name) for name in ("latency_ms", "latency_interval_ms", *_FIGURES[1:], "dram_bytes")
        },
        "bound": estimate.bound,
        "complete": estimate.complete,
        "cpu_ops": list(estimate.cpu_ops),
    }
