"""From a timm name or any module to the Base a session stands on: the module, its weights, its graph."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import FileFormatError, InputError, WorkbenchError, unknown
from ..estimators import WeightValues, weight_values
from ..files import nearest_file
from ..graph import Graph
from ..graph.trace import trace
from ..hardware import Weights
from ..training import HEADS

__all__ = ["Base", "check_weights", "create", "open_base", "prepare", "read_weights", "weights_of"]

Size = tuple[int, int, int]

# Seconds for the one request that finds out whether the hub answers; its client alone would retry for 50 s.
_HUB_PATIENCE = 5.0


@dataclass(frozen=True, eq=False)
class Base:
    """What a session starts from. The module is the session's own copy, in eval mode, and is never edited.

    name: timm name, or the class name of a custom module. input_size: (channels, height, width).
    weights: "initial" (as timm creates them, from seed 0), "pretrained", "checkpoint" or "given" (a custom module's).
    """

    name: str
    custom: bool
    input_size: Size | None
    module: nn.Module = field(repr=False)
    graph: Graph = field(repr=False)
    weights: str = "initial"
    example_inputs: Any = field(default=None, repr=False)
    classes: int | None = None  # of the head that was asked for; None: timm's own
    head: str = "classification"  # or a key of training.HEADS

    def copy(self) -> nn.Module:
        return copy.deepcopy(self.module)

    @cached_property
    def weight_values(self) -> WeightValues:
        """How the weights are distributed; unknown where they are initial, as compilers get random ones."""
        return weight_values(self.graph, None if self.weights == "initial" else weights_of(self.module))


def weights_of(module: nn.Module) -> Weights:
    """state_dict key and shape -> float32 array; None where the module has no such tensor of that shape."""
    state = {k: v for k, v in module.state_dict().items() if isinstance(v, torch.Tensor)}

    def weights(name: str, shape: tuple[int, ...]) -> Any:
        value = state.get(name)
        if value is None or tuple(value.shape) != tuple(shape):
            return None
        return value.detach().to("cpu", torch.float32).numpy()

    return weights


def open_base(
    model: str | nn.Module,
    input_size: Size | None = None,
    *,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    example_inputs: Any = None,
    classes: int | None = None,
    head: str = "classification",
) -> Base:
    """Create or copy the module, load its weights, trace it. Errors are raised before anything else happens."""
    if input_size is not None:
        input_size = _check_size(input_size)
    if isinstance(model, str):
        module, input_size = create(model, input_size, classes, head, pretrained=pretrained)
        name, custom, weights = model, False, "pretrained" if pretrained else "initial"
    elif isinstance(model, nn.Module):
        if pretrained:
            raise InputError("pretrained=True needs a timm name; a module brings its own weights (or give checkpoint=)")
        module, name, custom, weights = copy.deepcopy(model), type(model).__name__, True, "given"
        if input_size is None and example_inputs is None:
            input_size = _own_size(module, name)
    else:
        raise InputError(f"open takes a timm name or a torch module, not {type(model).__name__}; try 'mobilenetv2_100'")
    if checkpoint is not None:
        if pretrained:
            raise InputError("pretrained=True and checkpoint= both bring weights; give one of them")
        path = nearest_file(checkpoint, "checkpoint", (".safetensors",))
        state = read_weights(path.read_bytes(), path.name, path.suffix)
        check_weights(module, state, f"checkpoint {path.name!r}", name)
        module.load_state_dict(state)
        weights = "checkpoint"
    return prepare(module, name, custom, input_size, weights, example_inputs, None if custom else classes, head)


def prepare(
    module: nn.Module,
    name: str,
    custom: bool,
    input_size: Size | None,
    weights: str,
    example_inputs: Any = None,
    classes: int | None = None,
    head: str = "classification",
) -> Base:
    """Trace the module (in eval mode) and put the Base together."""
    module.eval()
    graph = trace(module, input_size, example_inputs=example_inputs)
    return Base(name, custom, input_size, module, graph, weights, example_inputs, classes, head)


def create(
    name: str,
    input_size: Size | None,
    classes: int | None = None,
    head: str = "classification",
    *,
    pretrained: bool = False,
) -> tuple[nn.Module, Size]:
    """A timm model by name at an input size (its own where None), the same initial weights each time (seed 0).

    classes: of its head, which then starts anew; None: its own. head: timm's own, or the one of `training.HEADS` that
    stands on the model without its classifier.
    """
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown("timm model", name, timm.list_models())
    tags = [n.partition(".")[2] for n in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise unknown("pretrained tag", name, [f"{architecture}.{t}" for t in tags] or [architecture])
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    own = tuple(config.input_size) if config is not None else (3, 224, 224)
    size: Size = input_size or (own[0], own[1], own[2])
    if size[0] != own[0]:
        raise InputError(
            f"input_size={size}: {name} reads {own[0]} channels, not {size[0]}; the nearest is {(own[0], *size[1:])}"
        )
    whole = head == "classification"
    if not whole and head not in HEADS:
        raise unknown("head", head, ("classification", *HEADS))
    options: dict[str, Any] = {"num_classes": classes} if whole and classes is not None else {}
    if config is not None and config.fixed_input_size and size != own:
        options["img_size"] = size[1:]
    if pretrained:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": _from_hub(name, config)}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            module = timm.create_model(name, **options)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise InputError(f"timm cannot create {name} at input_size={size}: {_first_line(error)}") from error
        if not whole:
            module = HEADS[head](module, classes)
    config_there = getattr(module if whole else module.backbone, "pretrained_cfg", None)
    if isinstance(config_there, dict):
        config_there.pop("state_dict", None)  # a second copy of all weights otherwise
    return module, size


def read_weights(data: bytes, source: str, suffix: str = ".safetensors") -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; nothing else is read, because other formats can run code."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if suffix != ".safetensors":
        raise InputError(f"weights are read from .safetensors files only (others can run code), not from {source!r}")
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FileFormatError(f"{source} is no whole safetensors file: {_first_line(error)}") from None


def check_weights(module: nn.Module, state: Mapping[str, torch.Tensor], source: str, name: str) -> None:
    """Every key and shape must fit; the first that does not is named."""
    own = {k: v for k, v in module.state_dict().items() if isinstance(v, torch.Tensor)}
    for key in state:
        if key not in own:
            raise FileFormatError(f"{source} does not fit {name}: {unknown('weight', key, own)}")
    for key, value in own.items():
        if key not in state:
            raise FileFormatError(f"{source} does not fit {name}: {key!r} is missing")
        if state[key].shape != value.shape:
            found, wanted = tuple(state[key].shape), tuple(value.shape)
            raise FileFormatError(f"{source} does not fit {name}: {key!r} has shape {found}, where {wanted} is needed")


def _check_size(size: Any) -> Size:
    rule = "must be three whole numbers above zero, (channels, height, width)"
    values = tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(values) != 3 or not all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in values):
        numbers = [v if isinstance(v, int) and v > 0 else 224 for v in values]
        near = (3, 224, 224) if len(values) != 3 else tuple(numbers)
        raise InputError(f"input_size={size!r} {rule}, such as {near}")
    return values[0], values[1], values[2]


def _own_size(module: nn.Module, name: str) -> Size:
    config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    size = config.get("input_size") if isinstance(config, Mapping) else None
    if size is None:
        raise InputError(
            f"{name} does not say its input size; give input_size=(channels, height, width) or example_inputs="
        )
    return _check_size(size)


def _from_hub(name: str, config: Any) -> dict[str, torch.Tensor]:
    """Pretrained weights from the hub's cache or the hub; one quick request first, so that offline fails at once."""
    from huggingface_hub import constants, get_session, hf_hub_download, try_to_load_from_cache

    repo = getattr(config, "hf_hub_id", None)
    if not repo:
        raise WorkbenchError(f"timm names no pretrained weights for {name}; use pretrained=False or checkpoint=")
    path = try_to_load_from_cache(repo, "model.safetensors")
    if not isinstance(path, str):
        try:
            if constants.HF_HUB_OFFLINE:
                raise ConnectionError("HF_HUB_OFFLINE is set")
            get_session().head(constants.ENDPOINT, timeout=_HUB_PATIENCE)
            path = hf_hub_download(repo, "model.safetensors")
        except Exception as error:  # the hub's client raises its own and its transport's errors, which share no base
            raise WorkbenchError(
                f"the pretrained weights of {name} could not be fetched from {constants.ENDPOINT}/{repo} "
                f"({_first_line(error)}); use pretrained=False, or checkpoint= with a safetensors file"
            ) from error
    return read_weights(Path(path).read_bytes(), repo)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
