"""Blocks come out as experts name them, and every operator is in one."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from workbench.graph import Block, Graph, Op, Param, Plan, RemoveModule, ReplaceBlock, rewrite
from workbench.graph.trace import trace

from .zoo import traced

MODELS = [
    ("mobilenetv2_100", 64),
    ("mobilenetv3_small_050", 64),
    ("mobilenetv4_conv_small", 64),
    ("mixnet_s", 64),
    ("ghostnet_050", 64),
    ("rexnet_100", 64),
    ("resnet18", 64),
    ("resnet50", 64),
    ("resnest14d", 64),
    ("regnetx_002", 64),
    ("repvgg_a0", 64),
    ("lcnet_050", 64),
    ("efficientnetv2_rw_t", 64),
    ("test_byobnet", 64),
    ("test_convnext", 64),
    ("mobilevit_xxs", 64),
]


def runs(graph: Graph) -> list[tuple[str, str]]:
    return [(block.name, block.kind) for block in graph.blocks]


def named(graph: Graph, name: str) -> Block:
    return next(block for block in graph.blocks if block.name == name)


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_every_operator_but_the_input_is_in_exactly_one_block(name: str, size: int) -> None:
    graph = traced(name, size)
    members = Counter(op for block in graph.blocks for op in block.ops)
    assert members == Counter(op.name for op in graph.ops if op.kind != "input")
    assert len({block.name for block in graph.blocks}) == len(graph.blocks)
    order = {op.name: i for i, op in enumerate(graph.ops)}
    for block in graph.blocks:
        assert list(block.ops) == sorted(block.ops, key=order.__getitem__)
        assert block.output in block.ops and block.input not in block.ops
        assert block.input in graph.by_name


def test_mobilenetv2_is_a_stem_one_separable_sixteen_ibn_and_a_head() -> None:
    blocks = runs(traced("mobilenetv2_100", 64))
    layers = [1, 2, 3, 4, 3, 3, 1]
    paths = [f"blocks.{i}.{j}" for i, n in enumerate(layers) for j in range(n)]
    assert blocks == [
        ("conv_stem", "conv"),
        ("blocks.0.0", "depthwise-separable"),
        *((path, "ibn") for path in paths[1:]),
        ("conv_head", "conv"),
        ("classifier", "head"),
    ]
    assert sum(kind == "ibn" for _, kind in blocks) == 16


def test_the_facts_of_an_inverted_bottleneck() -> None:
    graph = traced("mobilenetv2_100", 64)
    first, second = named(graph, "blocks.1.0"), named(graph, "blocks.1.1")
    assert (first.resolution, first.stride, first.kernel) == ((32, 32), 2, 3)
    assert (first.width, first.mid_width, first.out_width) == (16, 96, 24)
    assert not first.residual and not first.se and first.cls == "InvertedResidual"
    assert (second.stride, second.residual, second.mid_width) == (1, True, 144)
    assert second.input == first.output
    assert [graph.by_name[name].kind for name in second.ops].count("add") == 1
    head = named(graph, "classifier")
    assert (head.resolution, head.width, head.out_width) == ((2, 2), 1280, 1000)


def test_resnets_are_basic_blocks_and_bottlenecks() -> None:
    small, large = traced("resnet18", 64), traced("resnet50", 64)
    assert [name for name, kind in runs(small) if kind == "basic"] == [
        f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)
    ]
    assert runs(small)[:2] == [("conv1", "conv"), ("maxpool", "other")] and runs(small)[-1] == ("fc", "head")
    assert sum(kind == "bottleneck" for _, kind in runs(large)) == 16
    block = named(large, "layer2.0")  # a strided shortcut of its own
    assert (block.width, block.mid_width, block.out_width, block.stride, block.residual) == (256, 128, 512, 2, True)


def test_efficientnetv2_begins_with_fused_blocks() -> None:
    graph = traced("efficientnetv2_rw_t", 64)
    kinds = [kind for _, kind in runs(graph)]
    assert kinds == ["conv"] * 3 + ["fused-ibn"] * 8 + ["ibn"] * 29 + ["conv", "head"]
    assert named(graph, "blocks.3.0").se and not named(graph, "blocks.1.0").se
    fused = named(graph, "blocks.1.1")
    assert (fused.width, fused.mid_width, fused.out_width, fused.kernel, fused.residual) == (40, 160, 40, 3, True)


def test_mobilenetv4_is_universal() -> None:
    graph = traced("mobilenetv4_conv_small", 64)
    assert Counter(kind for _, kind in runs(graph)) == {"conv": 6, "universal-ib": 12, "head": 1}
    assert named(graph, "blocks.2.0").kernel == 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenetv3_small_050", {"conv": 2, "depthwise-separable": 1, "ibn": 10, "head": 1}),
        ("lcnet_050", {"conv": 1, "depthwise-separable": 13, "head": 1}),
        ("rexnet_100", {"conv": 2, "depthwise-separable": 1, "ibn": 15, "head": 1}),
        ("regnetx_002", {"conv": 1, "bottleneck": 13, "head": 1}),
        ("repvgg_a0", {"conv": 22, "head": 1}),
        ("mixnet_s", {"conv": 2, "depthwise-separable": 1, "ibn": 15, "head": 1}),
        ("resnest14d", {"conv": 3, "other": 1, "bottleneck": 4, "head": 1}),
        ("ghostnet_050", {"conv": 2, "other": 16, "head": 1}),
    ],
)
def test_families(name: str, expected: dict[str, int]) -> None:
    assert Counter(kind for _, kind in runs(traced(name, 64))) == expected


def test_rexnet_adds_into_some_channels_and_has_gates() -> None:
    block = named(traced("rexnet_100", 64), "features.4")
    assert block.residual and block.se and block.cls == "LinearBottleneck"


def test_a_map_of_one_pixel_does_not_change_the_blocks() -> None:
    large, tiny = traced("mobilenetv3_small_050", 64), traced("mobilenetv3_small_050", 16)
    assert runs(tiny) == runs(large)


class Ibn(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, 4 * width, 1)
        self.dw = nn.Conv2d(4 * width, 4 * width, 5, padding=2, groups=4 * width)
        self.project = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.dw(self.expand(x).relu()).relu())


class Own(nn.Module):
    """A user's model: blocks in a stage of its own, loose layers, functional pooling."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.body = nn.Sequential(*(Ibn(8) for _ in range(depth)))
        self.norm = nn.BatchNorm2d(8)
        self.out = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.body(self.first(x).relu()))
        return self.out(x.mean((2, 3)))


