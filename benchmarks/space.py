"""What curation does to a space: how rugged it is, how fast a search gets along in it, and whether it loses anything.

    make bench-space      some minutes on one core
    make bench-space ARGS="--networks resnet18 --settings 2"

ruggedness   share of the neighbours of one step (a 64th of the channels, or a residual block) whose smaller network is
             slower, by whole estimates; `even` are widths at multiples of the target's favourable channels, `curated`
             those of them that are faster than every wider one; the curated figure is zero by what is pruned
front        losses of choices are drawn (no network is trained): a block has a sensitivity, a kind of edit a loss, and
             narrowing loses sensitivity x (1 - share)^power. For budgets of latency the integer program of
             `choices.py` finds the least loss among all choices and among those that are kept; curation is not told
             the losses. `same`: settings whose optimum stays at all budgets, to a thousandth; `within`: with the budget
             off by the width of the estimate's 90 % interval; `more loss`: of the optimum, mean, as a share of what the
             tightest budget costs. Among even widths; among widths drawn channel by channel, too; with 8ths alone kept
search       `wb.search.explore_table` on candidates drawn alike from either space: of a slot its kind of edit, then the
             width. Their price is that of `Prices`, their value a stand-in for accuracy: the drawn losses, taken off
             the logarithm of the parameters, twice. `told losses`: curation has what a block library would say, the
             drawn losses off by a factor of 1.35 (one deviation), and prunes by them. `evaluations` after which the
             search of the curated space has the hypervolume that the other has at the end
rate         candidates priced a second, the modelling of every choice included
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from provenance import provenance

import workbench as wb
from workbench.choices import Bound, choose
from workbench.estimators import estimate
from workbench.files import write_atomic
from workbench.graph import Graph
from workbench.hardware import Target, resolve
from workbench.search import explore_table
from workbench.search.fronts import hypervolume
from workbench.space import Offer, Prices, Slot, Space, curated, landscape, prices, uncurated

NETWORKS = {"mobilenetv2_100": 96, "efficientnet_b0": 96, "resnet18": 96, "mobilenetv4_conv_small": 224}
TARGETS = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-1024")
BUDGETS = (0.3, 0.5, 0.7, 0.9)  # of what the blocks can save at most, not saved; the tightest first
ODD = 24  # widths drawn channel by channel, a block
POOL = 1000  # candidates of a search
EVALUATIONS = 40
PARTS = ("rugged", "front", "search", "rate")
GAP = 3e-4  # of the integer programs; optima that differ by less are one
SEARCHED = {"mobilenetv2_100": "blocks.1.*, blocks.2.*", "resnet18": "layer1.*, layer2.*"}


def rugged(graph: Graph, target: Target) -> tuple[float, float, float]:
    """Ruggedness of all widths, of even ones, and curated."""
    every, even = landscape(graph, target), landscape(graph, target, target.channel_multiple)
    return every.ruggedness, even.ruggedness, even.favoured.ruggedness


class Losses:
    """Losses of choices, drawn: additive over blocks, and never less for a narrower inside."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.kinds: dict[str, float] = {}
        self.blocks: dict[str, tuple[float, float]] = {}

    def of(self, block: str, label: str, share: float) -> float:
        """Of a choice. share: width of the block's inside over that of the block as it is."""
        if block not in self.blocks:
            self.blocks[block] = float(self.rng.lognormal(0, 0.7)), float(self.rng.uniform(1, 3))
        sensitivity, power = self.blocks[block]
        loss = sensitivity * (1 - share) ** power
        for kind in label.split(", "):
            if not kind.startswith("narrow") and kind != "as it is":
                if kind not in self.kinds:
                    self.kinds[kind] = float(self.rng.exponential(1.5 if kind == "drop" else 0.3))
                loss += sensitivity * self.kinds[kind]
        return loss


def share_of(slot: Slot, number: int, widths: Mapping[str, float]) -> float:
    """The share of its inside that a choice leaves: the ratio of its last transform over the block's."""
    choice = slot.choices[number]
    if "narrow" not in choice.label:
        return 1.0
    return float(choice.transforms[-1].ratio) / widths[slot.block]  # type: ignore[attr-defined]


