"""Recipe files: YAML <-> a frozen Recipe, which is a name and a tuple of transforms.

    version: 1
    name: fuse-early                # shown wherever the recipe is
    description: why it works       # optional
    target: ethos-u85-1024          # optional: the target it was made for; a recipe belongs to a target
    steps:                          # applied in this order
      - transform: FuseIBN          # a name of `workbench.transforms.TRANSFORMS`
        blocks: "blocks.*[resolution>=28]"      # and that transform's parameters

A file that is written holds every parameter, so that a default that changes one day changes no recipe; one that is
read may leave them out. A file is data: it is read with a safe loader, every key is checked, nothing in it runs.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from .errors import FileFormatError, InputError, UnknownName, WorkbenchError, unknown
from .files import line_of, nearest_file, read_yaml, write_atomic
from .transforms import TRANSFORMS, Transform

__all__ = ["Recipe", "from_step", "to_step"]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[1]
    name: str
    description: str = ""
    target: str = ""
    steps: list[dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """Transforms in the order in which they apply, with the target they were made for.

    >>> from workbench.transforms import EvenChannels
    >>> recipe = Recipe("even", (EvenChannels(),), target="ethos-u65-512")
    >>> Recipe.from_yaml(recipe.to_yaml()) == recipe
    True
    """

    name: str
    steps: tuple[Transform, ...]
    target: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if type(step) not in TRANSFORMS.values():
                raise InputError(f"recipe {self.name!r}: {step!r} is not one of the transforms {', '.join(TRANSFORMS)}")

    @classmethod
    def from_yaml(cls, text: str, source: str = "recipe") -> "Recipe":
        """Read a recipe; `source` is the name errors give.

        Raises FileFormatError (with the line) for damaged text, UnknownName for an unknown key, transform or option.
        """
        data, root = read_yaml(text, source)
        file = check(_File, data, root, source)
        if not file.steps:
            raise FileFormatError(f"{source}: a recipe needs at least one step, 'steps' is empty")
        steps = []
        for i, step in enumerate(file.steps):
            try:
                steps.append(from_step(step))
            except WorkbenchError as error:
                key = next((k for k in step if repr(k) in str(error)), None)
                line = line_of(root, ("steps", i) if key is None else ("steps", i, key))
                raise type(error)(f"{source}, line {line}: {error}") from None
        return cls(file.name, tuple(steps), file.target, file.description)

    def to_yaml(self) -> str:
        """The recipe as YAML between `---` and `...`, so that a file that was cut off is noticed."""
        data: dict[str, Any] = {"version": 1, "name": self.name}
        data |= {key: value for key in ("description", "target") if (value := getattr(self, key))}
        data["steps"] = [to_step(step) for step in self.steps]
        return yaml.safe_dump(
            data, sort_keys=False, allow_unicode=True, width=100, explicit_start=True, explicit_end=True
        )

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Read a recipe file."""
        path = nearest_file(path, "recipe", (".yaml", ".yml"))
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{path.name}: byte {error.start} is not UTF-8 text, so this is no recipe") from None
        return cls.from_yaml(text, path.name)

    def save(self, path: str | Path) -> Path:
        """Write the recipe (all of it or nothing); the path must end in .yaml or .yml."""
        path = Path(path)
        if path.suffix not in (".yaml", ".yml"):
            raise InputError(
                f"a recipe is saved as .yaml or .yml, not as {path.suffix or path.name!r}; try {path.stem}.yaml"
            )
        return write_atomic(path, self.to_yaml().encode())


def to_step(transform: Transform) -> dict[str, Any]:
    """The transform as plain data, as recipe and session files hold it: every parameter, those at their defaults, too.

    >>> from workbench.transforms import FuseIBN
    >>> to_step(FuseIBN(blocks="blocks.1.*"))
    {'transform': 'FuseIBN', 'blocks': 'blocks.1.*'}
    """
    return {"transform": type(transform).__name__, **transform.to_dict()}


def from_step(step: Mapping[str, Any]) -> Transform:
    """The transform a step of a file names; raises UnknownName or FileFormatError in one sentence."""
    if "transform" not in step:
        near = unknown("key", next(iter(step), ""), ["transform"])
        raise FileFormatError(
            f"a step needs the key 'transform'; it has {', '.join(map(repr, step)) or 'none'}"
        ) from near
    name = step["transform"]
    if not isinstance(name, str) or name not in TRANSFORMS:
        raise unknown("transform", name, TRANSFORMS)
    cls = TRANSFORMS[name]
    hints = get_type_hints(cls)
    options = {field.name: hints[field.name] for field in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in step.items():
        if key == "transform":
            continue
        if key not in options:
            raise unknown(f"option of {name}", key, options)
        try:
            values[key] = TypeAdapter(options[key]).validate_python(value)
        except ValidationError as error:
            raise FileFormatError(f"{name}: {key!r} is {value!r}: {error.errors()[0]['msg']}") from None
    try:
        return cls(**values)
    except TypeError:
        missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in values]
        raise FileFormatError(f"{name} needs the option {missing[0]!r}") from None


def check(schema: type[Any], data: object, root: yaml.Node | None, source: str) -> Any:
    """`data` as `schema`, a pydantic model; the first problem as one sentence with its line."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        # An unknown key explains a missing one ("stepz" for "steps"), so it is told first.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    loc = first["loc"]
    where = f"{source}, line {line_of(root, loc)}" if first["type"] != "missing" else source
    if first["type"] == "extra_forbidden":
        raise UnknownName(f"{where}: {unknown('key', loc[-1], _keys(schema, loc[:-1]))}")
    if first["type"] == "missing":
        raise FileFormatError(f"{where}: the key {loc[-1]!r} is missing; is the file complete?")
    if loc == ("version",):
        raise FileFormatError(
            f"{where}: version {first['input']!r} is not one this workbench reads; it reads version 1"
        )
    names = [f"entry {part + 1}" if isinstance(part, int) else repr(part) for part in loc[-1:]]
    what = f"{names[0]} is {first['input']!r}: " if names else ""
    raise FileFormatError(f"{where}: {what}{first['msg']}")


def _keys(schema: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys allowed at a place of a nested schema."""
    for part in loc:
        if isinstance(part, str) and part in schema.model_fields:
            inner: Any = schema.model_fields[part].annotation
            inner = next((a for a in getattr(inner, "__args__", (inner,)) if isinstance(a, type)), inner)
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                schema = inner
    return list(schema.model_fields)
