"""Operator kinds (TFLite's names) by what becomes of them on the accelerator."""

from ..passes import ELEMENTWISE

__all__ = ["ACTIVATIONS", "CONVOLUTIONS", "LOOKED_UP", "MAX_STRIDE", "PASS_OPS", "POOLS", "RESHAPED_DEEPER", "SLICES"]

# kind -> the compiler's name
PASS_OPS = {
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "FULLY_CONNECTED": "FullyConnected",
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "MAXIMUM": "Maximum",
    "MINIMUM": "Minimum",
    "ABS": "Abs",
    "AVERAGE_POOL_2D": "AvgPool",
    "MAX_POOL_2D": "MaxPool",
    "LARGEST": "MaxPool",
    "QUANTIZE": "Quantize",
    "RELU": "Relu",
    "RELU6": "Relu6",
    "RELU_N1_TO_1": "ReluN1To1",
    "DIV": "Div",
    "ASR": "Asr",
    "CLZ": "CLZ",
    "SHL": "SHL",
    "REDUCE_SUM": "ReduceSum",
    "MEMORY_COPY": "MemoryCopy",
    "TRANSPOSE": "Transpose",
    "MATMUL": "MatMul",
}
ACTIVATIONS = {"RELU": "Relu", "RELU6": "Relu6", "RELU_N1_TO_1": "ReluN1To1"}
LOOKED_UP = frozenset(["LOGISTIC", "TANH", "HARD_SWISH", "GELU", "LEAKY_RELU", "EXP", "RSQRT"])
CONVOLUTIONS = frozenset(["CONV_2D", "DEPTHWISE_CONV_2D"])  # what pads its input itself
MAX_STRIDE = 3  # of a window; a longer one takes several passes
POOLS = frozenset(["AVERAGE_POOL_2D", "MAX_POOL_2D"])
SLICES = frozenset(["SLICE", "STRIDED_SLICE"])
# the compiler's names of operators that work on a shallow feature map reshaped to have more channels
RESHAPED_DEEPER = ELEMENTWISE | {"Quantize", *ACTIVATIONS.values(), "LUT"}
