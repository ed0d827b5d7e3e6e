"""Graph -> the network as deployed: int8 TFLite operators, channels last.

The rules are those of the files that `deploy` writes (litert-torch, then ai-edge-quantizer), read off them:

* `layers`: batch norms, constant factors and offsets fold into the layer before them, ReLU and ReLU6 into what makes
  their input; torch's symmetric padding is SAME where TensorFlow's formula gives the same, else an explicit PAD;
* `elementwise`: hard-sigmoid behind a convolution becomes a ReLU6 of the shifted bias and a MUL by 1/6, swish is
  LOGISTIC and MUL, hard-swish stays one operator;
* `normalisation`: what a batch norm without a layer, a layer norm or a group norm is computed with;
* `attention`: products of matrices in batches of rank 3, softmax between them;
* `recurrent`: LSTM, GRU and plain recurrent layers are unrolled, step by step;
* `pooling` and `shapes`: tensors of rank four stand channels last; permutes that undo this vanish, reshapes that need
  torch's order are preceded by a TRANSPOSE;
* means, sums, largest values and pads of such tensors stand in the forms in which `deploy.accelerated_forms` has them
  exported, so that the accelerator takes them;
* equal operators that read the same are one; arithmetic with one number folds into the layer behind it;
* a concatenation's inputs share its scale: an input that others read too, or whose maker cannot rescale, is
  requantised first (see `tensor_scales.py`);
* what the quantiser knows no integer form of (EXP, LOG, a maximum along an axis, comparisons) stays on real numbers,
  between two conversions: the CPU's work.

A kind without a rule, or used in a way its rule does not cover, becomes "UNSUPPORTED:<kind>": the estimator lists
it, the writer refuses it.
"""

from ...graph import Graph
from . import attention, elementwise, layers, normalisation, pooling, recurrent, shapes
from .adaptive_windows import passes
from .hw_operator import COMPARISONS, HwOp
from .network import Lowering
from .pooling import TRAILING, window_of_largest

__all__ = ["COMPARISONS", "TRAILING", "HwOp", "lower", "passes", "unsupported", "window_of_largest"]

_RULES = {
    **layers.RULES,
    **elementwise.RULES,
    **normalisation.RULES,
    **attention.RULES,
    **pooling.RULES,
    **shapes.RULES,
    **recurrent.RULES,
}


def lower(graph: Graph) -> tuple[HwOp, ...]:
    """The deployed network's operators in execution order, inputs first."""
    return Lowering(graph).run(_RULES)


def unsupported(ops: tuple[HwOp, ...]) -> tuple[str, ...]:
    """Graph operators no rule is known for, as "kind path"."""
    return tuple(f"{op.kind.partition(':')[2]} {op.sources[0]}" for op in ops if op.kind.startswith("UNSUPPORTED"))
