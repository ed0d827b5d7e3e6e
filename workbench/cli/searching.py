"""The command that searches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .opening import Ini, MemoryMode, Model, Pretrained, Size, SystemConfig, TargetName, open_session, target_of
from .printing import print_table

__all__ = ["search"]


def search(
    model: Model,
    task: Annotated[str, typer.Option("--task", help="A folder of data, or the name of an embedded task.")],
    target: TargetName = None,
    trials: Annotated[int, typer.Option("--trials", "-n", help="How many networks are trained.")] = 40,
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", help="hybrid, multishot, single-shot or zero-shot.")
    ] = "hybrid",
    storage: Annotated[
        str | None, typer.Option("--storage", help="A .db file or a storage URL; goes on with the study in it.")
    ] = None,
    objectives: Annotated[
        list[str] | None, typer.Option("--objective", help="accuracy, latency_ms, ...; several times.")
    ] = None,
    budgets: Annotated[
        list[str] | None, typer.Option("--budget", help="sram_kib=512, latency_ms=..., model_kib=...; several times.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    epochs: Annotated[int, typer.Option("--epochs", help="That a candidate is trained for.")] = 2,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes that train.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Come back at once; the search goes on.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the figures of the study: .html.")] = None,
    input_size: Size = None,
    pretrained: Pretrained = False,
    ini: Ini = None,
    system_config: SystemConfig = None,
    memory_mode: MemoryMode = None,
) -> None:
    """Search for edits that are better together: trains candidates on a task, and shows the front.

    Goes on where it was, with the same --storage; an interrupt ends it within a second.
    """
    from ..search.options import Options
    from ..transforms import describe

    options = Options(
        strategy, trials, seed, tuple(objectives or ("accuracy", "latency_ms")), _budgets(budgets or []), epochs
    )
    if out is not None and out.suffix != ".html":
        raise InputError(f"cannot write {out.suffix or out.name!r}; --out takes .html, such as {out.stem}.html")
    resolved = target_of(model, target, ini, system_config, memory_mode)
    if storage is not None and "://" not in storage and Path(storage).exists():
        from ..session import attach

        study = attach(storage).resume(block=not detach)
    else:
        session = open_session(model, resolved, input_size, pretrained, task=task)
        study = session.search(task, storage=storage, block=not detach, workers=workers, **options.to_dict())
    if detach:
        print(f"{study}\nworkbench.attach({study.storage!r}) finds it again")
        return
    front = study.front
    accuracy = [f"{100 * a:.1f} ({100 * low:.1f} to {100 * high:.1f})" for a, low, high in zip(
        front["accuracy"], front["low"], front["high"], strict=True
    )]  # fmt: skip
    rows = front[[*study.options.costs, "difference"]].assign(
        test=[f"{100 * share:.1f}" for share in front["test_accuracy"]],
        steps=[", ".join(map(describe, steps)) or "unedited" for steps in front["steps"]],
    )
    rows.insert(0, "accuracy %", accuracy)
    print_table(rows, f"Front (accuracy on validation pictures, costs estimated on {study.target.name})")
    print(study.status)
    print(f"workbench.attach({study.storage!r}) finds it again")
    if out is not None:
        print(f"wrote {study.plot().save(out)}")


def _budgets(texts: Sequence[str]) -> dict[str, float]:
    """The budgets of "name=value"."""
    budgets = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            budgets[name.strip()] = float(value)
        except ValueError:
            raise InputError(f"--budget {text!r} must be a name and a number, such as sram_kib=512") from None
    return budgets
