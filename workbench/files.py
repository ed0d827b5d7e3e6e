"""Reading and writing files: YAML that is only data, whole files or none.

What a colleague sends is not trusted: no objects are made from it, sizes are bounded, and every problem is one
sentence with the line.
"""

import io
import os
import zipfile
from collections.abc import Callable, Mapping, Set
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from .errors import FileFormatError, InputError

__all__ = ["check_folder", "home", "line_of", "nearest_file", "packed", "read_yaml", "unpacked", "write_atomic"]

_MAX_TEXT = 1 << 20  # characters, or bytes where it is packed; recipes are a few hundred, sessions a few thousand


def home() -> Path:
    """The user's folder for measurements: WORKBENCH_HOME, or `workbench` in the XDG data folder."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get("WORKBENCH_HOME") or Path(base) / "workbench")


class _Loader(yaml.SafeLoader):
    """Plain data only: no references (a few of them nested expand to gigabytes) and no key given twice."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, "references (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
            if key.value in keys:
                problem = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str, source: str) -> tuple[Any, yaml.Node | None]:
    """The data and its nodes (for `line_of`); FileFormatError with the line where it is damaged."""
    if len(text) > _MAX_TEXT:
        raise FileFormatError(f"{source}: {len(text)} characters, where at most {_MAX_TEXT} are read")
    if text.startswith("---") and not text.rstrip().endswith("\n..."):
        last = text.count("\n") + 1
        raise FileFormatError(
            f"{source}, line {last}: the file starts with '---' and its closing '...' is missing: cut off?"
        )
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        data = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise FileFormatError(f"{source}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise FileFormatError(f"{source}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise FileFormatError(f"{source}: nested too deeply") from None
    if not isinstance(data, dict):
        content = "nothing" if data is None else repr(data)[:40]
        raise FileFormatError(f"{source}: expected keys and values ('version: 1', ...), found {content}")
    return data, root


def line_of(root: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest part of a path such as ("steps", 0, "blocks") that the file has."""
    line = root.start_mark.line if root is not None else 0
    node = root
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1


def nearest_file(path: str | Path, what: str, suffixes: tuple[str, ...]) -> Path:
    """`path` where it is a file; else an InputError naming the nearest file of that kind beside it."""
    path = Path(path)
    if path.is_file():
        return path
    folder = path.parent
    names = sorted(p.name for p in folder.iterdir() if p.suffix in suffixes) if folder.is_dir() else []
    near = get_close_matches(path.name, names, n=1, cutoff=0.0)
    hint = f"; the nearest in that folder is {near[0]!r}" if near else ""
    if not folder.is_dir():
        hint = f"; the folder {str(folder)!r} does not exist"
    raise InputError(f"there is no {what} file {str(path)!r}{hint}")


def check_folder(path: Path) -> None:
    """Raise InputError where no file can be written at `path`: told before minutes are spent on its content."""
    if not path.parent.is_dir():
        raise InputError(f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist")
    if path.is_dir():
        raise InputError(f"cannot write {str(path)!r}: it is a folder, and a file name is needed")


def write_atomic(path: str | Path, data: bytes) -> Path:
    """Write all of it or nothing: a temporary file in the same folder, then a rename."""
    path = Path(path)
    check_folder(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def packed(members: Mapping[str, bytes]) -> bytes:
    """A zip that stores its members as they are, with a fixed date: equal members make equal files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def unpacked(path: Path, what: str, text: str, wrong: Callable[[Set[str]], str]) -> tuple[str, dict[str, bytes]]:
    """The member `text` of a zip that `packed` made, and all others; names and sizes are looked at first.

    what: such as "bundle", for errors. wrong: what is wrong with the names of the members, "" where nothing is; a name
    given twice is handed to it as "". Raises FileFormatError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            names = set(infos) | ({""} if len(infos) != len(archive.infolist()) else set())
            if problem := wrong(names):
                raise FileFormatError(f"{path.name} {problem}")
            if infos[text].file_size > _MAX_TEXT:
                size = infos[text].file_size
                raise FileFormatError(f"{path.name}: {text} of {size} bytes, at most {_MAX_TEXT} are read")
            # Stored members cannot unpack to more than the file itself.
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos.values()):
                raise FileFormatError(f"{path.name}: its members are compressed; a {what} stores them as they are")
            members = {name: archive.read(name) for name in infos}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path.name} is no whole {what}: {str(error).rstrip('.')}") from None
    try:
        return members.pop(text).decode("utf-8"), members
    except UnicodeDecodeError:
        raise FileFormatError(f"{path.name}: {text} is not UTF-8 text") from None
