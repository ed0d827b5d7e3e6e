"""A user says how the widths in his classes' code follow an edit; what follows is held against the module made anew."""

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.models.ghostnet import GhostModule
from torch import Tensor, nn

import workbench as wb
from workbench.errors import InputError, NotApplicable, WorkbenchError
from workbench.transforms import TRANSFORMS

from .test_trial import lively

EVERY = [example for transform in TRANSFORMS.values() for example in transform.examples()]
WIDEN = (wb.DepthMultiplier(1.5), wb.EvenChannels("up", multiple=24))
NARROW = (wb.DepthMultiplier(0.5), wb.EvenChannels("down", multiple=12))


class Ghost(nn.Module):
    """GhostNet's module by hand (Han et al., 2020): half of the channels is made cheaply from the other half."""

    def __init__(self, reads: int, makes: int) -> None:
        super().__init__()
        self.makes, half = makes, (makes + 1) // 2
        self.primary = nn.Sequential(nn.Conv2d(reads, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.cheap = nn.Sequential(nn.Conv2d(half, half, 3, 1, 1, groups=half), nn.BatchNorm2d(half), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary(x)
        return torch.cat([x, self.cheap(x)], 1)[:, : self.makes]


class Split(nn.Module):
    def __init__(self, wide: int = 48, convolved: int = 16, makes: int = 8) -> None:
        super().__init__()
        self.widths = [convolved, wide - convolved]
        self.wide, self.out = nn.Conv2d(3, wide, 3, padding=1), nn.Conv2d(wide, makes, 1)
        self.part = nn.Conv2d(convolved, convolved, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.wide(x).split(self.widths, 1)
        return self.out(torch.cat([self.part(a), b], 1))


class Slice(Split):
    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(x)
        return self.out(torch.cat([self.part(x[:, : self.widths[0]]), x[:, self.widths[0] :]], 1))


class Grouped(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.wide, self.out = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 4, 1)
        self.weight = nn.Parameter(torch.randn(width, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.conv2d(self.wide(x), self.weight, padding=1, groups=self.width))


class Blur(nn.Module):
    """One constant for each of its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("kernel", torch.full((channels, 1, 2, 2), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, stride=2, groups=self.channels)


def ghost(block: wb.BlockWidths) -> dict[str, Any]:
    return {"makes": block.makes}


def split(block: wb.BlockWidths) -> dict[str, Any]:
    return {"widths": list(block.parts)}


def grouped(block: wb.BlockWidths) -> dict[str, Any]:
    return {"width": len(block.module.weight)}


def blur(block: wb.BlockWidths) -> dict[str, Any]:
    return {"channels": block.reads, "kernel": block.module.kernel[:1].repeat(block.reads, 1, 1, 1)}


def ghosts(*widths: int, cls: Callable[[int, int], nn.Module] = Ghost) -> nn.Sequential:
    blocks = [cls(a, b) for a, b in zip((3, *widths[:-1]), widths, strict=True)]
    return nn.Sequential(*blocks, nn.Conv2d(widths[-1], 10, 1))


# network, its rules, and the same network made anew at the widths that a built one has
CASES: dict[str, tuple[Callable[[], nn.Module], Any, Callable[[Any], nn.Module]]] = {
    "Ghost": (lambda: ghosts(32, 48), {Ghost: ghost}, lambda m: ghosts(m[0].makes, m[1].makes)),
    "split": (Split, {Split: split}, lambda m: Split(sum(m.widths), m.widths[0])),
    "slices": (Slice, {Split: split}, lambda m: Slice(sum(m.widths), m.widths[0])),
    "groups": (Grouped, {Grouped: grouped}, lambda m: Grouped(m.width)),
    "constants": (
        lambda: nn.Sequential(nn.Conv2d(3, 16, 3), Blur(16), nn.ReLU(), nn.Conv2d(16, 4, 1)),
        {Blur: blur},
        lambda m: nn.Sequential(nn.Conv2d(3, w := m[1].channels, 3), Blur(w), nn.ReLU(), nn.Conv2d(w, 4, 1)),
    ),
}


def same(a: nn.Module, b: nn.Module, size: int = 24) -> float:
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return float((a(x) - b(x)).norm() / b(x).norm())


@pytest.mark.parametrize("name", CASES)
def test_widths_in_code_follow(name: str) -> None:
    make, rules, again = CASES[name]
    torch.manual_seed(0)
    net = lively(make())
    session = wb.open(net, input_size=(3, 24, 24), width_rules=rules)
    for step in (*WIDEN, *NARROW):
        built = session.apply(step).build()
        anew = again(built).eval()
        anew.load_state_dict(built.state_dict())  # every parameter has the shape its class gives it at these widths
        assert same(anew, built) == 0
        assert (same(built, net) < 1e-5) == (step in WIDEN)


def test_halves_that_differ_stay_apart() -> None:
    """47 channels are 24 and 23 of the other 24: the one that is cut off is a width of its own."""
    net = lively(ghosts(31, 47))
    session = wb.open(net, input_size=(3, 24, 24), width_rules={Ghost: ghost})
    for step in (*WIDEN, *NARROW):
        built = session.apply(step).build()
        assert [built[i].makes for i in (0, 1)] == [built[1].primary[0].in_channels, built[2].in_channels]
        assert (same(built, net) < 1e-5) == (step in WIDEN)


def test_whatever_is_applied_builds() -> None:
    session = wb.open(lively(ghosts(32, 48)), input_size=(3, 32, 32), width_rules={Ghost: ghost})
    for step in EVERY:
        try:
            after = session.apply(step)
        except NotApplicable:
            continue
        after.build()
    assert len(session.suggest(3)) > 0


def test_without_a_rule_they_are_refused_with_the_remedy() -> None:
    with pytest.raises(NotApplicable, match=r"0 \(Ghost\) holds .* do not follow the plan; .*width_rules=\{Ghost: "):
        wb.open(ghosts(32, 48).eval(), input_size=(3, 24, 24)).apply(wb.DepthMultiplier(1.5))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda block: {"makes": block.makes - 1}, r"0 \(Ghost\) does not follow the plan with makes=15"),
        (lambda block: {"make": block.makes}, r"width rule of 0 \(Ghost\) sets an unknown attribute 'make'; .*'makes'"),
        (lambda block: {"makes": block.module.parts}, r"width rule of 0 \(Ghost\) fails: AttributeError: .* 'parts'"),
        (lambda block: block.makes, r"width rule of 0 \(Ghost\) fails: TypeError"),
        (lambda block: {"makes": torch.ones(3)}, r"0 \(Ghost\)"),
    ],
    ids=["another width", "no such attribute", "raises", "no mapping", "no number"],
)
def test_wrong_rules_are_refused_in_one_sentence(rule: Callable[[wb.BlockWidths], Any], text: str) -> None:
    session = wb.open(ghosts(32, 48).eval(), input_size=(3, 24, 24), width_rules={Ghost: rule})
    with pytest.raises(NotApplicable, match=text) as caught:
        session.apply(wb.DepthMultiplier(0.5))
    assert str(caught.value).startswith("DepthMultiplier(ratio=0.5) cannot be carried out: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([Ghost], "width_rules is a list; it must map classes"),
        ({"Ghost": ghost}, "must map classes of modules to functions"),
        ({Ghost: 3}, "must map classes of modules to functions"),
        ({Split: split}, "a rule for Split, and Sequential has no such module; its own classes are Ghost"),
        ({type("Ghost", (nn.Module,), {}): ghost}, "a class that was defined again is another one"),
    ],
    ids=["a list", "a name", "a number", "another class", "defined again"],
)
def test_what_is_no_rule_of_the_network_is_refused(rules: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        wb.open(ghosts(32, 48), input_size=(3, 24, 24), width_rules=rules)


def test_a_rule_comes_before_that_of_timms_class() -> None:
    net = nn.Sequential(GhostModule(3, 32), GhostModule(32, 48), nn.Conv2d(48, 10, 1)).eval()
    calls: list[str] = []

    def counted(block: wb.BlockWidths) -> dict[str, Any]:
        calls.append(block.path)
        return {"out_chs": block.makes}

    after = wb.open(net, input_size=(3, 24, 24), width_rules={GhostModule: counted}).apply(wb.DepthMultiplier(1.5))
    ours = wb.open(net, input_size=(3, 24, 24)).apply(wb.DepthMultiplier(1.5)).build()
    assert set(calls) == {"0", "1"}
    assert same(after.build(), ours) == 0


def test_a_saved_session_is_loaded_with_rules(tmp_path: Path) -> None:
    net = lively(ghosts(32, 48))
    session = wb.open(net, input_size=(3, 24, 24), width_rules={Ghost: ghost}).apply(wb.DepthMultiplier(0.5))
    loaded = wb.load(session.save(tmp_path / "ghosts.wb"), net, width_rules={Ghost: ghost})
    assert same(loaded.build(), session.build()) == 0
    assert same(loaded.apply(wb.EvenChannels("up")).build(), session.build()) < 1e-5


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package with two classes and the rules of three, as pip would leave it."""
    (tmp_path / "lab_layers.py").write_text(
        dedent(
            """
            from tests.surgery.test_width_rules import Ghost as Base, ghost

            class Ghost(Base):
                pass

            class Broken(Base):
                pass
            """
        ),
        encoding="utf-8",
    )
    info = tmp_path / "lab_layers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-layers\nVersion: 1.0\n", encoding="utf-8")
    points = """
        [workbench.width_rules]
        lab_layers.Ghost = lab_layers:ghost
        lab_layers.Broken = lab_layers:nothing
        lab_layers.Elsewhere = lab_layers:nothing
    """
    (info / "entry_points.txt").write_text(dedent(points), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import lab_layers

    yield lab_layers
    sys.modules.pop("lab_layers", None)


def test_rules_of_packages(installed: Any) -> None:
    net = lively(ghosts(32, 48, cls=installed.Ghost))
    assert wb.open(net, input_size=(3, 24, 24)).apply(wb.DepthMultiplier(0.5)).build()[1].makes == 32
    broken = ghosts(32, 48, cls=installed.Broken)
    with pytest.raises(WorkbenchError, match=r"rule of lab_layers\.Broken \(lab_layers:nothing\) cannot be loaded: "):
        wb.open(broken, input_size=(3, 24, 24))
    wb.open(broken, input_size=(3, 24, 24), width_rules={installed.Broken: ghost}).apply(wb.DepthMultiplier(0.5))
