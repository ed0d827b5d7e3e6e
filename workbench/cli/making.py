"""Commands that apply recipes, and that check what was claimed with the compiler."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .opening import (
    AsJson,
    Ini,
    MemoryMode,
    Model,
    Out,
    Pretrained,
    RecipeFile,
    Size,
    SystemConfig,
    TargetName,
    check_out,
    open_session,
    target_of,
    write_out,
)
from .printing import print_json, print_table, records, working

__all__ = ["apply", "verify"]


def apply(
    model: Model,
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.yaml).")],
    target: TargetName = None,
    out: Out = None,
    input_size: Size = None,
    pretrained: Pretrained = False,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
    as_json: AsJson = False,
) -> None:
    """Apply a recipe and show what it changes (estimated)."""
    from ..recipe import Recipe

    check_out(out)
    steps = Recipe.load(recipe)
    before = open_session(model, target_of(model, target, ini, system_config, memory_mode), input_size, pretrained)
    with working(f"applying {recipe}"):
        after = before.apply(steps)
    if as_json:
        print_json(
            {"target": after.target.name, "steps": records(after.history), "figures": records(after.compare(before))}
        )
    else:
        print_table(after.history, "Steps (estimated)")
        print_table(after.compare(before), f"{after.model_name} on {after.target.name}")
    if out is not None:
        print(f"wrote {write_out(after, out)}", file=sys.stderr if as_json else sys.stdout)


def verify(
    model: Annotated[str, typer.Argument(help="A timm model, a session file (.wb) or a bundle (.zip).")],
    recipe: RecipeFile = None,
    target: TargetName = None,
    input_size: Size = None,
    pretrained: Pretrained = False,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds the compiler may take.")] = None,
    task: Annotated[Path | None, typer.Option("--task", help="The folder of data a bundle's scores are of.")] = None,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
    as_json: AsJson = False,
) -> None:
    """Compile a model for real and show it beside the estimate; exit code 1 where it does not compile.

    Of a bundle every figure is derived again; exit code 1 where one does not hold.
    """
    if timeout is not None and not timeout > 0:
        raise InputError(f"--timeout is {timeout:g}; it must be above 0 seconds, such as 120")
    if model.endswith(".zip"):
        _check(model, task, as_json)
        return
    chosen = target_of(model, target, ini, system_config, memory_mode)
    session = open_session(model, chosen, input_size, pretrained, recipe)
    with working(f"compiling {session.model_name}"):
        result = session.verify(timeout_s=timeout)
    worked = result.status in ("compiled", "measured")
    if as_json:
        print_json({
            "status": result.status, "reason": result.reason, "target": result.target, "compiler": result.compiler,
            "weights": result.weights, "cpu_ops": list(result.cpu_ops),
            "figures": records(result.table) if worked else [],
        })  # fmt: skip
    else:
        if worked:
            print_table(result.table, f"{session.model_name} on {result.target}")
        print(result)
    if not worked:
        raise typer.Exit(1)


def _check(bundle: str, task: Path | None, as_json: bool) -> None:
    from ..files import nearest_file

    nearest_file(bundle, "bundle", (".zip",))
    with working(f"checking {bundle}"):
        from .. import verify as check

        table = check(bundle, task=task)
    words = table["holds"].str.partition(":")[0]
    if as_json:
        print_json({"bundle": bundle, "versions": table.attrs["versions"], "figures": records(table)})
    else:
        print_table(table, Path(bundle).name, index=False)
        answers = {"hold": "yes", "do not hold": "no", "are not checked": "not checked"}
        counts = {what: int((words == word).sum()) for what, word in answers.items()}
        print("figures: " + ", ".join(f"{count} {what}" for what, count in counts.items() if count))
        if table.attrs["versions"]:
            print(f"made with {table.attrs['versions']}")
    if (words == "no").any():
        raise typer.Exit(1)
