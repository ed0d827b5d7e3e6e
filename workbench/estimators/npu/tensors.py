"""Who makes and who reads every map of a list of passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .passes import Map, Pass

__all__ = ["Tensors"]


@dataclass(frozen=True)
class Tensors:
    """makers, readers: numbers of the passes by tensor name, in order. bytes: of every map, those the
    network is given included.
    """

    makers: dict[str, list[int]]
    readers: dict[str, list[int]]
    bytes: dict[str, int]

    @classmethod
    def of(cls, passes: Sequence[Pass]) -> Self:
        makers: dict[str, list[int]] = {}
        readers: dict[str, list[int]] = {}
        size: dict[str, int] = {}
        given: dict[str, int] = {}
        wholes: dict[str, int] = {}
        for i, pass_ in enumerate(passes):
            makers.setdefault(pass_.output, []).append(i)
            readers.setdefault(pass_.output, [])
            if pass_.whole is not None:
                wholes[pass_.output] = pass_.whole.stored_bytes
            size[pass_.output] = size.get(pass_.output, 0) + pass_.written.stored_bytes
            others = ((link.other_name, link.other) for link in pass_.chain)
            read = dict([*zip(pass_.inputs, (pass_.ifm, pass_.ifm2), strict=False), *others])
            for name, shape in read.items():
                if name:
                    readers.setdefault(name, []).append(i)
                    if name not in makers and shape is not None:
                        given[name] = max(given.get(name, 0), shape.stored_bytes)
        size.update(wholes)
        size.update({name: n for name, n in given.items() if name not in makers})
        return cls(makers, readers, size)

    def primary(self, pass_: Pass) -> str:
        """The input a cascade passes through: the first, or the second where the first is broadcast."""
        if (
            pass_.ifm2 is not None
            and len(pass_.inputs) > 1
            and _area(pass_.ifm2) == _area(pass_.ofm) != _area(pass_.ifm)
        ):
            return pass_.inputs[1]
        return pass_.inputs[0] if pass_.inputs else ""

    def only_reader(self, pass_: Pass) -> int:
        """The one pass that reads the output, or -1."""
        found = self.readers[pass_.output]
        return found[0] if len(found) == 1 else -1

    def shared(self, name: str) -> bool:
        """Whether several passes make or read it, so that it must lie in memory whole."""
        return len(self.makers.get(name, ())) > 1 or len(self.readers.get(name, ())) > 1


def _area(shape: Map) -> tuple[int, int, int]:
    return shape.height, shape.width, shape.channels
