"""Bundles: what is in them is data, every figure holds on another machine, and what was changed is found."""

import io
import subprocess
import sys
import zipfile

import nbformat
import pandas as pd
import pytest
import torch
import yaml
from nbclient import NotebookClient

import workbench as wb
from workbench.errors import FileFormatError, InputError

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def session():
    opened = wb.open("mobilenetv2_050", target="ethos-u55-128", input_size=(3, 32, 32), task="digits")
    learned = opened.apply(wb.FuseIBN(blocks="blocks.1.*")).finetune("digits", epochs=1)
    return learned.apply(wb.EvenChannels()).annotate("blocks.1.0", "<script>alert(1)</script> fused first")


@pytest.fixture(scope="module")
def made(session, tmp_path_factory):
    return session.bundle(tmp_path_factory.mktemp("bundle") / "friday.zip", task="digits")


@pytest.fixture(scope="module")
def verified(made):
    return wb.verify(made)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, new, **changed):
    """The bundle with other members ("_" stands for "."), digests left as they are."""
    with zipfile.ZipFile(new, "w") as archive:
        for name, data in members(path).items():
            archive.writestr(name, changed.get(name.replace(".", "_"), data))
    return new


def test_every_figure_holds_in_another_process(made, verified, session):
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "verify", str(made)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(verified["holds"]) == {"yes"}
    figures = verified.set_index(["of", "figure", "how"])["bundle"]
    assert figures["now", "latency_ms", "compiled"] == pytest.approx(session.verify().latency_ms)
    assert figures["now", "macs", "counted"] == session.graph.macs
    assert figures["now", "top-1 accuracy", "run"] == pytest.approx(float(session.evaluate("digits")))
    assert figures["int8 file", "top-1 accuracy", "run"] == pytest.approx(float(session.evaluate("digits", "int8")))
    rows = [row for row in yaml.safe_load(members(made)["bundle.yaml"])["figures"] if "pictures" in row]
    assert [(row["of"], row["pictures"], row["low"] < row["value"] < row["high"]) for row in rows] == [
        ("now", 359, True), ("int8 file", 359, True)
    ]  # fmt: skip
    assert "points (95 %: " in rows[1]["difference"]
    assert figures["int8 file", "latency_ms", "compiled"] == pytest.approx(
        session.target.measure(members(made)["deployed.tflite"]).latency_ms
    )


def test_estimates_do_not_depend_on_what_the_maker_compiled(session, verified, tmp_path):
    session.verify()  # kept, and sharpens the session's own estimates
    table = wb.verify(session.bundle(tmp_path / "again.zip", calibration=torch.randn(4, 3, 32, 32)))
    estimated = table[table["how"] == "estimated"]["bundle"].tolist()
    assert estimated == verified[verified["how"] == "estimated"]["bundle"].tolist()


def test_what_was_changed_is_found(made, tmp_path):
    text = yaml.safe_load(members(made)["bundle.yaml"])
    (figure,) = [f for f in text["figures"] if (f["of"], f["figure"], f["how"]) == ("now", "latency_ms", "compiled")]
    figure["value"] *= 0.9
    prettier = rewritten(made, tmp_path / "prettier.zip", bundle_yaml=yaml.safe_dump(text).encode())
    table = wb.verify(prettier)
    (row,) = table[table["holds"] != "yes"].to_dict("records")
    assert (row["of"], row["figure"], row["holds"]) == ("now", "latency_ms", "no")
    done = subprocess.run([sys.executable, "-m", "workbench.cli", "verify", str(prettier)], capture_output=True)
    assert done.returncode == 1
    other = rewritten(made, tmp_path / "other.zip", page_html=b"<p>other</p>")
    assert dict(zip(*[wb.verify(other)[c] for c in ("of", "holds")], strict=True))["page.html"] == "no: it was changed"


def test_scores_of_other_data_are_not_checked(made, tmp_path):
    text = yaml.safe_load(members(made)["bundle.yaml"])
    text["task"] = {"name": "their pictures", "digest": "0123"}
    table = wb.verify(rewritten(made, tmp_path / "theirs.zip", bundle_yaml=yaml.safe_dump(text).encode()))
    left = table[table["holds"].str.startswith("not checked")]
    assert set(left["figure"]) == {"top-1 accuracy"}
    assert "give it as task=" in left["holds"].iloc[0]


def test_the_notebook_runs_and_escapes_what_was_noted(made, tmp_path):
    held = members(made)
    (tmp_path / "session.wb").write_bytes(held["session.wb"])
    notebook = nbformat.reads(held["notebook.ipynb"].decode(), as_version=4)
    nbformat.validate(notebook)
    assert "<script>alert" not in "".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    tables = [o["data"]["text/plain"] for c in notebook.cells for o in c.get("outputs", [])]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    again = [o["data"]["text/plain"] for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    assert again[: len(tables)] == tables
    assert "<script>alert" not in held["page.html"].decode()


def test_what_is_no_bundle_is_told_in_a_sentence(made, session, tmp_path):
    whole = made.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=r"cut.zip is no whole bundle"):
        wb.verify(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for name, data in {**members(made), "run.py": b""}.items():
            archive.writestr(name, data)
    with pytest.raises(FileFormatError, match=r"'run.py' does not belong"):
        wb.verify(tmp_path / "more.zip")
    with zipfile.ZipFile(tmp_path / "less.zip", "w") as archive:
        archive.writestr("bundle.yaml", members(made)["bundle.yaml"])
    with pytest.raises(FileFormatError, match=r"session.wb is missing"):
        wb.verify(tmp_path / "less.zip")
    text = members(made)["bundle.yaml"].replace(b"graph:", b"grape:")
    with pytest.raises(InputError, match=r"unknown key 'grape'; the nearest is 'graph'"):
        wb.verify(rewritten(made, tmp_path / "key.zip", bundle_yaml=text))
    with pytest.raises(InputError, match=r"there is no bundle file .*the nearest in that folder is 'cut.zip'"):
        wb.verify(tmp_path / "cat.zip")
    with pytest.raises(InputError, match=r"a bundle is a .zip, not '.tar'; try friday.zip"):
        session.bundle(tmp_path / "friday.tar", task="digits")
    with pytest.raises(InputError, match=r"give calibration= or task="):
        session.bundle(tmp_path / "friday.zip")
    assert not (tmp_path / "friday.zip").exists()


def test_the_compilers_report_is_of_the_file(made, session):
    held = members(made)
    report = pd.read_csv(io.BytesIO(held["compiler.csv"]))
    measured = session.target.measure(held["deployed.tflite"])
    assert report.op_cycles.sum() == measured.cycles
    assert wb.Recipe.from_yaml(held["recipe.yaml"].decode()).steps == (
        wb.FuseIBN(blocks="blocks.1.*"),
        wb.EvenChannels(),
    )
