"""Execute a notebook headless, telling each cell as it runs, then show the outputs it marks as its result.

    python tools/run_notebook.py notebooks/01_quickstart.ipynb --out build

Writes the executed copy to the --out folder, which is the notebook's working directory too; with --update, its outputs
go back into the notebook itself, without what differs from run to run (times, widget views). A cell tagged `result`
has its text output printed again at the end. A notebook writes its own files to a folder `...-output` beside itself.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

__all__ = ["run", "update"]


def run(source: Path, out: Path, timeout_s: int = 600) -> Path:
    """Execute `source` in `out` and write the executed copy there; raises CellExecutionError where a cell fails."""
    notebook = nbformat.read(source, as_version=4)
    cells = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    out.mkdir(parents=True, exist_ok=True)
    started = 0.0

    def tell(cell: Any, cell_index: int) -> None:
        nonlocal started
        if cell_index in cells:
            started = time.perf_counter()
            print(f"[{cells.index(cell_index) + 1:2}/{len(cells)}] {_title(cell.source):<78}", end="", flush=True)

    def done(cell: Any, cell_index: int, execute_reply: Any) -> None:
        if cell_index in cells:
            print(f"{time.perf_counter() - started:6.1f} s", flush=True)

    # what was compiled here before would sharpen the estimates that the notebook shows
    os.environ["WORKBENCH_HOME"] = mkdtemp(prefix="workbench-")
    client = NotebookClient(
        notebook,
        timeout=timeout_s,
        resources={"metadata": {"path": str(out)}},
        on_cell_start=tell,
        on_cell_executed=done,
    )
    executed = out / source.name
    try:
        client.execute()
    finally:
        nbformat.write(notebook, executed)
    for cell in notebook.cells:
        if "result" in cell.metadata.get("tags", []):
            print(f"\n{_text(cell)}")
    return executed


def update(source: Path, executed: Path) -> None:
    """Put the outputs of an executed copy into the notebook that is committed."""
    notebook = nbformat.read(executed, as_version=4)
    metadata = nbformat.read(source, as_version=4).metadata
    notebook.metadata = {key: metadata[key] for key in ("kernelspec", "language_info") if key in metadata}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            # Without its kernel a widget is "model not found"; the picture and the text stay readable.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        if "outputs" in cell:  # what a bar leaves behind when it is done says nothing
            cell["outputs"] = [output for output in cell["outputs"] if not _is_bar(output)]
    nbformat.write(notebook, source)


def _is_bar(output: Any) -> bool:
    data = output.get("data", {})
    return "text/plain" in data and data["text/plain"].strip() in ("", "Output()")


def _title(source: str) -> str:
    """The cell's first line that does something."""
    lines = [line.strip() for line in source.splitlines()]
    line = next((line for line in lines if line and not line.startswith(("import ", "from ", "#"))), lines[0])
    return line if len(line) <= 76 else line[:75] + "…"


def _text(cell: Any) -> str:
    texts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    return "\n".join(text.strip("\n") for text in texts if text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--update", action="store_true", help="put the outputs into the notebook itself")
    arguments = parser.parse_args()
    try:
        executed = run(arguments.notebook, arguments.out)
    except CellExecutionError as error:
        print(f"\n\n{error}", file=sys.stderr)
        return 1
    if arguments.update:
        update(arguments.notebook, executed)
    print("\nwritten:")
    print(f"  {executed}")
    for file in sorted(arguments.out.glob("*-output/*")):
        print(f"  {file}{'   <- open this page in a browser' if file.suffix == '.html' else ''}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
