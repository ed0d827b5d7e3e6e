"""The house's plan, enforced: who imports whom, who may know torch, what is exported."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import workbench
from workbench.transforms import TRANSFORMS

PACKAGE = Path(workbench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# A part may import from those before it, never from those after it.
PARTS = (
    "errors", "files", "progress", "background", "metrics", "table", "choices", "graph", "hardware", "estimators",
    "transforms",
    "recipe", "state", "space", "surgery", "advice", "training", "deploy", "forecast", "search", "mining", "report",
    "widgets", "session", "cli",
)  # fmt: skip
ORDER = {part: place for place, part in enumerate(PARTS)}
KNOW_TORCH = (
    "graph/trace/", "estimators/calibration_networks.py", "hardware/torch_cuda.py",
    "state/", "surgery/", "training/", "deploy/", "forecast/", "search/", "session/",
)  # fmt: skip
HEAVY = ("torch", "torchvision", "timm", "pandas", "sklearn", "scipy", "seaborn", "matplotlib", "IPython", "onnx")


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def _part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _module(file: Path) -> str:
    return ".".join(("workbench", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {_module(file): file for file in FILES}


def _imports(file: Path) -> Iterator[str]:
    """Every module the file imports, absolute: at the top, inside functions, and for the type checker alone."""
    package = ("workbench", *file.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = [*package[: len(package) - node.level + 1]] if node.level else []
                module = ".".join([*base, *([node.module] if node.module else [])])
                yield from (f"{module}.{alias.name}" for alias in node.names)


def _files_of(file: Path) -> Iterator[str]:
    """The package's own modules among them: `from ..graph import Op` is one of graph's front door."""
    for name in _imports(file):
        module = name if name in MODULES else name.rpartition(".")[0]
        if module in MODULES and MODULES[module] != file:
            yield module


def _front(file: Path) -> bool:
    """The front door, which looks everything up on first use."""
    return _name(file) == "__init__.py"


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_imports_go_one_way(file: Path) -> None:
    if _front(file):
        return
    part = _part(file)
    assert part in ORDER, f"{_name(file)}: give {part!r} its place in the order of imports"
    for name in _imports(file):
        if name.startswith("workbench."):
            other = name.split(".")[1]
            # `from . import errors` at the top level arrives here as "workbench.errors", a name as "workbench.Name".
            if other in ORDER and other != part:
                assert ORDER[other] < ORDER[part], f"{_name(file)} imports {name}, which stands below it"


def test_no_files_import_each_other_in_a_circle() -> None:
    needs = {name: set(_files_of(file)) for name, file in MODULES.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of files: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_only_a_few_files_know_torch(file: Path) -> None:
    if not _name(file).startswith(KNOW_TORCH):
        known = {name.split(".")[0] for name in _imports(file)} & {"torch", "torchvision", "timm"}
        assert not known, f"{_name(file)} imports {', '.join(known)}"


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_nothing_is_unpickled(file: Path) -> None:
    roots = {name.split(".")[0] for name in _imports(file)}
    assert not roots & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("statement", ["import workbench", "import workbench.cli", "from workbench import errors"])
def test_the_import_is_light(statement: str) -> None:
    code = f"{statement}; import sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(HEAVY)


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_what_a_file_exports_is_written_down(file: Path) -> None:
    """A file that defines something public has an `__all__`, and every name in it is bound there."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name[0] != "_"]
    lists = [
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name) and n.targets[0].id == "__all__"
    ]
    has_list = len(lists) == 1 or not defined or _front(file)
    assert has_list, f"{_name(file)} defines {', '.join(defined)} and has no __all__"
    if lists:  # the front door looks its names up on first use; the next tests ask them
        bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | set(defined)
        bound |= {n.asname or n.name for n in ast.walk(tree) if isinstance(n, ast.alias)}
        assert not (lacking := set(lists[0]) - bound), f"{_name(file)} exports what it lacks: {sorted(lacking)}"


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(workbench, name) is not None


def test_the_type_checker_sees_what_is_exported() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    names = {alias.asname for n in ast.walk(block) if isinstance(n, ast.ImportFrom) for alias in n.names}
    names |= {n.id for n in ast.walk(block) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    stars = {n.module for n in ast.walk(block) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"}
    assert stars == {"transforms.every"}
    assert (names | {*TRANSFORMS, "__version__", "targets", "weights"}) - {None} == set(workbench.__all__)


def test_files_stay_small() -> None:
    """A file of more than 500 lines is two files."""
    long = {_name(file): lines for file in FILES if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 500}
    assert not long