def expansions(graph: Graph) -> dict[str, float]:
    return {block.name: block.mid_width / max(1, block.width) for block in graph.blocks}


def drawn_widths(space: Space, seed: int) -> Space:
    """The uncurated space with some of the widths of each block, drawn."""
    rng = np.random.default_rng(seed)
    slots = []
    for slot in space.slots:
        narrow = [i for i, choice in enumerate(slot.choices) if "narrow" in choice.label]
        drawn = set(rng.permutation(narrow)[:ODD].tolist())
        choices = (c for i, c in enumerate(slot.choices) if i in drawn or "narrow" not in c.label)
        slots.append(Slot(slot.block, tuple(choices), slot.aspect))
    return Space(tuple(slots))


Say = Callable[[str], None]
Rows = Mapping[str, Sequence[tuple[str, float, float, bool]]]  # block -> label, share, ms, kept


def judged(graph: Graph, target: Target, offer: Offer) -> Rows:
    """The choices that curation estimated: those of even widths, or of 8ths, that are kept or pruned."""
    inside = {block.name: block.mid_width for block in graph.blocks}
    rows: dict[str, list[tuple[str, float, float, bool]]] = {}
    for row in curated(graph, target, offer).judgements:
        if row.latency_ms is None or row.verdict == "merged":
            continue
        whole, multiple = inside[row.slot], target.channel_multiple
        share = float(row.choice.rpartition("narrow ")[2]) if "narrow" in row.choice else 1.0
        even = max(1, round(share * whole / multiple)) * multiple / whole if share < 1 else 1.0
        rows.setdefault(row.slot, []).append((row.choice, even, row.latency_ms, row.verdict == "kept"))
    return rows


def odd(graph: Graph, target: Target, offer: Offer) -> Rows:
    """Choices of the uncurated space, widths drawn channel by channel."""
    space, ratios = drawn_widths(uncurated(graph, target, offer), 0), expansions(graph)
    changes = prices(space, graph, target).changes[0]
    return {
        slot.block: [
            (choice.label, share_of(slot, k, ratios), float(changes[s, k]), False)
            for k, choice in enumerate(slot.choices)
        ]
        for s, slot in enumerate(space.slots)
    }


def front_kept(every: Rows, kept: Rows, tolerance_ms: float, settings: int) -> tuple[float, float, float]:
    """(share of settings whose optima stay exactly, within the tolerance, mean excess of the loss)."""
    exact, within, excess = [], [], []
    for setting in range(settings):
        losses = Losses(setting)
        costs = [[losses.of(block, label, share) for label, share, _, _ in rows] for block, rows in every.items()]
        times = [[ms for _, _, ms, _ in rows] for rows in every.values()]
        stay = [
            [(losses.of(block, label, share), ms) for label, share, ms, stays in kept.get(block, ()) if stays]
            or [(0.0, 0.0)]
            for block in every
        ]
        kept_costs, kept_times = ([[pair[i] for pair in rows] for rows in stay] for i in (0, 1))
        least = sum(map(min, times))
        optima = []
        for share in BUDGETS:
            most = (1 - share) * least
            optima.append((
                least_loss(costs, times, most), least_loss(kept_costs, kept_times, most),
                least_loss(kept_costs, kept_times, most + tolerance_ms),
            ))  # fmt: skip
        scale = optima[0][0]
        exact.append(all(other <= best + 3 * GAP * scale for best, other, _ in optima))
        within.append(all(other <= best + 3 * GAP * scale for best, _, other in optima))
        excess += [min((other - best) / scale, 1.0) for best, other, _ in optima]
    return float(np.mean(exact)), float(np.mean(within)), float(np.mean(excess))


def kept_of(graph: Graph, target: Target, settings: int) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """What `front_kept` says of even widths, of widths channel by channel, and of 8ths."""
    blocks = tuple(block.name for block in graph.blocks if block.kind != "head" and block.mid_width)
    every = Offer(blocks, widths=None, network=False)
    base = estimate(graph, target)
    low, high = base.latency_interval_ms
    even, eighths = judged(graph, target, every), judged(graph, target, Offer(blocks, network=False))
    single = odd(graph, target, every)
    both = {block: [*rows, *single.get(block, ())] for block, rows in even.items()}
    yield "even widths", front_kept(even, even, high - low, settings)
    yield "every width", front_kept(both, even, high - low, settings)
    yield "every width, 8ths kept", front_kept(both, eighths, high - low, settings)


