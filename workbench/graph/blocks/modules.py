"""Which modules of the tree are blocks."""

import re
from collections.abc import Iterator

from ..structure import Structure
from .block import BLOCK_KINDS
from .chains import Chain, block_kind, main_chain
from .layers import Layers

__all__ = ["ModuleTree"]

_OF_SEVERAL_LAYERS = frozenset(BLOCK_KINDS) - {"conv", "head", "other"}
_STAGE = re.compile(r"Stage|Sequential|Backbone|Trunk|Encoder$|Tree$")
_WHOLE = re.compile(r"Block|Bottleneck|Module|Att|Downsample")


class ModuleTree:
    """The modules of a graph with the operators they run.

    own: module path -> indices of the operators its own code runs. under: the same, modules inside it included.
    lineage: of every module that runs operators, its ancestors from the outermost and itself, the root left out.
    children: module path -> paths of the modules it holds.
    """

    def __init__(self, graph: Structure, layers: Layers) -> None:
        self.layers = layers
        self.classes = graph.classes
        self.own: dict[str, list[int]] = {}
        self.under: dict[str, list[int]] = {}
        self.lineage: dict[str, tuple[str, ...]] = {}
        for i, op in enumerate(layers.ops):
            self.own.setdefault(op.module, []).append(i)
            if op.module not in self.lineage:
                self.lineage[op.module] = tuple(_lineage(op.module))
            for path in self.lineage[op.module]:
                self.under.setdefault(path, []).append(i)
        self.children: dict[str, list[str]] = {}
        for path, _ in graph.modules:
            if path:
                self.children.setdefault(path.rpartition(".")[0], []).append(path)
        self._chains: dict[str, Chain] = {}
        self._is_block: dict[str, bool] = {}

    def class_name(self, path: str) -> str:
        """Class name of a module, without its package."""
        return self.classes.get(path, "").rpartition(".")[2]

    def is_container(self, path: str) -> bool:
        """Whether it is the network itself or one of torch's containers."""
        return not path or self.classes.get(path, "").startswith("torch.nn.modules.container.")

    def chain(self, path: str) -> Chain:
        """The main path of a module."""
        if path not in self._chains:
            self._chains[path] = main_chain(self.layers, self.under.get(path, ()))
        return self._chains[path]

    def chain_of(self, path: str, members: list[int]) -> Chain:
        """The main path of these operators of a module."""
        chain = self._chains.get(path) if len(self.under.get(path, ())) == len(members) else None
        return chain or main_chain(self.layers, members)

    def is_block(self, path: str) -> bool:
        """Whether the module is one block as it stands."""
        if path not in self._is_block:
            self._is_block[path] = self._stands_whole(path)
        return self._is_block[path]

    def _stands_whole(self, path: str) -> bool:
        if path not in self.children or not self._layers_under(path) or self._is_stage(path):
            return False
        if self._matches(path):
            return True
        # residual blocks inside speak louder than the module's own addition or name; plain pairs of layers do not
        own_add = self._adds(path)
        strict = own_add or bool(_WHOLE.search(self.class_name(path)))
        inside = any((not strict or self._adds(p)) and self._matches(p) for p in self._below(path))
        return not inside and (own_add or not self._repeats(path))

    def _layers_under(self, path: str) -> int:
        return sum(bool(self.layers.letters[i]) for i in self.under.get(path, ()))

    def _is_stage(self, path: str) -> bool:
        return self.is_container(path) or bool(_STAGE.search(self.class_name(path)))

    def _matches(self, path: str) -> bool:
        """Whether its main path is one of the longer kinds."""
        if path not in self.children or self._layers_under(path) < 2 or self._is_stage(path):
            return False
        chain = self.chain(path)
        if len(chain.letters) < 2:
            return False
        return block_kind(self.layers, self.under[path], chain, self.class_name(path)) in _OF_SEVERAL_LAYERS

    def _adds(self, path: str) -> bool:
        """Whether its own code adds feature maps."""
        own = self.own.get(path, ())
        return any(self.layers.ops[i].kind == "add" and len(self.layers.reads[i]) > 1 for i in own)

    def _below(self, path: str) -> Iterator[str]:
        """The modules inside that hold modules themselves."""
        for child in self.children.get(path, ()):
            if child in self.children:
                yield child
                yield from self._below(child)

    def _repeats(self, path: str) -> bool:
        """Is it a row of modules of one class that holds (nearly) all its layers?"""
        rows: dict[str, list[int]] = {}
        pending = list(self.children.get(path, ()))
        while pending:
            child = pending.pop()
            if self.is_container(child):
                pending += self.children.get(child, ())
                continue
            count = self._layers_under(child)
            if count > 1:
                rows.setdefault(self.class_name(child), []).append(count)
        share = 1.0 if "Block" in self.class_name(path) else 0.5
        least = share * self._layers_under(path)
        return any(len(row) > 1 and sum(row) >= least for row in rows.values())


def _lineage(path: str) -> Iterator[str]:
    """The module's ancestors from the outermost, and itself; the root left out."""
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)
    if path:
        yield path
