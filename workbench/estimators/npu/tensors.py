"""Who makes and who reads every map of a list of passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .passes import Map, Pass

__all__ = ["Tensors"]


@dataclass(frozen=True)
class Tensors:
    """makers, readers: numbers of the passes by tensor name, in order. bytes: of every map, those the network is given
    included. read: names of the maps each pass reads. replaceable: those of them whose place its output could take,
    one element being made of one and nobody else reading it.
    """

    makers: dict[str, list[int]]
    readers: dict[str, list[int]]
    bytes: dict[str, int]
    read: list[tuple[str, ...]]
    replaceable: list[tuple[str, ...]]

    @classmethod
    def of(cls, passes: Sequence[Pass]) -> Self:
        makers: dict[str, list[int]] = {}
        readers: dict[str, list[int]] = {}
        size: dict[str, int] = {}
        given: dict[str, int] = {}
        wholes: dict[str, int] = {}
        names = []
        for i, pass_ in enumerate(passes):
            output = pass_.output
            if output in makers:
                makers[output].append(i)
                size[output] += pass_.work.written_bytes
            else:
                makers[output] = [i]
                size[output] = pass_.work.written_bytes
            if output not in readers:
                readers[output] = []
            if pass_.whole is not None:
                wholes[output] = pass_.whole.stored_bytes
            read: dict[str, Map | None] = dict(zip(pass_.inputs, (pass_.ifm, pass_.ifm2), strict=False))
            for link in pass_.chain:
                read[link.other_name] = link.other
            read.pop("", None)
            for name, shape in read.items():
                if name in readers:
                    readers[name].append(i)
                else:
                    readers[name] = [i]
                if name not in makers and shape is not None:
                    given[name] = max(given.get(name, 0), shape.stored_bytes)
            names.append(tuple(read))
        size.update(wholes)
        size.update({name: n for name, n in given.items() if name not in makers})
        taken = [
            tuple([
                name for name in _alike(pass_)
                if len(readers[name]) == 1 and len(makers[pass_.output]) == 1 and size[name] == size[pass_.output]
            ])
            if pass_.work.one_to_one else ()
            for pass_ in passes
        ]  # fmt: skip
        return cls(makers, readers, size, names, taken)

    def primary(self, pass_: Pass) -> str:
        """The input a cascade passes through: the first, or the second where the first is broadcast."""
        inputs, second = pass_.inputs, pass_.ifm2
        if second is not None and len(inputs) > 1 and second[:3] == pass_.ofm[:3] != pass_.ifm[:3]:
            return inputs[1]
        return inputs[0] if inputs else ""

    def only_reader(self, pass_: Pass) -> int:
        """The one pass that reads the output, or -1."""
        found = self.readers[pass_.output]
        return found[0] if len(found) == 1 else -1

    def shared(self, name: str) -> bool:
        """Whether several passes make or read it, so that it must lie in memory whole."""
        return len(self.makers.get(name, ())) > 1 or len(self.readers.get(name, ())) > 1


def _alike(pass_: Pass) -> list[str]:
    """The inputs whose channels lie as those of the output do."""
    read = zip(pass_.inputs, (pass_.ifm, pass_.ifm2), strict=False)
    return [name for name, shape in read if name and shape is not None and shape.bricks == pass_.ofm.bricks]
