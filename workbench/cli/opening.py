"""Arguments that several commands share, and the session they name.

What can be refused without torch is refused before it is imported: targets, files, sizes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from .printing import working

if TYPE_CHECKING:
    from ..hardware import Target
    from ..session import Session

__all__ = [
    "AsJson",
    "Ini",
    "MemoryMode",
    "Model",
    "Out",
    "Pretrained",
    "RecipeFile",
    "Size",
    "SystemConfig",
    "TargetName",
    "check_out",
    "open_session",
    "target_of",
    "write_out",
]

_TARGET = "ethos-u65-512"
_WRITERS = {".wb": "save", ".html": "share", ".onnx": "export"}

Model = Annotated[str, typer.Argument(help="A timm model, or a session file (.wb).")]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target",
        "-t",
        help="`workbench targets` lists them; a session file's own, or ethos-u65-512, if none is given.",
    ),
]
Size = Annotated[
    str | None, typer.Option("--input-size", help="channels,height,width; the model's own where not given.")
]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="ImageNet weights: of the hub, its cache or a package.")]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", "-r", help="Apply this recipe first.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of tables.")]
Ini = Annotated[Path | None, typer.Option("--ini", help="Your own vela.ini, for an Ethos-U target.")]
SystemConfig = Annotated[str | None, typer.Option("--system-config", help="A System_Config section of the ini.")]
MemoryMode = Annotated[str | None, typer.Option("--memory-mode", help="A Memory_Mode section of the ini.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Write the result: .wb (session), .html (page) or .onnx.")
]


def target_of(
    model: str,
    name: str | None,
    ini: Path | None = None,
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> "Target | None":
    """The target of that name, configured by an ini's sections where any is given; None leaves a session file its own.

    model: what is opened on it.
    """
    from ..hardware import resolve

    options = {"ini": ini, "system_config": system_config, "memory_mode": memory_mode}
    sections = {option: value for option, value in options.items() if value is not None}
    if name is None and not sections and model.endswith(".wb"):
        return None
    target = resolve(name or _TARGET)
    return target.configured(**sections) if sections else target


def open_session(
    model: str,
    target: "Target | None",
    input_size: str | None = None,
    pretrained: bool = False,
    recipe: Path | None = None,
    task: str | None = None,
) -> "Session":
    """The session of a model or a session file on a target, after a recipe where one is given.

    task: whose classes a model's head has; a session file brings its own head.
    """
    from ..files import nearest_file
    from ..recipe import Recipe

    steps = None if recipe is None else Recipe.load(recipe)
    size = _size(input_size)
    if model.endswith(".wb"):
        if input_size is not None or pretrained:
            raise InputError(f"{model} brings its own input size and weights; leave --input-size and --pretrained out")
        nearest_file(model, "session", (".wb",))
    with working(f"opening {model}"):
        if model.endswith(".wb"):
            from ..session import load

            loaded = load(model)
            session = loaded if target is None else loaded.on(target)
        else:
            from ..session import open

            session = open(model, target=target or _TARGET, input_size=size, pretrained=pretrained, task=task)
        return session if steps is None else session.apply(steps)


def check_out(out: Path | None) -> None:
    """Refuse what cannot be written before anything is opened."""
    from ..files import check_folder

    if out is None:
        return
    if out.suffix not in _WRITERS:
        raise InputError(
            f"cannot write {out.suffix or out.name!r}; --out takes {', '.join(_WRITERS)}, such as {out.stem}.wb"
        )
    check_folder(out)


def write_out(session: "Session", out: Path) -> Path:
    """Write the session in the format its suffix names; answers with the path."""
    with working(f"writing {out}"):
        getattr(session, _WRITERS[out.suffix])(out)
    return out


def _size(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"--input-size {text!r} must be three whole numbers, channels,height,width, such as 3,224,224")
    return int(parts[0]), int(parts[1]), int(parts[2])
