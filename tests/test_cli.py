"""The shell: the same answers as the API; errors are one sentence on stderr and exit code 2."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import workbench as wb
from workbench.cli import main
from workbench.metrics import metric_text
from workbench.recipe import from_step

RECIPE = Path(__file__).parents[1] / "recipes" / "wide-array-fuse-early.yaml"
SMALL = ["--input-size", "3,64,64"]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


def test_targets_are_listed(capsys):
    assert run("targets") == 0
    out = capsys.readouterr().out
    assert "ethos-u55-128" in out
    assert "ethos-u85-2048" in out


def test_estimate_is_the_sessions(capsys):
    assert run("estimate", "mobilenetv2_050", "--target", "ethos-u65-512", "--blocks", *SMALL) == 0
    out = capsys.readouterr().out
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    assert f"{session.estimate.latency_ms:.3f} ms" in out
    assert all(name in out for name in session.blocks["name"])


def test_apply_writes_what_is_asked_for(tmp_path, capsys):
    out = tmp_path / "tuned.wb"
    assert run("apply", "mobilenetv2_050", str(RECIPE), "--target", "ethos-u85-1024", "--out", str(out)) == 0
    printed = capsys.readouterr().out
    tuned = wb.load(out)
    assert len(tuned.steps) == len(wb.Recipe.load(RECIPE).steps)
    assert f"{tuned.estimate.latency_ms:.3f}" in printed
    assert run("estimate", str(out), "--target", "ethos-u85-1024") == 0
    assert f"{tuned.estimate.latency_ms:.3f} ms" in capsys.readouterr().out


def test_verify_shows_compiled_beside_estimated(capsys):
    assert run("verify", "mobilenetv2_050", "--target", "ethos-u55-128", *SMALL) == 0
    out = capsys.readouterr().out
    assert "compiled" in out
    assert "estimated" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["estimate", "mobilenetv2_1000"], "unknown timm model 'mobilenetv2_1000'; the nearest is 'mobilenetv2_100'"),
        (["estimate", "mobilenetv2_050", "-t", "ethos-u65-521"], "'ethos-u65-521'; the nearest is 'ethos-u65-512'"),
        (["estimate", "mobilenetv2_050", "--input-size", "224"], "'224' must be three whole numbers"),
        (["estimate", "mobilenetv2_050", "--input-size", "0,64,64"], "three whole numbers above zero"),
        (["apply", "mobilenetv2_050", "recipes/no.yaml", *SMALL], "there is no recipe file"),
        (
            ["apply", "mobilenetv2_050", str(RECIPE), "-o", "x.pdf"],
            "cannot write '.pdf'; --out takes .wb, .html, .onnx",
        ),
        (["verify", "tuned.wb"], "there is no session file 'tuned.wb'"),
        (["lab", "nowhere.ipynb"], "there is no notebook file 'nowhere.ipynb'"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_2(arguments, said, capsys):
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert re.fullmatch(r"workbench: [^\n]+\n", err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("estimate", "mobilenetv2_100", "-t", "ethos-u65-521"),
        ("estimate", "mobilenetv2_100", "--input-size", "3,224"),
        ("apply", "mobilenetv2_100", "missing.yaml"),
        ("apply", "mobilenetv2_100", str(RECIPE), "-o", "tuned.pdf"),
        ("verify", "mobilenetv2_100", "-r", "missing.yaml"),
        ("verify", "missing.wb", "-t", "ethos-u65-521"),
        ("estimate", "missing.wb"),
        ("findings", "mobilenetv2_100", "--ini", "missing.ini"),
        ("findings", "mobilenetv2_100", "--system-config", "Ethos_U65_Clients"),
        ("suggest", "mobilenetv2_100", "-n", "0"),
        ("meet", "mobilenetv2_100"),
        ("meet", "mobilenetv2_100", "--latency-ms", "-1"),
        ("meet", "mobilenetv2_100", "--latency-ms", "1", "-o", "nowhere/tuned.wb"),
        ("compare", "missing.tflite", "mobilenetv2_100"),
        ("compare", "missing.wb"),
        ("verify", "mobilenetv2_100", "--timeout", "0"),
        ("verify", "missing.zip"),
        ("search", "mobilenetv2_100", "--task", "digits", "--strategy", "hybird"),
        ("search", "mobilenetv2_100", "--task", "digits", "--budget", "sram=512"),
        ("search", "mobilenetv2_100", "--task", "digits", "-t", "ethos-u65-521"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_refused_before_torch_is_imported(arguments):
    code = "import sys; from workbench.cli import main\ntry: main(sys.argv[1:])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout.strip() == "False"
    assert re.fullmatch(r"workbench: [^\n]+\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("onnxruntime-cpu", "--arena-kib", "384"), "onnxruntime-cpu has no option 'arena_bytes'"),
        (("ethos-u65-512", "--strategy", "speed"), "unknown strategy 'speed'"),
        (("ethos-u", "--strategy", "size"), "strategy belongs to one configuration"),
        (("onnxruntime-cpu", "--refresh"), "--refresh needs one Ethos-U configuration"),
    ],
)
def test_options_are_those_of_the_target(capsys, arguments, words):
    assert run("calibrate", *arguments) == 2
    assert words in capsys.readouterr().err


INI = """[System_Config.Ours]
core_clock=500e6
axi0_port=Sram
axi1_port=Dram
Sram_clock_scale=1.0
Sram_burst_length=32
Sram_read_latency=32
Sram_write_latency=32
Dram_clock_scale=0.25
Dram_burst_length=128
Dram_read_latency=500
Dram_write_latency=250

