"""Which channels move together: segments of every tensor's channel axis, and the pass that finds them.

A tensor's channels are a sequence of segments. A convolution makes a new segment; a residual add makes its two
inputs one; a concatenation lines segments up; a slice cuts one in two; a depthwise convolution, a norm, an
activation or a squeeze-excite gate hands them on; flattening repeats each channel. What takes channels apart into
equal parts that meet again, as selected kernels and shuffles do, makes the parts one segment that stands there several
times. One common width is not enough: rexnet adds into the first 27 of 38 channels.

What cannot be resized is frozen with the reason, in the words a user can act on.
"""

from .segments import ChannelLayout, Channels, Segment, source_channels
from .tracing import trace_channels

__all__ = ["ChannelLayout", "Channels", "Segment", "source_channels", "trace_channels"]
