"""The page and the picture: complete, self-contained, safe whatever the texts in it say."""

import json
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections import OrderedDict
from datetime import date
from hashlib import sha256
from html.parser import HTMLParser

import pytest
import torch

import workbench as wb
from workbench.advice import headline, untrained_badge
from workbench.estimators import Budgets
from workbench.hardware.measurement import Measurement
from workbench.metrics import metric_text, percent_text
from workbench.report import page, picture

HOSTILE = "<script>alert('x')</script>\"><img src=http://example.com/x onerror=alert(1)>"
VOID = {"meta", "br"}


class Document(HTMLParser):
    """Tags with their attributes, the text of each kind of element; fails where tags do not balance."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def words(self) -> str:
        return " ".join(t for tag, texts in self.text.items() if tag not in ("style", "script") for t in texts)


@pytest.fixture(scope="module")
def noted(fused):
    return fused.annotate("blocks.1.0", HOSTILE)


def test_the_page_says_what_the_estimate_says(session, fused):
    read = Document(page(fused, made_on=date(2026, 11, 30)))
    estimate = fused.estimate
    for value in ("mobilenetv2_050", "ethos-u65-512", fused.target.digest, estimate.compiler, "2026-11-30"):
        assert value in read.words
    for name, value in estimate.totals().items():
        assert metric_text(name, value) in read.words
        assert metric_text(name, session.estimate.totals()[name]) in read.words
    titles = " ".join(attrs.get("title") or "" for _, attrs in read.tags)
    assert f"Exactly {estimate.peak_activation_bytes:,} bytes" in titles
    for row in estimate.blocks.to_dict("records"):
        assert row["name"] in read.text["code"]
        assert metric_text("latency_ms", row["latency_ms"]) in read.text["td"]
    assert "FuseIBN(blocks='blocks.1.*')" in read.text["td"]
    assert fused.to_recipe().to_yaml() in read.text["code"]


def test_texts_stay_texts(noted):
    for source in (page(noted), picture(noted)):
        read = Document(source)
        assert "img" not in [tag for tag, _ in read.tags]
        assert [tag for tag, _ in read.tags].count("script") <= 1
    assert HOSTILE in Document(page(noted)).words


def test_a_hostile_class_name_stays_text():
    cls = type("<script>alert(1)</script>", (torch.nn.Conv2d,), {})
    session = wb.open(cls(3, 8, 3), target="ethos-u65-512", input_size=(3, 16, 16))
    for source in (page(session), picture(session)):
        assert "<script>alert" not in source
        assert session.model_name in Document(source).words


def test_the_page_fetches_nothing(noted):
    source = page(noted)
    read = Document(source)
    for tag, attrs in read.tags:
        assert not {"src", "href", "srcset", "action", "data", "poster", "background"} & set(attrs), tag
        assert not [name for name in attrs if name.startswith("on")], tag
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
    style = "".join(read.text["style"])
    assert "url(" not in style and "@import" not in style


def test_the_policy_allows_the_one_script_and_no_request(fused):
    read = Document(page(fused))
    policy = next(
        a["content"] for t, a in read.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    script = "".join(read.text["script"])
    digest = b64encode(sha256(script.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert not re.search(r"fetch|XMLHttpRequest|import\(|eval|innerHTML", script)


def test_the_picture_is_well_formed_and_runs_nothing(session, fused):
    for each in (session, fused):
        tree = ET.fromstring(picture(each))
        assert not {"script", "link", "img"} & {e.tag for e in tree.iter()}
        assert not [e for e in tree.iter() if any(name.startswith("on") for name in e.attrib)]


def test_an_unchanged_session_has_no_changes_to_show(session):
    read = Document(page(session))
    assert "Recipe" not in read.text["h2"] and "from" not in read.words.split()


def test_compiled_figures_stand_beside_estimated_ones(session, fused):
    measured = Measurement("compiled", "ethos-u65-512", latency_ms=1.234, cycles=1_234_000, sram_bytes=654_321)
    refused = Measurement("refused", "ethos-u65-512", reason="no <such> operator")
    read = Document(page(fused, compiled=measured, compiled_before=refused))
    assert "1.23 ms" in read.text["td"] and metric_text("sram_bytes", 654_321) in read.text["td"]
    assert "compiled (compiler cycle model)" in read.words
    assert "as opened: refused: no <such> operator" in read.words


def test_share_writes_that_page(fused, tmp_path):
    measured = Measurement("compiled", "ethos-u65-512", latency_ms=1.234)
    path = fused.share(tmp_path / "tuned.html", verified=measured)
    assert path.read_text("utf-8").split("<main>")[1] == page(fused, compiled=measured).split("<main>")[1]


def test_without_an_estimate_the_page_says_so(uncalibrated):
    for source in (page(uncalibrated), picture(uncalibrated)):
        read = Document(source)
        assert "is not calibrated" in read.words and "unknown" in read.words
        assert "0.00 ms" not in read.words


def test_the_same_session_gives_the_same_page(fused):
    day = date(2026, 11, 30)
    assert page(fused, made_on=day) == page(fused, made_on=day)


def test_every_block_opens_into_its_operators(fused):
    read = Document(page(fused))
    spent = fused.estimate.detail.latency_ms
    details = [attrs for tag, attrs in read.tags if tag == "details"]
    assert len(details) == len(fused.graph.blocks)
    timed = [op for op in fused.graph.ops if spent.get(op.name, 0.0) > 0]
    assert sum("data-bound" in attrs for tag, attrs in read.tags if tag == "tr") == len(timed)
    for op in timed:
        assert metric_text("latency_ms", spent[op.name]) in read.text["td"]


def test_every_step_of_the_memory_is_there(fused):
    read = Document(page(fused))
    (panel,) = [attrs for _, attrs in read.tags if "data-steps" in attrs]
    data, timeline = json.loads(panel["data-steps"]), fused.estimate.memory_timeline
    assert [live for _, _, live, _ in data["steps"]] == [metric_text("sram_bytes", v) for v in timeline["live_bytes"]]
    assert [len(names) for *_, names in data["steps"]] == [len(t.split(", ")) for t in timeline["tensors"]]
    assert all(0 < x < 1 for x, *_ in data["steps"])
    assert int(panel["data-peak"]) == int(timeline["live_bytes"].argmax())
    assert f"{metric_text('sram_bytes', fused.estimate.peak_activation_bytes)} alive" in read.text["b"]


def test_target_code_budgets_and_notes(fused):
    noted = fused.annotate("blocks.1.0", "it pays").apply(wb.ExpandRatio(ratio=2.0, blocks="blocks.1.0"))
    budgets = Budgets(latency_ms=0.5 * noted.estimate.latency_ms, sram_kib=4096)
    read = Document(page(noted, budgets=budgets))
    assert noted.code() in read.text["code"] and "changed since" in read.text["td"]
    assert f"missed, {percent_text(100)}" in read.words and "of 4096 KiB" in read.words
    for fact in ("512 a cycle", "1000 MHz", "DRAM, 12 GB/s, read latency 500 cycles", "384 KiB"):
        assert fact in read.text["dd"], read.text["dd"]
    assert headline(noted) in read.text["p"] and untrained_badge(noted) in read.text["p"]


def test_names_of_modules_are_data_in_the_steps():
    cls = type("Net", (torch.nn.Sequential,), {})
    session = wb.open(
        cls(OrderedDict({HOSTILE.replace(".", ""): torch.nn.Conv2d(3, 8, 3), "b": torch.nn.ReLU()})),
        input_size=(3, 16, 16),
    )
    source = page(session)
    read = Document(source)
    assert "<script>alert" not in source and "img" not in [tag for tag, _ in read.tags]


def test_a_page_of_efficientnet_is_small():
    assert len(page(wb.open("efficientnet_b0", target="ethos-u85-256")).encode()) < 300_000
