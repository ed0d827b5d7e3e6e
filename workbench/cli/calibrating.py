"""`workbench calibrate`: measure networks on a target and fit what is fitted."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..errors import InputError
from .printing import print_table

__all__ = ["calibrate"]


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

    from ..estimators import calibrate, device
    from ..estimators.device.lab_table import emit as write_networks
    from ..estimators.kept_compiles import kept_errors
    from ..hardware import EthosU, TableTarget, Target, resolve

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
        print_table(kept_errors(accelerator), f"Your compiles for {accelerator.name}", index=False)
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
