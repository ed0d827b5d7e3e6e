"""The shell's skin over the API: `workbench targets | estimate | apply | verify | search | calibrate | lab`.

Errors raised on purpose are one sentence on stderr and exit code 2.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from .errors import InputError, WorkbenchError

if TYPE_CHECKING:
    import pandas as pd

    from .session import Session

__all__ = ["app", "main"]

app = typer.Typer(
    help="Make a vision model fast on a neural accelerator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[str, typer.Argument(help="A timm model, or a session file (.wb).")]
TargetOption = Annotated[str, typer.Option("--target", "-t", help="A target; `workbench targets` lists them.")]
Size = Annotated[
    str | None, typer.Option("--input-size", help="channels,height,width; the model's own where not given.")
]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="ImageNet weights: of the hub, its cache or a package.")]


@app.command()
def targets() -> None:
    """List the targets and whether each is calibrated."""
    import workbench

    _print(workbench.targets(), "Targets", index=False)


@app.command()
def estimate(
    model: Model,
    target: TargetOption = "ethos-u65-512",
    input_size: Size = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="One row per block, too.")] = False,
) -> None:
    """Estimate a model's latency and memory (estimated; no compiler runs)."""
    session = _open(model, target, input_size)
    estimate = session.estimate
    table = Table("metric", "estimated", title=f"{session.model_name} on {estimate.target}")
    table.add_row("latency", f"{estimate.latency_ms:.3f} ms ({estimate.basis})")
    for name in ("sram_bytes", "peak_activation_bytes", "weight_bytes"):
        table.add_row(name.removesuffix("_bytes").replace("_", " "), f"{getattr(estimate, name) / 1024:.1f} KiB")
    table.add_row("params", f"{estimate.params / 1e6:.3f} M")
    table.add_row("macs", f"{estimate.macs / 1e6:.1f} M")
    table.add_row("bound by", estimate.bound)
    if not estimate.complete:
        table.add_row("incomplete", f"{len(estimate.cpu_ops)} operators not counted: {', '.join(estimate.cpu_ops[:5])}")
    Console().print(table)
    if blocks:
        _print(session.blocks, "Blocks (estimated)", index=False)


@app.command()
def apply(
    model: Model,
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.yaml).")],
    target: TargetOption = "ethos-u65-512",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the result: .wb (session), .html (page) or .onnx.")
    ] = None,
    input_size: Size = None,
    pretrained: Pretrained = False,
) -> None:
    """Apply a recipe and show what it changes (estimated)."""
    from .recipe import Recipe

    writers = {".wb": "save", ".html": "share", ".onnx": "export"}
    if out is not None and out.suffix not in writers:
        raise InputError(
            f"cannot write {out.suffix or out.name!r}; --out takes {', '.join(writers)}, such as {out.stem}.wb"
        )
    steps = Recipe.load(recipe)
    before = _open(model, target, input_size, pretrained)
    after = before.apply(steps)
    _print(after.history, "Steps (estimated)")
    _print(after.compare(before), f"{after.model_name} on {after.target.name}")
    if out is not None:
        print(f"wrote {getattr(after, writers[out.suffix])(out)}")


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="A timm model, a session file (.wb) or a bundle (.zip).")],
    recipe: Annotated[Path | None, typer.Option("--recipe", "-r", help="Apply this recipe first.")] = None,
    target: TargetOption = "ethos-u65-512",
    input_size: Size = None,
    pretrained: Pretrained = False,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds the compiler may take.")] = None,
    task: Annotated[Path | None, typer.Option("--task", help="The folder of data a bundle's scores are of.")] = None,
) -> None:
    """Compile a model for real and show it beside the estimate; exit code 1 where it does not compile.

    Of a bundle every figure is derived again; exit code 1 where one does not hold.
    """
    if model.endswith(".zip"):
        _check(model, task)
        return
    from .recipe import Recipe

    steps = None if recipe is None else Recipe.load(recipe)
    session = _open(model, target, input_size, pretrained)
    if steps is not None:
        session = session.apply(steps)
    result = session.verify(timeout_s=timeout)
    if result.status in ("compiled", "measured"):
        _print(result.table, f"{session.model_name} on {result.target}")
    print(result)
    if result.status not in ("compiled", "measured"):
        raise typer.Exit(1)


