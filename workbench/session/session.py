"""Sessions: a state of a network, and what people do with it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import torch
from torch import nn

from .. import advice
from ..errors import InputError
from ..estimators import Budgets
from ..forecast import Forecast
from ..hardware import Measurement
from ..report import code, picture, write_page
from ..search.options import options_of
from ..space import Losses, Offer, Space
from ..state import Applied, Change, Delta, Edit, State, Verification
from ..surgery import build_state, require_buildable
from ..table import Table
from ..training import Part, Score, Task, resolve_task
from ..widgets import Bench, Searches
from .block_library import PICTURES, STEPS, built, filled
from .budgets import meet, watched_meet
from .bundle import bundle
from .export import export, int8_fidelity
from .files import save
from .forecast import forecast, forecast_beside, with_forecasts
from .learning import evaluate, with_weights
from .recovery import EPOCHS, finetune, recover
from .search import search, session_task
from .space import landscape_of, space_of
from .study import Study
from .verifying import fidelity_of, verify

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Session"]


@dataclass(frozen=True, repr=False)
class Session(State):
    """A model, the changes made to it, and a target. Every method gives back something new; nothing is changed.

    task: what the network is for, where `open`, `finetune` or `recover` named it: forecasts of its score stand beside
    the milliseconds then. No part of what a session is, and in no file.

    >>> import workbench as wb
    >>> session = wb.open("mobilenetv2_050", target="ethos-u65-512", input_size=(3, 96, 96))
    >>> fused = session.apply(wb.FuseIBN(blocks="blocks.1.0"))
    >>> fused.undo() == session
    True
    """

    task: Task | None = field(default=None, compare=False)

    # ---- change -------------------------------------------------------------------------------------------------

    def preview(self, *edits: Edit) -> Delta:
        """What `apply` would change (estimated), without applying; with a task named the score expected then, too."""
        after = self.apply(*edits)
        return self._difference(after, forecast_beside(after, self.task))

    def compare(self, other: State | Measurement | None = None) -> pd.DataFrame:
        """Before (`other`, or the model as it was opened) and after (this session), one row per metric.

        other: a session, or a measured file as the baseline, such as `target.measure("deployed.tflite")`. The last rows
        are the score, where weights were learned for a network as it is (`evaluate(...).against(...)` says whether two
        differ, picture by picture), and the forecast of the score after recovery, where steps were applied since and a
        task is named.
        """
        forecast = forecast_beside(self, self.task) if self.plans_since_learned else None
        return self._comparison(other, forecast)

    def after(self, change: Change) -> Self:
        """The state after one more change; what was undone is gone.

        On a module that is not timm's own, steps are tried: raises NotApplicable, with the block and the rule, where
        the module cannot be edited so.
        """
        state = super().after(change)
        if isinstance(change, Applied):
            require_buildable(state)
        return state

    # ---- advice -------------------------------------------------------------------------------------------------

    def findings(self) -> pd.DataFrame:
        """What costs more than it should on this target, the most severe first.

        Columns: severity ("high", "medium", "low"), rule, block, share (of the latency), finding (the numbers in
        words, and what the mend gains), mend (a transform to `apply`, None where none gains anything).
        """
        return advice.findings(self)

    def why(self, block: str) -> str:
        """Why a block takes the time it takes, in words: what its time goes to, what limits that, what mends it.

        block: its name, as in `blocks`. Raises UnknownName where there is none.
        """
        return advice.why(self, block)

    def suggest(self, n: int = 10, images: torch.Tensor | None = None) -> pd.DataFrame:
        """The n best steps, by percent of the latency gained per unit of fidelity lost (both predicted).

        Columns: steps (hand them to `apply`: `session.apply(*table.steps[0])`), what, latency_ms, latency_percent,
        sram_bytes and params (changes, estimated), loss (relative output error of the edited block, of the network
        where several blocks change), gain_per_loss. Pairs are shown where they gain more together than apart.

        images: [N, C, H, W] to measure the loss on, a few are enough; noise as rough as photographs where not given.
        Of untrained weights (as created, nothing learned) no edit loses anything that means something: loss and
        gain_per_loss are NaN, the steps that gain most stand first, and `.attrs["note"]` says so.
        With a task named, whose score the network has: score, score_low and score_high, what each step is expected to
        leave after recovery (forecast, 90 %).
        """
        return with_forecasts(self, advice.suggest(self, n, images), self.task)

    def meet(
        self,
        latency_ms: float | None = None,
        sram_kib: float | None = None,
        model_kib: float | None = None,
        images: torch.Tensor | None = None,
        *,
        accuracy: float | None = None,
    ) -> Self:
        """The session after the steps that meet the budgets at the least fidelity lost, checked by the compiler.

        The plan is one change for `undo`; `history` shows its predicted loss: the relative output error of each
        edited block, squares summed. Where the weights are untrained (as created, nothing learned) there is no loss to
        predict, which `history` says; the plan then keeps the most multiply-accumulates that the budgets allow, and is
        the same whatever the random weights are.

        latency_ms: milliseconds; sram_kib: KiB of SRAM; model_kib: KiB of weights in the target's dtype, uncompressed.
        accuracy: of the session's task, a share; with it, the fastest steps that are forecast to keep it after recovery
        and meet the other budgets. Each choice that saves time is forecast first, a second each, and kept.
        images: as for `suggest`. Where no plan is found raises BudgetError, naming the wall (compute, SRAM, DRAM,
        flash) and how near one gets; its `nearest` is the session that comes nearest.
        """
        return meet(self, Budgets(latency_ms, sram_kib, model_kib), images, accuracy, self.task)

    def space(
        self,
        blocks: str | tuple[str, ...] = "*",
        *,
        edits: int = 2,
        widths: int | None = 8,
        sizes: tuple[int, ...] | None = None,
        losses: Losses | pd.DataFrame | None = None,
        curated: bool = True,
    ) -> Space:
        """What may be chosen on this network: a slot a block (fuse, dense, kernel, narrow, drop, gate, activation, and
        what goes together), and the network's widths, input size and, where it makes a map, output stride.

        Curated for the target, without an expert: widths are multiples of the channels it favours, and faster than
        every wider one; a choice that is slower for certain (with the interval), no smaller and no less lossy than
        another of its slot is pruned; choices that make the same network are merged. `space.explain()` says what
        happened to each and why.

        blocks: selector of the blocks that have a slot. edits: at most so many in a block's choice. widths: shares to
        choose from, those of 8ths where it is 8; None: all widths that the target favours. sizes: of the input, in
        pixels; two smaller multiples of 32 where not given. losses: what `library()` gave back, or (block, choice) ->
        loss; without them parameters do not stand in: beside widths only steps that gain and add nothing are pruned.
        curated: False gives all there is, insides of blocks channel by channel, nothing estimated.
        """
        return space_of(self, Offer(blocks, edits, widths, sizes), curated, losses)

    def landscape(self, path: Sequence[tuple[float, int]] | None = None) -> "Figure":
        """The figure of what this network costs over channels and depth: counted in multiply-accumulates, on the target
        channel by channel, and on the target at the widths it favours. Latencies are estimated.

        path: networks that a search visited, as (share of the channels, number of blocks); a descent that stops where
        no smaller neighbour is faster, where not given.
        """
        return landscape_of(self, path)

    # ---- make ---------------------------------------------------------------------------------------------------

    def build(
        self,
        calibration: torch.Tensor | None = None,
        distil: int = 0,
        *,
        library: str | Path | Task | None = None,
    ) -> nn.Module:
        """The edited model: a plain module of its own class, in eval mode, weights carried.

        calibration: images [N, C, H, W] on which replaced blocks are fitted and batch norms re-estimated; without
        them weights are carried where mathematics allows and composed elsewhere. distil: so many training steps bring
        each fitted block nearer to the original's outputs on those images, no labels needed; 300 are a good number
        and take seconds a block. A bar shows how far it is.

        library: a task, whose block library (`library`, with the numbers it has there) gives the blocks, in the place
        of both. What is not in it yet is made first, so the result is the same whatever was filled before. Steps taken
        since weights were learned that change blocks alone are put together from it; batch norms are re-estimated on
        its pictures; the first step that reaches further, and all after it, are carried out with some of them as
        calibration. A plain `build()` looks into no library: what it makes depends on the session alone.
        """
        if library is None:
            return build_state(self, calibration, distil)
        if calibration is not None or distil:
            raise InputError("build takes library=, whose blocks are fitted and distilled, or calibration= and distil=")
        return built(self, library)

    def finetune(
        self,
        task: str | Path | Task,
        epochs: int = 5,
        *,
        teacher: State | nn.Module | None = None,
        **schedule: Any,
    ) -> Self:
        """The session with weights learned on a task, a change that `undo` takes back; later steps carry them on.

        task: "digits", "rooms/presence", "rooms/detection", "rooms/segmentation", a `Task`, or a folder: one folder per
        class, annotations.json with boxes, or images/ and masks/ (`training.resolve_task`). teacher: a session or
        module whose outputs are imitated, such as the unedited model after its own fine-tuning. schedule:
        learning_rate, batch_size, weight_decay, warmup, optimizer, average, teaching, seed (`training.Schedule`); those
        not given are what suits the task.
        Steps applied since weights were learned on the task are recovered (`recover`), with the network before them as
        teacher, for these epochs. Where steps were applied to weights that come from elsewhere (pretrained, a
        checkpoint), the network without them learns for these epochs first, and they are recovered from it: labels
        alone do not bring back what edits of pretrained weights lose. With a teacher named, and on initial weights,
        replaced blocks are fitted, and batch norms re-estimated, on the task's pictures before the first epoch.

        A bar shows how far it is. The same call goes on where it was interrupted, from the last whole epoch. Raises
        InputError, before anything is learned, where the data is damaged or does not fit the network's head.
        """
        data = resolve_task(task)
        return replace(finetune(self, data, {"epochs": epochs, **schedule}, teacher), task=data)

    def recover(
        self,
        task: str | Path | Task,
        epochs: int = EPOCHS,
        *,
        pictures: int = PICTURES,
        distil: int = STEPS,
        **schedule: Any,
    ) -> Self:
        """The session with weights that keep what was learned before the steps applied since: a change for `undo`.

        Three stages, with the network before these steps as teacher: replaced layers and narrowed widths are fitted to
        it by least squares, on `pictures` training pictures of the task; its blocks are distilled, `distil` steps each,
        without labels; and for some epochs the whole network learns, on mixed pictures, from the labels, the teacher's
        outputs and the maps its blocks make (epochs=0 ends before; teaching=1 needs no labels). Where the weights never
        learned a task, and are not those of a module of your own, the network without the steps learns it first, as
        `finetune` would: edits lose least in that order.

        task, schedule: as for `finetune`. `recovery` shows what each stage brought. A bar shows how far it is; the same
        call goes on where it was interrupted. Raises InputError where no step was applied since weights were learned.
        Where the block library holds all that the steps do (`library`, with the same numbers), its blocks take the
        place of the first stage, which is called "library" then.
        """
        data = resolve_task(task)
        return replace(recover(self, data, {"epochs": epochs, **schedule}, pictures, distil), task=data)

    @property
    def recovery(self) -> pd.DataFrame:
        """What each stage of the last recovery brought: stage, score (validation pictures), seconds; else no row."""
        rows = [] if self.learned is None else list(self.learned.stages)
        return Table(rows, columns=["stage", "score", "seconds"])

    def library(
        self, task: str | Path | Task, *, pictures: int = PICTURES, distil: int = STEPS, block: bool = True
    ) -> pd.DataFrame:
        """Fill the block library: every block edited every way the catalogue offers, by itself.

        What is edited is the network before the steps applied since weights were learned; an edited block is fitted by
        least squares, then distilled for `distil` steps, on what the block itself reads and makes on `pictures`
        training pictures of the task, without labels.

        One row a choice: block, choice, loss_fitted and loss_distilled (relative errors of the block's output on
        held-out pictures, before and after distillation), seconds, note. Choices that reach beyond one block have
        no losses, and the note says why.

        A bar shows how far it is. Entries are kept under WORKBENCH_HOME, for every session and every target of this
        network, these weights and pictures: the same call goes on where it was interrupted, from the last whole entry.
        `build(library=task)` and `recover` start from them.

        block: False gives back at once what is kept, and fills the rest in a thread; the same call again shows how far
        it is, and with block=True goes on in its place. Raises InputError where the task is of another kind than what
        the network answers.
        """
        return Table(filled(self, task, pictures, distil, block))

    def search(
        self,
        task: str | Path | Task,
        strategy: str = "hybrid",
        trials: int = 40,
        seed: int = 0,
        objectives: Sequence[str] = ("accuracy", "latency_ms"),
        budgets: Mapping[str, float] | None = None,
        space: Space | None = None,
        executor: Executor | str | None = None,
        storage: str | Path | None = None,
        block: bool = True,
        workers: int | None = None,
        **options: Any,
    ) -> Study[Self]:
        """Search for edits of this session that are better together than any others: a study, with all it has tried.

        Candidates are edits of the network as it is; where its weights have not learned the task, it learns it first.
        Each that is trained is recovered from it (`recover`), and judged on the validation pictures; the front alone is
        judged on the test pictures, once.

        task: as for `finetune`, by name or folder. strategy: "hybrid" (a pool from the integer program and the prices,
        ranked by scores without training; the engine then trains what it expects to add most to the front),
        "multishot" (evolution, each child trained), "zero-shot" and "single-shot" (a ranking without training says
        what is trained). trials: how many networks are trained, the unedited one and some controls among them; the
        search ends before, where the front no longer moves by more than the noise.
        objectives: "accuracy" and any of latency_ms, sram_bytes, peak_activation_bytes, weight_bytes, params, macs.
        budgets: most latency_ms, sram_kib, model_kib that a candidate may take. space: None for
        `space(widths=4)`. options: epochs, pictures, distil (as for `recover`; 2, 256, 0), pool, controls
        (`search.options.Options`), schedule (of the training, such as {"batch_size": 32}).

        storage: a new .db file, or the URL of any Optuna storage; a file below WORKBENCH_HOME/studies where not given.
        The search runs in a process of its own, which outlives this one; block=False comes back at once, and
        `workbench.attach(study.storage)` finds the study again. `study.pause()`, `study.cancel()` and `study.resume()`
        tell it what to do; whatever ends it costs no more than the trials under way.
        executor: any `concurrent.futures.Executor`, which then trains for a search in this process, or the address of a
        dask scheduler; `workers` processes where not given, one a core but at most four.

        Raises InputError, before anything is stored, where an option is wrong or the target is not calibrated.
        """
        values = {"strategy": strategy, "trials": trials, "seed": seed, "objectives": objectives, **options}
        return search(
            self, task, options_of(values | {"budgets": dict(budgets or {})}), space, executor, storage, block, workers
        )

    def with_weights(self, weights: nn.Module | str | Path) -> Self:
        """The session with the weights of a module, or a .safetensors file, that fit its network as it is now.

        For weights learned elsewhere, from `build()`. Raises FileFormatError naming the first weight that does not fit.
        """
        return with_weights(self, weights)

    def evaluate(
        self,
        task: str | Path | Task,
        dtype: str = "float",
        calibration: torch.Tensor | None = None,
        *,
        part: Part = "val",
    ) -> "Score":
        """The score on a task's pictures for validation: value, 95 % interval, count, loss.

        `score.against(other)` compares it with another network's, or the int8 file's, picture by picture, and says "no
        difference" where these pictures show none. part: "val", which is chosen on, or "test", which is reported on,
        once.
        dtype: "float" runs the built module; "int8" the TFLite file that would be deployed, in the LiteRT interpreter
        (extra `deploy`), "int16" the one with 16-bit activations. calibration: images for replaced blocks, batch norms
        and the ranges of the file; pictures the task trains on where not given.
        """
        return evaluate(self, task, dtype, calibration, part)

    def forecast(self, task: str | Path | Task | None = None) -> Forecast:
        """The score on the task's pictures for validation that `recover` is expected to bring, without training.

        What is measured takes seconds: how far the answers of the edited network, as built and fitted by least squares,
        are from those of the network before the steps applied since weights were learned. What that means for the
        score is learned from candidates that were trained: each `recover` and `finetune` on edited weights keeps one
        under WORKBENCH_HOME, those of other tasks teach what is to be expected before. Measured figures are kept, so
        that the same forecast takes no time. Where nothing was applied it is the network's own score.

        `score`, `interval` (90 %), `parts` (change, loss), `based_on` and `complete`: False where the task has too few
        trained candidates, or none like this one. task: the session's own where not given. Raises InputError where the
        weights before the steps never learned the task: `finetune` them first.
        """
        return forecast(self, self.task if task is None else task)

    def fidelity(self, images: torch.Tensor, calibration: torch.Tensor | None = None, distil: int = 0) -> pd.DataFrame:
        """What every block's output became, against the original's; the last row is the whole network.

        images: [N, C, H, W]. calibration: the images the blocks are fitted on, the same ones where not given
        (other images give the stricter figure). distil: as for `build`.
        """
        return Table(fidelity_of(self, images, calibration, distil))

    def verify(self, timeout_s: float | None = None) -> Verification:
        """Compile the network for real and show it beside the estimate.

        Its operators are those of the file that `export` writes, in the same forms: what is left to the CPU here
        (`cpu_ops`, whose time no figure holds, so that neither is complete) is left to the CPU there.
        Never raises for what the compiler does: the status is "compiled", "refused", "crashed" or "timeout",
        with a reason. Compilers compress weights, so values matter: trained weights are used as they are (edited
        ones built without calibration); a freshly created timm model, whose residual branches may be all zero, is
        compiled with seeded random values, which estimates of it assume, too.
        What was compiled is kept and sharpens the estimates of networks near it (`Estimate.own` says how much).
        """
        return verify(self, timeout_s)

    def export(
        self,
        path: str | Path,
        calibration: torch.Tensor | None = None,
        task: str | Path | Task | None = None,
        *,
        activations: str = "int8",
        int16_layers: Sequence[str] = (),
    ) -> pd.DataFrame:
        """Write the built model as ONNX (.onnx) or as the int8 TFLite file that is deployed (.tflite, extra `deploy`).

        calibration: images [N, C, H, W] as the model reads them, for the ranges of the int8 file, replaced blocks and
        batch norms; the task's training pictures where not given. task: what to judge the file by. activations: "int8"
        or "int16" (weights stay int8). int16_layers: patterns of module paths ("blocks.1.*") whose outputs alone are
        held in 16 bits, mixed precision; what reads them runs in 16 bits, too.

        Gives back one row. file, dtype, kib; with a task: task, metric, pictures (for validation, how many), module and
        exported (the score of the float module, and of the file as it runs in ONNX Runtime or LiteRT), each with its
        95 % interval (module_95, exported_95), difference (of the two, picture by picture, in words) and culprit, the
        layer that spoils most where the file loses more than a point (see `int8_fidelity`); of a .tflite file what the
        target's compiler makes of that very file: status (what it refuses, and why), latency_ms (beside estimated_ms),
        sram_kib, dram_kib, flash_kib, and left_to_cpu, the operators whose time no figure holds. The file is checked,
        and written whole or not at all.
        """
        return Table(export(self, Path(path), calibration, task, activations, int16_layers))

    def int8_fidelity(
        self,
        images: torch.Tensor,
        calibration: torch.Tensor | None = None,
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
        return Table(int8_fidelity(self, images, calibration, activations, int16_layers))

    def bundle(
        self,
        path: str | Path,
        calibration: torch.Tensor | None = None,
        task: str | Path | Task | None = None,
    ) -> Path:
        """Write one .zip for colleagues to use and to check (extra `deploy`): recipe, session, notebook, page, the int8
        file, the compiler's report on it, versions, and every figure with what it takes to derive it again.

        calibration, task: as for `export`; one of them is needed. `workbench.verify(path)`, or `workbench verify
        friday.zip` in the shell, derives all figures again on another machine and says which hold.
        """
        return bundle(self, Path(path), calibration, task)

    def save(self, path: str | Path) -> Path:
        """Write the session (base weights, steps, notes) to a .wb file; `workbench.load` reads it."""
        return save(self, Path(path))

    def share(
        self,
        path: str | Path,
        *,
        verified: Measurement | None = None,
        verified_before: Measurement | None = None,
        latency_ms: float | None = None,
        sram_kib: float | None = None,
        model_kib: float | None = None,
    ) -> Path:
        """Write one HTML page that opens with no network: time by block and operator, memory at every step, the target,
        steps, code and notes, to be explored offline.

        verified, verified_before: what `verify()` gave for this session and for its baseline; shown beside the
        estimates. latency_ms, sram_kib, model_kib: budgets, as for `meet`, drawn beside what the network takes.
        """
        budgets = Budgets(latency_ms, sram_kib, model_kib)
        return write_page(self, Path(path), compiled=verified, compiled_before=verified_before, budgets=budgets or None)

    def code(self) -> str:
        """The whole branch as Python to paste into a cell: `session` is then this network, on this target, with these
        notes. What code cannot bring (a module of your own, a task, learned weights) is named in comments.
        """
        return code(self)

    def bench(self) -> Bench:
        """The interactive widget on this session."""
        return Bench(self, watched_meet, Searches(Session.search, session_task))

    def _repr_html_(self) -> str:
        return picture(self)
