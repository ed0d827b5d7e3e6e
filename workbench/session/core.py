"""The immutable Session: a base model, the steps taken on it, and the target it is looked at on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..advice import findings
from ..errors import InputError, WorkbenchError, unknown
from ..estimators import Budgets, WeightValues, block_table, estimate, is_calibrated, keep, weight_values
from ..estimators.estimate import Estimate
from ..files import check_folder, write_atomic
from ..graph import Graph
from ..hardware import Measurement, Target, resolve
from ..recipe import Recipe
from .opening import Base, weights_of
from .steps import Change, Step, planned
from .tables import Delta, Verification, comparison, delta, history, verification

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..training import Score, Task
    from .tuning import Tuned

__all__ = ["Session"]


@dataclass(frozen=True, repr=False)
class Session:
    """A model, the steps taken on it, and a target. Every method gives back something new; nothing is changed.

    >>> import workbench as wb
    >>> session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 96, 96))
    >>> fused = session.apply(wb.FuseIBN(blocks="blocks.1.0"))
    >>> fused.undo() == session
    True
    """

    base: Base
    target: Target
    steps: tuple[Step, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    parent: "Session | None" = field(default=None, compare=False)
    child: "Session | None" = field(default=None, compare=False)
    tuned: "Tuned | None" = None
    # graph digest -> Estimate on this target: shared by the sessions of one history, so undo answers at once.
    _estimates: dict[str, Estimate] = field(default_factory=dict, compare=False)
    # graph digest -> what edits of it would lose, on images that are nobody's
    losses: dict[str, Any] = field(default_factory=dict, compare=False)

    # ---- what it is ---------------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        return self.base.name

    @property
    def input_size(self) -> tuple[int, int, int] | None:
        """(channels, height, width) of the images it reads now; None where the model was opened with example inputs."""
        if self.base.input_size is None:
            return None
        _, channels, height, width = self.graph.inputs[0].shape
        return channels, height, width

    @property
    def graph(self) -> Graph:
        """The graph after the last step."""
        return self.steps[-1].graph if self.steps else self.base.graph

    @cached_property
    def weight_values(self) -> WeightValues:
        """How the weights the steps start from are distributed."""
        if self.tuned is None:
            return self.base.weight_values
        steps = self.steps[: self.tuned.steps]
        return weight_values(steps[-1].graph if steps else self.base.graph, weights_of(self.start))

    @property
    def untuned_steps(self) -> tuple[Step, ...]:
        """The steps taken since the weights were last learned or given."""
        return self.steps[self.tuned.steps if self.tuned else 0 :]

    @cached_property
    def start(self) -> "nn.Module":
        """The module the untuned steps are carried out on; never changed."""
        from .tuning import started

        return self.base.module if self.tuned is None else started(self)

    @property
    def baseline(self) -> "Session":
        """The model as it was opened, on this target."""
        return self.path[0]

    @property
    def estimate(self) -> Estimate:
        """What the network is predicted to cost; raises WorkbenchError where the target is not calibrated."""
        found = self.estimate_of(self.graph)
        if found is None:
            raise WorkbenchError(
                f"{self.target.name} is not calibrated, so there is no estimate; verify() compiles for real, "
                f"and wb.targets() lists the calibrated ones"
            )
        return found

    @property
    def try_estimate(self) -> Estimate | None:
        """The estimate, or None where the target is not calibrated."""
        return self.estimate_of(self.graph)

    def estimate_of(self, graph: Graph) -> Estimate | None:
        """The estimate of one of the session's graphs (kept once made), None where the target is not calibrated."""
        if not is_calibrated(self.target):
            return None
        if graph.digest not in self._estimates:
            self._estimates[graph.digest] = estimate(graph, self.target, self.weight_values)
        return self._estimates[graph.digest]

    @property
    def blocks(self) -> pd.DataFrame:
        """One row per block: name (timm path), kind, shape, latency_ms and share (estimated), macs, params.

        Where the target is not calibrated the latency columns are NaN and `.attrs["note"]` says so.
        """
        known = self.try_estimate
        if known is not None:
            return known.blocks
        table = block_table(self.graph)
        table.attrs["note"] = f"{self.target.name} is not calibrated: latencies are unknown (NaN), not zero"
        return table

    # ---- change ------------------------------------------------------------------------------------------------

    def apply(self, *changes: Change) -> "Session":
        """The session after transforms, recipes or recipe files; each argument is one step for `undo`.

        A recipe's transforms are planned here, for this session's graph and target. All of it applies or none:
        raises NotApplicable (the block and the rule) or InputError and leaves everything as it was.
        """
        if not changes:
            raise InputError("apply needs a transform, a Recipe or the path of a recipe file")
        session = self
        for change in changes:
            steps = planned(change, session.graph, session.target)
            session = session.followed(steps=session.steps + steps)
        return session

    def followed(self, **changes: Any) -> "Session":
        """The session after one change, for `undo` to come back from."""
        if "tuned" in changes:  # other weights take other time
            changes |= {"_estimates": {}, "losses": {}}
        return replace(self, parent=self, child=None, **changes)

    def preview(self, *changes: Change) -> Delta:
        """What `apply` would change (estimated), without applying."""
        return delta(self, self.apply(*changes))

    def undo(self) -> "Session":
        """The session before the last change; `redo` on it comes back here. Notes stay."""
        if self.parent is None:
            raise InputError("nothing to undo: no step has been applied yet")
        return replace(self.parent, child=self, annotations=self.annotations)

    def redo(self) -> "Session":
        """The session last left by `undo`."""
        if self.child is None:
            raise InputError("nothing to redo: redo takes back an undo")
        return replace(self.child, annotations=self.annotations)

    def annotate(self, path: str, text: str) -> "Session":
        """A note on a block or module ("" for the whole network). Notes are what was learned: undo keeps them."""
        known = [block.name for block in self.graph.blocks] + [name for name, _ in self.graph.modules]
        known += [name for name, _ in self.base.graph.modules]
        if path and path not in known:
            raise unknown("block or module", path, [name for name in known if name])
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"a note needs a text, not {text!r}")
        return replace(self, annotations=(*self.annotations, (path, text)))

    def on(self, target: str | Target) -> "Session":
        """The same network on another target: the same plans, not planned again, so that only the target differs.

        To plan a recipe for the other target, apply it there: `session.baseline.on(target).apply(recipe)`.
        """
        other = resolve(target)
        kept: dict[Tuned | None, dict[str, Estimate]] = {}
        parent = None
        for session in self.path:
            known = kept.setdefault(session.tuned, {})
            parent = replace(session, target=other, parent=parent, child=None, _estimates=known)
        assert parent is not None
        return parent

    # ---- look ---------------------------------------------------------------------------------------------------

    @cached_property
    def path(self) -> "list[Session]":
        """The sessions from the opened model to this one."""
        path, session = [self], self
        while session.parent is not None:
            session = session.parent
            path.insert(0, session)
        return path

    @property
    def history(self) -> pd.DataFrame:
        """One row per step: transform with its parameters, the recipe it came with, estimated latency and change."""
        return history(self.path)

    def compare(self, other: "Session | Measurement | None" = None) -> pd.DataFrame:
        """Before (`other`, or the model as it was opened) and after (this session), one row per metric.

        other: a session, or a measured file as the baseline, such as `target.measure("deployed.tflite")`.
        """
        return comparison(other if other is not None else self.baseline, self)

    def to_recipe(self, name: str | None = None, description: str = "") -> Recipe:
        """The steps as a recipe, made for the target they were planned on."""
        if not self.steps:
            raise InputError("a recipe needs at least one step, and none has been applied yet")
        target = self.steps[-1].planned_on.name
        return Recipe(
            name or f"{self.model_name}-{target}", tuple(s.transform for s in self.steps), target, description
        )

    # ---- advice -------------------------------------------------------------------------------------------------

    def findings(self) -> pd.DataFrame:
        """What costs more than it should on this target, the most severe first.

        Columns: severity ("high", "medium", "low"), rule, block, share (of the latency), finding (the numbers in
        words), mend (a transform to `apply`, None where there is none).
        """
        return findings(self.graph, self.target, self.estimate)

    def suggest(self, n: int = 10, images: "torch.Tensor | None" = None) -> pd.DataFrame:
        """The n best steps, by percent of the latency gained per unit of fidelity lost (both predicted).

        Columns: steps (hand them to `apply`: `session.apply(*table.steps[0])`), what, latency_ms, latency_percent,
        sram_bytes and params (changes, estimated), loss (relative output error of the edited block, of the network
        where several blocks change), gain_per_loss. Pairs are shown where they gain more together than apart.

        images: [N, C, H, W] to measure the loss on, a few are enough; noise as rough as photographs where not given.
        """
        from .advising import suggest

        return suggest(self, n, images)

    def meet(
        self,
        latency_ms: float | None = None,
        sram_kib: float | None = None,
        model_kib: float | None = None,
        images: "torch.Tensor | None" = None,
    ) -> "Session":
        """The session after the steps that meet the budgets at the least fidelity lost, checked by the compiler.

        latency_ms: milliseconds; sram_kib: KiB of SRAM; model_kib: KiB of weights in the target's dtype, uncompressed.
        images: as for `suggest`. Where no plan is found raises BudgetError, naming the wall (compute, SRAM, DRAM,
        flash) and how near one gets; its `nearest` is the session that comes nearest.
        """
        from .advising import meet

        return meet(self, Budgets(latency_ms, sram_kib, model_kib), images)

    # ---- make ---------------------------------------------------------------------------------------------------

    def build(self, calibration: "torch.Tensor | None" = None, distil: int = 0) -> "nn.Module":
        """The edited model: a plain module of its own class, in eval mode, weights carried.

        calibration: images [N, C, H, W] on which replaced blocks are fitted and batch norms re-estimated; without
        them weights are carried where mathematics allows and composed elsewhere. distil: so many training steps bring
        each fitted block nearer to the original's outputs on those images, no labels needed; 300 are a good number
        and take seconds a block. A bar shows how far it is.
        """
        from .building import build

        return build(self, calibration, distil)

    def finetune(
        self,
        task: "str | Path | Task",
        epochs: int = 5,
        *,
        teacher: "Session | nn.Module | None" = None,
        **schedule: Any,
    ) -> "Session":
        """The session with weights learned on a task, a change that `undo` takes back; later steps carry them on.

        task: "digits", "rooms/presence", "rooms/detection", "rooms/segmentation", a `Task`, or a folder: one folder per
        class, annotations.json with boxes, or images/ and masks/ (`training.resolve_task`). teacher: a session or
        module whose outputs are imitated, such as the unedited model after its own fine-tuning. schedule:
        learning_rate, batch_size, weight_decay, warmup, optimizer, average, teaching, seed (`training.Schedule`); those
        not given are what suits the task.
        Replaced blocks are fitted, and batch norms re-estimated, on the task's pictures before the first epoch.

        A bar shows how far it is. The same call goes on where it was interrupted, from the last whole epoch. Raises
        InputError, before anything is learned, where the data is damaged or does not fit the network's head.
        """
        from .tuning import finetune

        return finetune(self, task, {"epochs": epochs, **schedule}, teacher)

    def with_weights(self, weights: "nn.Module | str | Path") -> "Session":
        """The session with the weights of a module, or a .safetensors file, that fit its network as it is now.

        For weights learned elsewhere, from `build()`. Raises FileFormatError naming the first weight that does not fit.
        """
        from .tuning import with_weights

        return with_weights(self, weights)

    def evaluate(
        self, task: "str | Path | Task", dtype: str = "float", calibration: "torch.Tensor | None" = None
    ) -> "Score":
        """The score on a task's validation pictures.

        dtype: "float" runs the built module; "int8" the TFLite file that would be deployed, in the LiteRT interpreter
        (extra `deploy`), "int16" the one with 16-bit activations. calibration: images for replaced blocks, batch norms
        and the ranges of the file; pictures the task trains on where not given.
        """
        from .tuning import evaluate

        return evaluate(self, task, dtype, calibration)

    def fidelity(
        self, images: "torch.Tensor", calibration: "torch.Tensor | None" = None, distil: int = 0
    ) -> pd.DataFrame:
        """What every block's output became, against the original's; the last row is the whole network.

        images: [N, C, H, W]. calibration: the images the blocks are fitted on, the same ones where not given
        (other images give the stricter figure). distil: as for `build`.
        """
        from ..surgery import fidelity

        self.check_images(images, "images")
        edited = self.build(images if calibration is None else calibration, distil)
        return fidelity(self.base.module, edited, self.base.graph, self.graph, images)

    def verify(self, timeout_s: float | None = None) -> Verification:
        """Compile the network for real and show it beside the estimate.

        Never raises for what the compiler does: the status is "compiled", "refused", "crashed" or "timeout",
        with a reason. Compilers compress weights, so values matter: trained weights are used as they are (edited
        ones built without calibration); a freshly created timm model, whose residual branches may be all zero, is
        compiled with seeded random values, which estimates of it assume, too.
        What was compiled is kept and sharpens the estimates of networks near it (`Estimate.own` says how much).
        """
        from .verifying import measured

        found, weights = measured(self, timeout_s)
        result = verification(found, self.try_estimate, weights)
        if keep(self.graph, self.target, found, self.weight_values):
            self._estimates.clear()
        return result

    def export(
        self,
        path: str | Path,
        calibration: "torch.Tensor | None" = None,
        task: "str | Path | Task | None" = None,
        *,
        activations: str = "int8",
        int16_layers: Sequence[str] = (),
    ) -> pd.DataFrame:
        """Write the built model as ONNX (.onnx) or as the int8 TFLite file that is deployed (.tflite, extra `deploy`).

        calibration: images [N, C, H, W] as the model reads them, for the ranges of the int8 file, replaced blocks and
        batch norms; the task's training pictures where not given. task: what to judge the file by. activations: "int8"
        or "int16" (weights stay int8). int16_layers: patterns of module paths ("blocks.1.*") whose outputs alone are
        held in 16 bits, mixed precision; what reads them runs in 16 bits, too.

        Gives back one row. file, dtype, kib; with a task: task, metric, module and exported (the score of the float
        module, and of the file as it runs in ONNX Runtime or LiteRT) and culprit, the layer that spoils most where the
        file loses more than a point (see `int8_fidelity`); of a .tflite file what the target's compiler makes of that
        very file: status (what it refuses, and why), latency_ms (beside estimated_ms), sram_kib, dram_kib, flash_kib,
        and left_to_cpu, the operators whose time no figure holds. The file is checked, and written whole or not at all.
        """
        from .export import export

        return export(self, Path(path), calibration, task, activations, int16_layers)

    def int8_fidelity(
        self,
        images: "torch.Tensor",
        calibration: "torch.Tensor | None" = None,
        *,
        activations: str = "int8",
        int16_layers: Sequence[str] = (),
    ) -> pd.DataFrame:
        """What the exported int8 file makes of every layer, in execution order; the last row is the whole network.

        Columns: layer, kind; error, ||y' - y|| / ||y|| of the layer's output in the running file; own, the error of the
        network's outputs with this layer alone coded (weights and output), the figure that finds a culprit; low, high
        (the range of its codes), spread (its largest channel over the one in the middle; they share a scale), bits.

        images: [N, C, H, W], a few are enough; own is of the first 8. The rest is as for `export`; ranges come from
        the same images where no others are given.
        """
        from .export import int8_fidelity

        return int8_fidelity(self, images, calibration, activations, int16_layers)

    def bundle(
        self,
        path: str | Path,
        calibration: "torch.Tensor | None" = None,
        task: "str | Path | Task | None" = None,
    ) -> Path:
        """Write one .zip for colleagues to use and to check (extra `deploy`): recipe, session, notebook, page, the int8
        file, the compiler's report on it, versions, and every figure with what it takes to derive it again.

        calibration, task: as for `export`; one of them is needed. `workbench.verify(path)`, or `workbench verify
        friday.zip` in the shell, derives all figures again on another machine and says which hold.
        """
        from .bundle import bundle

        return bundle(self, Path(path), calibration, task)

    def save(self, path: str | Path) -> Path:
        """Write the session (base weights, steps, notes) to a .wb file; `workbench.load` reads it."""
        from .files import save

        return save(self, Path(path))

    def share(
        self, path: str | Path, *, verified: Measurement | None = None, verified_before: Measurement | None = None
    ) -> Path:
        """Write one HTML page that opens with no network.

        verified, verified_before: what `verify()` gave for this session and for its baseline; shown beside the
        estimates.
        """
        from ..report import page

        path = Path(path)
        if path.suffix not in (".html", ".htm"):
            raise InputError(f"share writes a page, .html, not {path.suffix or path.name!r}; try {path.stem}.html")
        check_folder(path)
        return write_atomic(path, page(self, compiled=verified, compiled_before=verified_before).encode())

    def bench(self) -> Any:
        """The interactive widget on this session."""
        from ..widgets import Bench

        return Bench(self)

    def check_images(self, images: Any, what: str) -> None:
        """Raise InputError where these are no images the network reads; warn of calibration images that are noise."""
        from .images import check_images

        check_images(images, what, self.input_size)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input_size)) if self.input_size else "example inputs"
        steps = f"{len(self.steps)} step{'' if len(self.steps) == 1 else 's'}"
        known = self.try_estimate
        if known is None:
            cost = "not calibrated"
        else:
            cost = f"{known.latency_ms:.3f} ms estimated, SRAM {known.sram_bytes / 1024:.0f} KiB"
            cost += "" if known.complete else f", incomplete ({len(known.cpu_ops)} operators not counted)"
        return f"<Session {self.model_name} {size} on {self.target.name}: {cost}, {steps}>"

    def _repr_html_(self) -> str:
        from ..report import picture

        return picture(self)
