"""Who writes and who reads every feature map of a list of passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ..feature_map import FeatureMap
from ..passes import Pass

__all__ = ["Dataflow"]


@dataclass(frozen=True)
class Dataflow:
    """writers, readers: numbers of the passes by tensor name, in order. bytes: of every feature map, inputs of the
    network included. inputs: names of the feature maps each pass reads. overwritable: those of them that its output
    could replace, because every output element depends on one of theirs and nobody else reads them.
    """

    writers: dict[str, list[int]]
    readers: dict[str, list[int]]
    bytes: dict[str, int]
    inputs: list[tuple[str, ...]]
    overwritable: list[tuple[str, ...]]

    @classmethod
    def of(cls, passes: Sequence[Pass]) -> Self:
        writers: dict[str, list[int]] = {}
        readers: dict[str, list[int]] = {}
        size: dict[str, int] = {}
        read_size: dict[str, int] = {}
        whole_size: dict[str, int] = {}
        inputs = []
        for i, pass_ in enumerate(passes):
            output = pass_.output
            if output in writers:
                writers[output].append(i)
                size[output] += pass_.spec.written_bytes
            else:
                writers[output] = [i]
                size[output] = pass_.tensor_bytes or pass_.spec.written_bytes
            if output not in readers:
                readers[output] = []
            if pass_.whole is not None:
                whole_size[output] = pass_.whole.stored_bytes
            read = _read(pass_)
            for name, feature_map in read.items():
                if name in readers:
                    readers[name].append(i)
                else:
                    readers[name] = [i]
                if name not in writers and feature_map is not None:
                    read_size[name] = max(read_size.get(name, 0), feature_map.stored_bytes, pass_.source_bytes)
            inputs.append(tuple(read))
        size.update(whole_size)
        size.update({name: n for name, n in read_size.items() if name not in writers})
        overwritable = [
            tuple([
                name for name in _inputs_of_same_format(pass_)
                if len(readers[name]) == 1 and len(writers[pass_.output]) == 1 and size[name] == size[pass_.output]
            ])
            if pass_.spec.one_to_one and not _reads_twice(pass_) else ()
            for pass_ in passes
        ]  # fmt: skip
        return cls(writers, readers, size, inputs, overwritable)

    def primary_input(self, pass_: Pass) -> str:
        """The input a cascade passes through: the first, or the second where the first is broadcast; "" without one."""
        inputs, second = pass_.inputs, pass_.ifm2
        if second is not None and len(inputs) > 1 and second[:3] == pass_.ofm[:3] != pass_.ifm[:3]:
            return inputs[1]
        return inputs[0] if inputs else ""

    def is_shared(self, name: str) -> bool:
        """Whether several passes write or read it, so that it must lie in memory whole."""
        return len(self.writers.get(name, ())) > 1 or len(self.readers.get(name, ())) > 1


def _read(pass_: Pass) -> dict[str, FeatureMap | None]:
    """The feature maps a pass reads, by name; constants have none."""
    inputs = pass_.inputs
    if len(inputs) == 1 and inputs[0] and not pass_.chain:
        return {inputs[0]: pass_.ifm}
    read: dict[str, FeatureMap | None] = dict(zip(inputs, (pass_.ifm, pass_.ifm2), strict=False))
    for link in pass_.chain:
        read[link.operand_name] = link.operand
    read.pop("", None)
    return read


def _reads_twice(pass_: Pass) -> bool:
    """Whether a pass, or one chained on it, reads a feature map a second time, which then must outlive it."""
    pair = pass_.ifm2 is not None and len(pass_.inputs) == 1
    return pair or any(link.operand_name in pass_.inputs for link in pass_.chain if link.operand_name)


def _inputs_of_same_format(pass_: Pass) -> list[str]:
    """The inputs stored in the format of the output, bricks or not."""
    written = pass_.whole if pass_.chain and pass_.whole else pass_.ofm
    inputs = zip(pass_.inputs, (pass_.ifm, pass_.ifm2), strict=False)
    return [name for name, ifm in inputs if name and ifm is not None and ifm.bricks == written.bricks]
