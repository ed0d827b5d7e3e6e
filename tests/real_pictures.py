"""Real pictures for tests, as they lie in their folders: garments in folders of classes, blood cells with COCO boxes.

clothing-dataset-small (github: alexeygrigorev/clothing-dataset-small, CC0 1.0) and BCCD (github: Shenggan/BCCD_Dataset,
MIT), where they lie beside the repository; elsewhere a few drawn pictures laid out alike.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["CELLS", "GARMENTS", "PARTS", "cells", "clothing"]

DATA = Path(__file__).parents[2] / "shared" / "data"
GARMENTS = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")
CELLS = ("RBC", "WBC", "Platelets")
PARTS = ("train", "val", "test")


def clothing(empty: Path) -> Path:
    """The garments, or pictures drawn into the folder `empty`."""
    if (DATA / "clothing").is_dir():
        return DATA / "clothing"
    folder, random = empty / "clothing", np.random.default_rng(0)
    for part in PARTS:
        for label, name in enumerate(GARMENTS):
            (folder / part / name).mkdir(parents=True)
            for i in range(2 + label % 3):
                pixels = random.integers(0, 255, (32, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.jpg")
    return folder


def cells(empty: Path) -> Path:
    """The blood cells, or pictures drawn into the folder `empty`."""
    if (DATA / "bccd").is_dir():
        return DATA / "bccd"
    folder, random = empty / "bccd", np.random.default_rng(0)
    for part in PARTS:
        (folder / part / "images").mkdir(parents=True)
        boxes = [(i, kind, [10.5 * kind, 5.5, 9.0, 12.5]) for i in range(4) for kind in (1, 2, 3)]
        content = {
            "images": [{"id": i, "file_name": f"{i}.jpg", "width": 48, "height": 36} for i in range(4)],
            "annotations": [
                {"id": row, "image_id": i, "category_id": kind, "bbox": box, "iscrowd": 0, "area": 9.0 * 12.5}
                for row, (i, kind, box) in enumerate(boxes)
            ],
            "categories": [{"id": 1 + i, "name": name} for i, name in enumerate(CELLS)],
        }
        (folder / part / "annotations.json").write_text(json.dumps(content))
        for i in range(4):
            pixels = random.integers(0, 255, (36, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / "images" / f"{i}.jpg")
    return folder
