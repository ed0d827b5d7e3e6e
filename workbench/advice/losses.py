"""What edits of a state's network would lose, measured on given images or on stand-ins."""

from collections import OrderedDict

from ..errors import InputError
from ..state import Base, Change, Images, State, check_images
from ..surgery import build_state
from ..surgery.losses import Losses, textured

__all__ = ["losses_of"]

_STAND_INS = 4  # images as rough as photographs, where nobody gave real ones
_MOST_KEPT = 2  # each holds a built module
_KEPT: OrderedDict[tuple[Base, tuple[Change, ...]], Losses] = OrderedDict()


def losses_of(state: State, images: Images | None) -> Losses | None:
    """Losses of edits of the network as it is now; None where its weights are untrained: they would mean nothing.

    images: [N, C, H, W], a few are enough; None takes seeded noise as rough as photographs, and remembers what was
    measured on it for the states looked at last. Raises InputError for a network that does not read one image.
    """
    if images is not None:
        check_images(images, "images", state.input_size)
    if state.untrained:
        return None
    if state.input_size is None:
        raise InputError("advice on fidelity needs a network that reads one image [N, C, H, W]")
    if images is None:
        return _on_stand_ins(state)
    return Losses(build_state(state), state.graph, images, state.base.width_rules)


def _stand_ins(state: State) -> Images:
    """Noise as rough as photographs, in the network's own order of axes."""
    assert state.input_size is not None
    if not state.graph.channels_last(state.graph.inputs[0].name):
        return textured(_STAND_INS, state.input_size)
    height, width, channels = state.input_size
    return textured(_STAND_INS, (channels, height, width)).permute(0, 2, 3, 1).contiguous()


def _on_stand_ins(state: State) -> Losses:
    key = state.base, state.changes  # targets and notes change nothing about it
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return _KEPT[key]
    images = _stand_ins(state)
    _KEPT[key] = Losses(build_state(state), state.graph, images, state.base.width_rules)
    while len(_KEPT) > _MOST_KEPT:
        _KEPT.popitem(last=False)
    return _KEPT[key]