def least_loss(losses: Sequence[Sequence[float]], times: Sequence[Sequence[float]], most: float) -> float:
    scale = max(1e-9, abs(most))
    bound = Bound([[ms / scale for ms in row] for row in times], most / scale)
    numbers = choose(losses, [bound], gap=GAP)
    return np.inf if numbers is None else sum(row[k] for row, k in zip(losses, numbers, strict=True))


def candidates(space: Space, count: int, seed: int) -> np.ndarray:
    """Numbers of choices [n, slots]: each keeps a share of its slots as they are, drawn for it; of the others a kind of
    edit is drawn, then its width.
    """
    rng = np.random.default_rng(seed)
    numbers = np.zeros((count, len(space.slots)), int)
    for s, slot in enumerate(space.slots):
        kinds: dict[str, list[int]] = {}
        for k, choice in enumerate(slot.choices[1:], 1):
            kinds.setdefault(kind_of(choice.label), []).append(k)
        choices = list(kinds.values())
        drawn = rng.integers(0, len(choices), count)
        parts = zip(drawn, rng.random(count), strict=True)
        numbers[:, s] = [choices[kind][int(part * len(choices[kind]))] for kind, part in parts]
    kept = rng.random(numbers.shape) < rng.random((count, 1))
    return np.where(kept, 0, numbers)


def kind_of(label: str) -> str:
    """The label without the share of a narrower inside."""
    before, narrow, _ = label.rpartition("narrow ")
    return before + narrow if narrow else label


def told(graph: Graph, target: Target, offer: Offer, losses: Losses, seed: int) -> dict[tuple[str, str], float]:
    """What a block library would say of even widths: the drawn losses, each off by a factor drawn for it."""
    rng = np.random.default_rng([11, seed])
    rows = judged(graph, target, offer)
    return {
        (block, label): losses.of(block, label, share) * float(rng.lognormal(0, 0.3))
        for block, choices in rows.items()
        for label, share, _, _ in choices
    }


def searched(graph: Graph, target: Target, blocks: str, seeds: int, library: bool) -> tuple[str, float, float]:
    """(sizes of both spaces, evaluations, share of seeds that reach it) of the curated space for the hypervolume that
    the uncurated one has after `EVALUATIONS`. library: whether curation is told losses, roughly.
    """
    offer = Offer(tuple(blocks.split(", ")), network=False)
    whole = uncurated(graph, target, offer)
    whole_cost = prices(whole, graph, target)
    counts, reached, sizes = [], [], []
    for seed in range(seeds):
        losses = Losses(seed)
        hints = told(graph, target, offer, losses, seed) if library else None
        kept = curated(graph, target, offer, hints)
        sides = [
            side(graph, space, cost, losses, seed)
            for space, cost in ((whole, whole_cost), (kept, prices(kept, graph, target)))
        ]
        most = max(price.max() for _, price, _ in sides)
        least = min(np.quantile(value, 0.1) for _, _, value in sides)
        curves = []
        for table, price, value in sides:
            rows = explore_table(table, price, lambda row, value=value: float(value[row]), EVALUATIONS, seed)  # type: ignore[misc]
            curves.append([hypervolume(price[rows[:n]], value[rows[:n]], most, least) for n in range(1, len(rows) + 1)])
        enough = np.flatnonzero(np.array(curves[1]) >= curves[0][-1])
        counts.append(int(enough[0]) + 1 if len(enough) else EVALUATIONS)
        reached.append(bool(len(enough)))
        sizes.append(float(kept.size))
    return f"{float(whole.size):.1e} -> {np.mean(sizes):.1e}", float(np.mean(counts)), float(np.mean(reached))


