"""From a timm name, or any module, to a Base: the module, its weights, its graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError, WorkbenchError, first_line, unknown
from ..files import nearest_file
from ..graph.trace import trace
from .base import Base, Size
from .own_inputs import arguments, batched, reads_no_batch
from .own_module import own_copy
from .weights import check_weights, read_weights
from .width_rules import WidthRules, width_rules_of

__all__ = ["Head", "create", "open_base", "prepare"]

# Seconds for the one request that finds out whether the hub answers; its client alone would retry for 50 s.
_HUB_PATIENCE = 5.0


@dataclass(frozen=True)
class Head:
    """What stands on a timm backbone for a task.

    classes: number of outputs a place. kind: "classification", timm's own classifier, or the name of another head.
    attach: puts that other head on a model (module, classes); None for a classifier.
    """

    classes: int
    kind: str = "classification"
    attach: Callable[[nn.Module, int], nn.Module] | None = None


def open_base(
    model: str | nn.Module,
    input_size: Size | None = None,
    *,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    example_inputs: Any = None,
    head: Head | None = None,
    width_rules: WidthRules | None = None,
) -> Base:
    """Create or copy the module, load its weights, trace it. Errors are raised before anything else happens."""
    if input_size is not None:
        input_size = _check_size(input_size)
    if isinstance(model, str):
        module, input_size = create(model, input_size, head, pretrained=pretrained)
        name, custom, weights = model, False, "pretrained" if pretrained else "initial"
    elif isinstance(model, nn.Module):
        if pretrained:
            raise InputError("pretrained=True needs a timm name; a module brings its own weights (or give checkpoint=)")
        module, name, custom, weights = own_copy(model), type(model).__name__, True, "given"
        if input_size is None and example_inputs is None:
            input_size = _own_size(module, name)
    else:
        raise InputError(f"open takes a timm name or a torch module, not {type(model).__name__}; try 'mobilenetv2_100'")
    if checkpoint is not None:
        if pretrained:
            raise InputError("pretrained=True and checkpoint= both bring weights; give one of them")
        path = nearest_file(checkpoint, "checkpoint", (".safetensors",))
        tensors = read_weights(path.read_bytes(), path.name, path.suffix)
        check_weights(module, tensors, f"checkpoint {path.name!r}", name)
        module.load_state_dict(tensors)
        weights = "checkpoint"
    return prepare(module, name, custom, input_size, weights, example_inputs, None if custom else head, width_rules)


def prepare(
    module: nn.Module,
    name: str,
    custom: bool,
    input_size: Size | None,
    weights: str,
    example_inputs: Any = None,
    head: Head | None = None,
    width_rules: WidthRules | None = None,
) -> Base:
    """Trace the module (in eval mode) and put the Base together."""
    module.eval()
    rules = width_rules_of(module, width_rules)
    inputs = None if example_inputs is None else arguments(module, example_inputs)
    graph = trace(module, input_size, example_inputs=inputs)
    if inputs is not None and reads_no_batch(graph):
        inputs = batched(inputs)
        graph = trace(module, None, example_inputs=inputs)
    classes, kind = (None, "classification") if head is None else (head.classes, head.kind)
    return Base(name, custom, input_size, module, graph, weights, inputs, classes, kind, rules)


def create(
    name: str, input_size: Size | None, head: Head | None = None, *, pretrained: bool = False
) -> tuple[nn.Module, Size]:
    """A timm model by name at an input size (its own where None), the same initial weights each time (seed 0).

    Where images have another number of channels than timm's, timm adapts the first layer (grey: the sum over colours).
    head: a new head; None keeps timm's own classifier. Raises UnknownName (model, tag) and InputError (size).
    """
    import timm

    config = _configuration(name)
    own = tuple(config.input_size) if config is not None else (3, 224, 224)
    size: Size = input_size or (own[0], own[1], own[2])
    attach = None if head is None else head.attach
    options: dict[str, Any] = {"num_classes": head.classes} if head is not None and attach is None else {}
    if size[0] != own[0]:
        options["in_chans"] = size[0]
    if config is not None and config.fixed_input_size and size[1:] != own[1:]:
        options["img_size"] = size[1:]
    if pretrained:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": _from_hub(name, config)}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            backbone = timm.create_model(name, **options)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise InputError(f"timm cannot create {name} at input_size={size}: {first_line(error)}") from error
        configuration: Any = getattr(backbone, "pretrained_cfg", None)
        if isinstance(configuration, dict):
            configuration.pop("state_dict", None)  # a second copy of all weights otherwise
        module = backbone if head is None or attach is None else attach(backbone, head.classes)
    return module, size


def _configuration(name: str) -> Any:
    """Timm's configuration of a model's weights, None where it has none."""
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown("timm model", name, timm.list_models())
    tags = [n.partition(".")[2] for n in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise unknown("pretrained tag", name, [f"{architecture}.{t}" for t in tags] or [architecture])
    return timm.get_pretrained_cfg(name, allow_unregistered=True)


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
                f"({first_line(error)}); use pretrained=False, or checkpoint= with a safetensors file"
            ) from error
    return read_weights(Path(path).read_bytes(), repo)