def _check(bundle: str, task: Path | None) -> None:
    from . import verify as check

    table = check(bundle, task=task)
    _print(table, Path(bundle).name, index=False)
    words = table["holds"].str.partition(":")[0]
    answers = {"hold": "yes", "do not hold": "no", "are not checked": "not checked"}
    counts = {what: int((words == word).sum()) for what, word in answers.items()}
    print("figures: " + ", ".join(f"{count} {what}" for what, count in counts.items() if count))
    if table.attrs["versions"]:
        print(f"made with {table.attrs['versions']}")
    if (words == "no").any():
        raise typer.Exit(1)


@app.command()
def search(
    model: Model,
    task: Annotated[str, typer.Option("--task", help="A folder of data, or the name of an embedded task.")],
    target: TargetOption = "ethos-u65-512",
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
) -> None:
    """Search for edits that are better together: trains candidates on a task, and shows the front.

    Goes on where it was, with the same --storage; an interrupt ends it within a second.
    """
    from .search.options import Options
    from .transforms import describe

    options = Options(
        strategy, trials, seed, tuple(objectives or ("accuracy", "latency_ms")), _budgets(budgets or []), epochs
    )
    if out is not None and out.suffix != ".html":
        raise InputError(f"cannot write {out.suffix or out.name!r}; --out takes .html, such as {out.stem}.html")
    if storage is not None and "://" not in storage and Path(storage).exists():
        from .session import attach

        study = attach(storage).resume(block=not detach)
    else:
        session = _open(model, target, input_size, pretrained, task)
        study = session.search(task, storage=storage, block=not detach, workers=workers, **options.to_dict())
    if detach:
        print(f"{study}\nworkbench.attach({study.storage!r}) finds it again")
        return
    front = study.front
    accuracy = [f"{100 * a:.1f} ({100 * low:.1f} to {100 * high:.1f})" for a, low, high in zip(
        front["accuracy"], front["low"], front["high"], strict=True
    )]  # fmt: skip
    shown = front[[*study.options.costs, "difference"]].assign(
        test=[f"{100 * share:.1f}" for share in front["test_accuracy"]],
        steps=[", ".join(map(describe, steps)) or "unedited" for steps in front["steps"]],
    )
    shown.insert(0, "accuracy %", accuracy)
    _print(shown, f"Front (accuracy on validation pictures, costs estimated on {study.target.name})")
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


