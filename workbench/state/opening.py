"""From a timm name, or any module, to a Base: the module, its weights, its graph."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError, InputWarning, first_line, unknown
from ..files import nearest_file
from ..graph.trace import trace
from .base import Base, Size
from .carrying import Exceptions, carry, classifier_of, outermost
from .own_inputs import arguments, batched, reads_no_batch
from .own_module import own_copy
from .pretrained import pretrained_weights
from .weight_source import WeightSource, digest_of
from .weights import read_weights, tensors_of
from .width_rules import WidthRules, width_rules_of

__all__ = ["Checkpoint", "Created", "Head", "create", "open_base", "prepare"]

_WHOLE: Exceptions = ((), ())  # nothing left out, nothing anew


@dataclass(frozen=True)
class Head:
    """What stands on a timm backbone for a task.

    classes: number of outputs a place. kind: "classification", timm's own classifier, or the name of another head.
    attach: puts that other head on a model (module, classes); None for a classifier.
    """

    classes: int
    kind: str = "classification"
    attach: Callable[[nn.Module, int], nn.Module] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a safetensors file, and where they come from."""

    tensors: Mapping[str, torch.Tensor]
    source: WeightSource

    @property
    def name(self) -> str:
        """For errors."""
        return f"checkpoint {self.source.file!r}"


@dataclass(frozen=True)
class Created:
    """A timm model at an input size, with the source of its weights; None where they are initial."""

    module: nn.Module
    input_size: Size
    source: WeightSource | None = None


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
    if not isinstance(model, (str, nn.Module)):
        raise InputError(f"open takes a timm name or a torch module, not {type(model).__name__}; try 'mobilenetv2_100'")
    if pretrained and isinstance(model, nn.Module):
        raise InputError("pretrained=True needs a timm name; a module brings its own weights (or give checkpoint=)")
    if pretrained and checkpoint is not None:
        raise InputError("pretrained=True and checkpoint= both bring weights; give one of them")
    start = None if checkpoint is None else _read_checkpoint(checkpoint)
    if isinstance(model, str):
        created = create(model, input_size, head, pretrained=pretrained, checkpoint=start)
        module, input_size, source, name = created.module, created.input_size, created.source, model
        weights = "pretrained" if pretrained else "initial"
    else:
        module, source, name = own_copy(model), None, type(model).__name__
        weights = "given"
        if input_size is None and example_inputs is None:
            input_size = _own_size(module, name)
        if start is not None:
            heads = [classifier] if (classifier := classifier_of(module)) else []
            source = start.source.without(*carry(module, start.tensors, start.name, name, heads))
    if start is not None:
        weights = "checkpoint"
        if head is None and source is not None and source.anew:
            warnings.warn(f"{source}; with task= it has the outputs of a task", InputWarning, stacklevel=3)
    own = isinstance(model, nn.Module)
    head = None if own else head
    return prepare(module, name, own, input_size, weights, example_inputs, head, source=source, width_rules=width_rules)


def prepare(
    module: nn.Module,
    name: str,
    custom: bool,
    input_size: Size | None,
    weights: str,
    example_inputs: Any = None,
    head: Head | None = None,
    *,
    source: WeightSource | None = None,
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
    return Base(name, custom, input_size, module, graph, weights, inputs, classes, kind, source, rules)


def create(
    name: str,
    input_size: Size | None,
    head: Head | None = None,
    *,
    pretrained: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Created:
    """A timm model by name at an input size (its own where None), the same initial weights each time (seed 0).

    Where images have another number of channels than timm's, timm adapts the first layer (grey: the sum over colours).
    head: a new head; None keeps timm's own classifier. A head that the weights do not fit keeps its initial values.
    Raises UnknownName (model, tag), InputError (size), FileFormatError where other weights do not fit.
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
    source = None if checkpoint is None else checkpoint.source
    if pretrained:
        tensors, source = pretrained_weights(name, config)
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": tensors}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            backbone = timm.create_model(name, **options)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise InputError(f"timm cannot create {name} at input_size={size}: {first_line(error)}") from error
        configuration: Any = getattr(backbone, "pretrained_cfg", None)
        if isinstance(configuration, dict):
            configuration.pop("state_dict", None)  # a second copy of all weights otherwise
        module, exceptions = _with_head(backbone, name, head, checkpoint)
    if pretrained and head is not None and attach is None and head.classes != config.num_classes:
        exceptions = (classifier_of(backbone), classifier_of(backbone))  # timm leaves it as it was created
    return Created(module, size, None if source is None else source.without(*exceptions))


def _with_head(
    backbone: nn.Module, name: str, head: Head | None, checkpoint: Checkpoint | None
) -> tuple[nn.Module, Exceptions]:
    """The backbone with its head, the checkpoint loaded; what that leaves out, and what starts anew.

    A checkpoint of the plain network goes into the backbone before a task's head takes its place; one of a network
    with such a head into the whole.
    """
    exceptions = _WHOLE
    plain = checkpoint is not None and not any(key.startswith("backbone.") for key in checkpoint.tensors)
    attach = None if head is None else head.attach
    if checkpoint is not None and (plain or attach is None):
        classifier = classifier_of(backbone)
        exceptions = carry(backbone, checkpoint.tensors, checkpoint.name, name, [classifier] if classifier else [])
    if head is None or attach is None:
        return backbone, exceptions
    keys = list(tensors_of(backbone))
    module = attach(backbone, head.classes)
    added = tuple(path for path, child in module.named_children() if child is not backbone)
    if checkpoint is not None and not plain:
        in_file = (path for key in checkpoint.tensors if (path := key.partition(".")[0]) != "backbone")
        largest = tuple(dict.fromkeys((*added, *in_file)))  # another kind of head has other modules
        return module, carry(module, checkpoint.tensors, checkpoint.name, name, [added[-1:], largest])
    kept = tensors_of(backbone)
    return module, (outermost([key for key in keys if key not in kept], kept), added)


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


def _read_checkpoint(path: str | Path) -> Checkpoint:
    file = nearest_file(path, "checkpoint", (".safetensors",))
    data = file.read_bytes()
    return Checkpoint(
        read_weights(data, file.name, file.suffix), WeightSource("checkpoint", file.name, digest_of(data))
    )
