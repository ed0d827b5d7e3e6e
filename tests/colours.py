"""A folder of pictures of three colours, few enough to be learned in a second."""

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["colours"]


def colours(folder: Path, train: int, val: int, test: int) -> Path:
    """Write so many pictures of each colour for each part; answers with the folder."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val), ("test", test)):
        for colour in range(3):
            (folder / part / f"colour{colour}").mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 160, (32, 32, 3))
                pixels[8:24, 8:24, colour] += 60
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / f"colour{colour}" / f"{number}.png")
    return folder
