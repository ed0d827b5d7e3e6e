"""Commands that advise: what ails a network, which steps pay, the plan that meets budgets."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..errors import BudgetError, InputError
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

__all__ = ["findings", "meet", "suggest"]


def findings(
    model: Model,
    target: TargetName = None,
    input_size: Size = None,
    recipe: RecipeFile = None,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
    as_json: AsJson = False,
) -> None:
    """What costs more than it should, the most severe first, and the step that mends it (estimated)."""
    session = open_session(model, target_of(model, target, ini, system_config, memory_mode), input_size, recipe=recipe)
    from .. import advice
    from ..progress import shown

    with shown("trying mends:") as progress:
        table = advice.findings(session, progress)
    first = advice.headline(session)
    if as_json:
        print_json(
            {"model": session.model_name, "target": session.target.name, "headline": first, "findings": records(table)}
        )
        return
    print_table(table, f"{session.model_name} on {session.target.name} (estimated)", index=False)
    Console().print(Text(first))


def suggest(
    model: Model,
    target: TargetName = None,
    input_size: Size = None,
    n: Annotated[int, typer.Option("--n", "-n", help="How many.")] = 10,
    pretrained: Pretrained = False,
    recipe: RecipeFile = None,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
    as_json: AsJson = False,
) -> None:
    """The steps that gain most for what they lose (estimated and predicted)."""
    if n < 1:
        raise InputError(f"--n is {n}; it must be a whole number of at least 1, such as 10")
    chosen = target_of(model, target, ini, system_config, memory_mode)
    session = open_session(model, chosen, input_size, pretrained, recipe)
    with working("comparing steps"):
        table = session.suggest(n)
    note = table.attrs.get("note", "")
    if as_json:
        print_json(
            {"model": session.model_name, "target": session.target.name, "note": note, "suggestions": records(table)}
        )
        return
    print_table(
        table.drop(columns="steps"), f"{session.model_name} on {session.target.name} (estimated changes)", index=False
    )
    if note:
        print(note)


def meet(
    model: Model,
    target: TargetName = None,
    latency_ms: Annotated[float | None, typer.Option("--latency-ms", help="Milliseconds, batch 1.")] = None,
    sram_kib: Annotated[float | None, typer.Option("--sram-kib", help="KiB of SRAM.")] = None,
    model_kib: Annotated[float | None, typer.Option("--model-kib", help="KiB of weights, uncompressed.")] = None,
    out: Out = None,
    input_size: Size = None,
    pretrained: Pretrained = False,
    recipe: RecipeFile = None,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
    as_json: AsJson = False,
) -> None:
    """The steps that meet budgets at the least loss, checked by the compiler; exit code 1 where nothing meets them."""
    from ..estimators import Budgets

    if not Budgets(latency_ms, sram_kib, model_kib):
        raise InputError("meet needs a budget: --latency-ms, --sram-kib or --model-kib")
    check_out(out)
    chosen = target_of(model, target, ini, system_config, memory_mode)
    session = open_session(model, chosen, input_size, pretrained, recipe)
    reason = ""
    try:
        met = session.meet(latency_ms, sram_kib, model_kib)
    except BudgetError as error:
        reason, met = str(error), error.nearest  # type: ignore[assignment]
        if met is None:
            raise
    if as_json:
        steps = [step.transform for step in met.steps]
        figures = records(met.compare(session))
        print_json({"met": not reason, "reason": reason, "target": met.target.name, "steps": steps, "figures": figures})
    else:
        print_table(met.history, "Steps (estimated)" if not reason else "The nearest (estimated)")
        print_table(met.compare(session), f"{met.model_name} on {met.target.name}")
    if reason:
        print(f"workbench: {reason}", file=sys.stderr)
        raise typer.Exit(1)
    if out is not None:
        print(f"wrote {write_out(met, out)}", file=sys.stderr if as_json else sys.stdout)
