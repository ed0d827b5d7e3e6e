"""The shell: the same answers as the API; errors are one sentence on stderr and exit code 2."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import workbench as wb
from workbench.cli import main

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
        ("search", "mobilenetv2_100", "--task", "digits", "--strategy", "hybird"),
        ("search", "mobilenetv2_100", "--task", "digits", "--budget", "sram=512"),
        ("search", "mobilenetv2_100", "--task", "digits", "-t", "ethos-u65-521"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_refused_before_torch_is_imported(arguments):
    code = (
        "import sys; from workbench.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('torch' in sys.modules)"
    )
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
