"""ReplaceBlock: a module of another class in the place of a block's. A class that can take it has its own file."""

from collections.abc import Callable, Mapping

from ..errors import SurgeryError
from ..graph import ReplaceBlock
from .edge_residual import replace_by_edge_residual
from .site import Site

__all__ = ["replace_block"]

# Full name of the class of the new module -> what builds it, fills its weights, and puts it in the place of the block.
_BUILDERS: Mapping[str, Callable[[Site, ReplaceBlock], None]] = {
    "timm.models._efficientnet_blocks.EdgeResidual": replace_by_edge_residual,
}


def replace_block(site: Site, edit: ReplaceBlock) -> None:
    """Carry the edit out by the builder for its class; SurgeryError where there is none."""
    if edit.module_class not in _BUILDERS:
        raise SurgeryError(f"{edit.module}: no way is known to build a {edit.module_class}")
    _BUILDERS[edit.module_class](site, edit)