@pytest.mark.parametrize("depth", [1, 3])
def test_structure_counts_not_class_names(depth: int) -> None:
    assert runs(trace(Own(depth), (3, 16, 16))) == [
        ("first", "conv"),
        *((f"body.{i}", "ibn") for i in range(depth)),
        ("norm", "other"),
        ("out", "head"),
    ]


def test_a_model_inside_a_model_keeps_its_blocks() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = Own(2)
            self.boxes = nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.boxes(self.backbone(x))

    assert [name for name, kind in runs(trace(Detector(), (3, 16, 16))) if kind == "ibn"] == [
        "backbone.body.0",
        "backbone.body.1",
    ]


def test_a_network_without_a_head_has_none() -> None:
    graph = trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1)), (3, 16, 16))
    assert runs(graph) == [("0", "conv"), ("2", "conv")]
    assert graph.blocks[0].output == graph.ops[2].name


def test_an_edited_graph_has_the_blocks_of_its_new_structure() -> None:
    graph = traced("mobilenetv2_100", 64)
    block = named(graph, "blocks.1.0")
    wide = graph.by_name[block.ops[0]].shape[1]
    by_module = {graph.by_name[name].module.removeprefix("blocks.1.0."): graph.by_name[name] for name in block.ops}
    conv = by_module["conv_dw"]
    dense = Op(
        "fused",
        "conv2d",
        (block.input,),
        conv.shape,
        tuple(sorted({**dict(conv.attrs), "groups": 1}.items())),
        (Param("weight", "blocks.1.0.conv_exp.weight", (wide, block.width, 3, 3)),),
        "blocks.1.0.conv_exp",
    )
    norms = [op for op in (graph.by_name[n] for n in block.ops) if op.kind == "batch_norm"]
    new = [dense]
    for kind, path in (("batch_norm", "bn1"), ("relu6", "bn1.act")):
        params = tuple(Param(p.role, f"blocks.1.0.{path}.{p.role}", p.shape) for p in norms[1].params)
        attrs = norms[1].attrs if kind == "batch_norm" else ()
        new.append(Op(f"new_{kind}", kind, (new[-1].name,), conv.shape, attrs,
                      params if kind == "batch_norm" else (), f"blocks.1.0.{path}"))  # fmt: skip
    project = by_module["conv_pwl"]
    new.append(
        Op("new_project", "conv2d", (new[-1].name,), project.shape, project.attrs, project.params, project.module)
    )
    new.append(
        Op("new_norm", "batch_norm", ("new_project",), project.shape, norms[2].attrs, norms[2].params, "blocks.1.0.bn2")
    )
    edge_residual = "timm.models._efficientnet_blocks.EdgeResidual"
    edited = rewrite(graph, Plan((ReplaceBlock("blocks.1.0", edge_residual, block.ops, tuple(new)),)))
    fused = named(edited, "blocks.1.0")
    assert (fused.kind, fused.cls, fused.stride, fused.mid_width) == ("fused-ibn", "EdgeResidual", 2, 96)
    assert [(b.name, b.kind) for b in edited.blocks if b.name != "blocks.1.0"] == [
        pair for pair in runs(graph) if pair[0] != "blocks.1.0"
    ]


def test_an_emptied_block_leaves_the_others_alone() -> None:
    graph = traced("mobilenetv2_100", 64)
    block = named(graph, "blocks.1.1")
    edited = rewrite(graph, Plan((RemoveModule(block.name, block.ops),)))
    assert runs(edited) == [pair for pair in runs(graph) if pair[0] != "blocks.1.1"]


def test_blocks_need_no_torch() -> None:
    graph = traced("resnet18", 64)
    assert Graph(graph.ops, graph.outputs, graph.modules).blocks == graph.blocks
    assert not any(isinstance(value, torch.Tensor) for block in graph.blocks for value in vars(block).values())