[Memory_Mode.Ours]
const_mem_area=Axi1
arena_mem_area=Axi1
cache_mem_area=Axi0
arena_cache_size=262144
"""


def answer(capsys, *arguments: str, code: int = 0) -> dict:
    """What a command answers with --json, read as strictly as JSON is defined."""
    assert run(*arguments, "--json") == code
    return json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


def test_json_is_the_sessions_numbers(tmp_path, capsys):
    (tmp_path / "ours.ini").write_text(INI)
    sections = {"ini": tmp_path / "ours.ini", "system_config": "Ours", "memory_mode": "Ours"}
    options = [f for name, value in sections.items() for f in (f"--{name.replace('_', '-')}", str(value))]
    on = wb.Target.ethos_u("ethos-u65-256", **sections)
    session = wb.open("mobilenetv2_050", target=on, input_size=(3, 64, 64))
    common = ("mobilenetv2_050", "-t", "ethos-u65-256", *options, *SMALL)
    estimated = answer(capsys, "estimate", *common, "--blocks")
    assert estimated["latency_ms"] == session.estimate.latency_ms
    assert estimated["target_digest"] == on.digest != wb.Target.ethos_u("ethos-u65-256").digest
    assert [block["name"] for block in estimated["blocks"]] == list(session.blocks["name"])
    found = answer(capsys, "findings", *common)
    table = session.findings()
    assert [row["finding"] for row in found["findings"]] == list(table["finding"])
    assert [row["mend"] and from_step(row["mend"]) for row in found["findings"]] == list(table["mend"])
    assert found["headline"].startswith(metric_text("latency_ms", session.estimate.latency_ms))
    proposed = answer(capsys, "suggest", *common, "-n", "3")
    steps = [tuple(map(from_step, row["steps"])) for row in proposed["suggestions"]]
    assert steps == list(session.suggest(3)["steps"]) and proposed["suggestions"][0]["loss"] is None
    assert proposed["note"].startswith("the weights are untrained")


def test_meet_writes_the_plan_or_shows_the_nearest(tmp_path, capsys):
    out, common = tmp_path / "met.wb", ("mobilenetv2_050", "-t", "ethos-u65-512", *SMALL)
    session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 64, 64))
    budget = 0.9 * session.estimate.latency_ms
    met = answer(capsys, "meet", *common, "--latency-ms", str(budget), "-o", str(out))
    assert met["met"] and met["reason"] == "" and wb.load(out).estimate.latency_ms <= budget
    assert [from_step(step) for step in met["steps"]] == [step.transform for step in wb.load(out).steps]
    assert run("meet", *common, "--latency-ms", "0.001") == 1
    printed = capsys.readouterr()
    assert "The nearest" in printed.out
    assert re.fullmatch(r"workbench: no plan meets latency_ms=0\.001: the wall is [^\n]+", printed.err.strip())
    beside = answer(capsys, "compare", "mobilenetv2_050", str(out), *SMALL)
    assert beside["figures"][0]["after"] == wb.load(out).estimate.latency_ms
    assert beside["figures"][0]["before"] == session.estimate.latency_ms
    assert run("compare", str(out)) == 0
    assert metric_text("latency_ms", session.estimate.latency_ms) in capsys.readouterr().out


def test_brackets_are_no_markup(tmp_path, capsys):
    recipe = wb.Recipe("mine", (wb.FuseIBN(blocks="*[kind==ibn, resolution>=8]"),))
    assert run("apply", "mobilenetv2_050", str(recipe.save(tmp_path / "mine.yaml")), *SMALL) == 0
    assert "*[kind==ibn, resolution>=8]" in capsys.readouterr().out