@app.command()
def calibrate(
    target: Annotated[
        str,
        typer.Argument(help="A target, table:FILE, or 'ethos-u': a configuration drawn at random for every network."),
    ] = "",
    networks: Annotated[int | None, typer.Option("--networks", "-n", min=2, help="How many to measure.")] = None,
    emit: Annotated[
        tuple[int, Path] | None,
        typer.Option("--emit", metavar="N DIR", help="Write N networks for a lab to measure, and a table to fill in."),
    ] = None,
    system_config: Annotated[str | None, typer.Option("--system-config", help="A section of the ini.")] = None,
    memory_mode: Annotated[str | None, typer.Option("--memory-mode", help="A section of the ini.")] = None,
    arena_kib: Annotated[int | None, typer.Option("--arena-kib", min=1, help="Size of the arena cache.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="performance or size.")] = None,
    ini: Annotated[Path | None, typer.Option("--ini", help="Your own vela.ini.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of an Ethos-U table; your own if none.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Measure nothing: what your own compiles give.")] = False,
) -> None:
    """Measure networks on a target and fit what is fitted; a run that was stopped goes on where it was."""
    from rich.progress import Progress

    from .estimators import calibrate, device
    from .estimators.device.lab_table import emit as write_networks
    from .estimators.kept_compiles import kept_errors
    from .hardware import EthosU, TableTarget, Target, resolve

    if bool(target) == (emit is not None):
        raise InputError("calibrate takes a target, such as onnxruntime-cpu, or --emit 60 FOLDER, and not both")
    arena = None if arena_kib is None else arena_kib * 1024
    values = {
        "system_config": system_config, "memory_mode": memory_mode, "strategy": strategy, "ini": ini,
        "arena_bytes": arena,
    }  # fmt: skip
    options = {name: value for name, value in values.items() if value is not None}
    anywhere = target == "ethos-u"
    if options and (anywhere or not target):
        raise InputError(f"{next(iter(options))} belongs to one configuration; give its name, such as ethos-u65-512")
    measured: Target | None = None
    if target and not anywhere:
        measured = resolve(target).configured(**options)
    accelerator = measured if isinstance(measured, EthosU) else None  # its estimates come from a model of the compiler
    if refresh:
        if accelerator is None:
            raise InputError(f"--refresh needs one Ethos-U configuration, such as 'ethos-u65-512', not {target!r}")
        _print(kept_errors(accelerator), f"Your compiles for {accelerator.name}", index=False)
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("measuring" if target else "writing")

        def report(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        if emit is not None:
            path = write_networks(emit[0], emit[1], report)
        elif anywhere or accelerator is not None:
            path = calibrate(accelerator, networks or 240, out=out, report=report)
        else:
            assert measured is not None
            path = device.calibrate(measured, networks or device.NETWORKS, report=report)
            model = device.model_of(measured)
            errors = [f"{name.replace('_', ' ')} {100 * value:.0f} %" for name, value in model.errors]
            if isinstance(model, device.AcceleratorModel):
                Console().print(f"behaves like {model.base}: its estimates, corrected, are taken")
            Console().print(f"families held out: {', '.join(errors)}")
            lacking = measured.missing() if isinstance(measured, TableTarget) else ()
            if lacking:
                Console().print(f"{len(lacking)} emitted networks have no latency: {', '.join(lacking[:5])} ...")
    Console().print(f"wrote {path}")


@app.command()
def lab(notebook: Annotated[Path | None, typer.Argument(help="A notebook to open.")] = None) -> None:
    """Start JupyterLab, on a notebook where one is given."""
    import subprocess

    from .files import nearest_file

    arguments = [] if notebook is None else [str(nearest_file(notebook, "notebook", (".ipynb",)))]
    raise typer.Exit(subprocess.call([sys.executable, "-m", "jupyterlab", *arguments]))


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: exits with 0, with 2 for a wrong argument, with 1 for a model that does not compile."""
    try:
        app(arguments)
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _open(
    model: str, target: str, input_size: str | None, pretrained: bool = False, task: str | None = None
) -> "Session":
    from .hardware import resolve

    resolve(target)  # before torch is imported, as all that can be refused without it
    if model.endswith(".wb"):
        if input_size is not None or pretrained:
            raise InputError(f"{model} brings its own input size and weights; leave --input-size and --pretrained out")
        from .session import load

        return load(model).on(target)
    size = None
    if input_size is not None:
        parts = input_size.split(",")
        if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
            raise InputError(
                f"--input-size {input_size!r} must be three whole numbers, channels,height,width, such as 3,224,224"
            )
        size = (int(parts[0]), int(parts[1]), int(parts[2]))
    from .session import open

    return open(model, target=target, input_size=size, pretrained=pretrained, task=task)


def _print(frame: "pd.DataFrame", title: str, index: bool = True) -> None:
    """A DataFrame as a table for the terminal."""
    table = Table(title=title)
    if index:
        table.add_column(str(frame.index.name or ""))
    for column, kind in frame.dtypes.items():
        table.add_column(str(column), justify="right" if kind.kind in "fiu" else "left")
    for key, row in zip(frame.index, frame.itertuples(index=False), strict=True):
        table.add_row(*([str(key)] if index else []), *map(_cell, row))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        if value != value:
            return "–"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
    return str(value)


if __name__ == "__main__":
    main()