def side(
    graph: Graph, space: Space, cost: Prices, losses: Losses, seed: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """(table, price, value) of candidates drawn from a space: of each slot the kind of edit and the width."""
    ratios = expansions(graph)
    numbers = candidates(space, POOL, seed)
    columns: dict[str, object] = {}
    lost = np.zeros(len(numbers))
    for s, slot in enumerate(space.slots):
        shares = np.array([share_of(slot, k, ratios) for k in range(len(slot.choices))])
        kinds = np.array([kind_of(choice.label) for choice in slot.choices])
        columns[f"{slot.block} kind"], columns[f"{slot.block} width"] = kinds[numbers[:, s]], shares[numbers[:, s]]
        of_choice = [losses.of(slot.block, c.label, part) for c, part in zip(slot.choices, shares, strict=True)]
        lost += np.array(of_choice)[numbers[:, s]]
    value = 2 * np.log(cost.params(numbers) / graph.params) - lost
    return pd.DataFrame(columns), cost.latency_ms(numbers), value


def rate(graph: Graph, target: Target) -> str:
    started = time.perf_counter()
    space = curated(graph, target)
    judged = time.perf_counter()
    costs = prices(space, graph, target)
    numbers = candidates(space, 200_000, 0)
    ready = time.perf_counter()
    costs.latency_ms(numbers)
    done = time.perf_counter()
    modelled = f"{sum(space.widths)} choices are modelled ({ready - judged:.1f} s)"
    return (
        f"{len(numbers) / (done - judged):>12,.0f} a second, {len(numbers) / (done - ready):,.0f} once its {modelled}; "
        f"curating them took {judged - started:.1f} s"
    )


def say_rugged(graphs: Mapping[str, Graph], say: Say) -> None:
    say(f"\n{'ruggedness, estimated':<52}{'MACs':>8}{'all':>10}{'even':>10}{'curated':>10}")
    for name, graph in graphs.items():
        for target in TARGETS:
            cells = "".join(f"{100 * share:>8.1f} %" for share in (0.0, *rugged(graph, resolve(target))))
            say(f"{f'{name}, {NETWORKS[name]} px, {target}':<52}{cells}")


def say_fronts(graphs: Mapping[str, Graph], settings: int, say: Say) -> None:
    budgets = f"{settings} settings x {len(BUDGETS)} budgets"
    say(f"\n{'front kept, losses drawn':<52}{'same':>10}{'within':>10}{'more loss':>12}   {budgets}")
    for name in SEARCHED:
        for target in TARGETS if name in graphs else ():
            for words, (same, within, excess) in kept_of(graphs[name], resolve(target), settings):
                say(f"{f'{name}, {target}, {words}':<52}{same:>10.0%}{within:>10.0%}{100 * excess:>10.2f} %")


def say_searches(graphs: Mapping[str, Graph], seeds: int, say: Say) -> None:
    title = f"evaluations to what the uncurated space has at {EVALUATIONS}"
    say(f"\n{title:<72}{'mean':>6}{'reached':>10}   {seeds} seeds")
    for name, blocks in SEARCHED.items():
        for target in TARGETS if name in graphs else ():
            for words, library in (("no losses", False), ("told losses", True)):
                spaces, count, reached = searched(graphs[name], resolve(target), blocks, seeds, library)
                say(f"{f'{name}, {target}, {words}, {spaces}':<72}{count:>6.1f}{reached:>10.0%}")


def say_rates(graphs: Mapping[str, Graph], say: Say) -> None:
    say("\ncandidates priced, ethos-u85-1024")
    for name, graph in graphs.items():
        say(f"{name:<26}{rate(graph, resolve('ethos-u85-1024'))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--settings", type=int, default=20, help="of drawn losses")
    parser.add_argument("--seeds", type=int, default=4, help="of searches")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "space.txt")
    arguments = parser.parse_args()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    say(f"python benchmarks/space.py {' '.join(sys.argv[1:])}" if sys.argv[1:] else "make bench-space")
    say(provenance("numpy", "scipy"))
    graphs = {
        name: wb.open(name, input_size=(3, NETWORKS[name], NETWORKS[name])).graph for name in arguments.networks
    }
    parts = {
        "rugged": lambda: say_rugged(graphs, say),
        "front": lambda: say_fronts(graphs, arguments.settings, say),
        "search": lambda: say_searches(graphs, arguments.seeds, say),
        "rate": lambda: say_rates(graphs, say),
    }
    for part in arguments.parts:
        parts[part]()
    write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
