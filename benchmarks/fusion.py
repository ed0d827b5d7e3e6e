"""What fusing a block does to it: composed weights, least squares, and blockwise distillation.

    make bench-fusion

Networks are trained first (scikit-learn's digits at 64 pixels, seeds given), because weights nobody trained say little:
their activations hardly clip. Then every inverted bottleneck is fused alone, three ways, on 256 unlabelled images, and

    error     ||y' - y|| / ||y|| of the block's output

is taken on 128 images that neither training nor fitting saw. Digits are grey and simple, so the same is printed for
pictures of rooms (`workbench.training.rooms`) given to the same networks: images the network was not trained on.
"""

import argparse
import copy
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from provenance import provenance

from workbench import FuseIBN
from workbench.errors import NotApplicable
from workbench.files import write_atomic
from workbench.hardware import resolve

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nas-workbench" / "fusion"
# ReLU6, and squeeze-excite with ReLU; blocks that keep their code: group norms, and biases in place of norms
MODELS = ("mobilenetv2_050", "semnasnet_050", "test_efficientnet_gn", "efficientvit_b0")
SIZE, EPOCHS, STEPS = 64, 24, 300
IMAGES, UNSEEN = 256, 128


def digits() -> tuple[Any, Any]:
    """float32[1797, 3, 64, 64] in -1 to 1 and int64[1797], shuffled."""
    import torch
    from sklearn.datasets import load_digits

    held = load_digits()
    order = np.random.default_rng(0).permutation(len(held.images))
    small = torch.tensor(held.images[order]).float()[:, None] / 8 - 1
    large = torch.nn.functional.interpolate(small, size=(SIZE, SIZE), mode="bilinear")
    return large.repeat(1, 3, 1, 1), torch.tensor(held.target[order])


def rooms(count: int) -> Any:
    import torch

    from workbench.training.rooms import room

    pictures = np.stack([room(0, i, SIZE).image for i in range(count)])
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def trained(name: str, images: Any, labels: Any) -> tuple[Any, float]:
    """The network after training on the first 1200 images (kept for the next run), and its accuracy on the last."""
    import timm
    import torch
    from safetensors.torch import load_file, save

    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10)
    path = CACHE / f"{name}-{EPOCHS}.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path))
    else:
        adam = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.02)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, total_steps=EPOCHS * 37)
        for _ in range(EPOCHS):
            model.train()
            for rows in torch.randperm(1200).split(32)[:37]:
                noisy = images[rows] + 0.2 * torch.randn(len(rows), 1, SIZE, SIZE)
                loss = torch.nn.functional.cross_entropy(model(noisy), labels[rows], label_smoothing=0.1)
                adam.zero_grad()
                loss.backward()
                adam.step()
                rate.step()
        CACHE.mkdir(parents=True, exist_ok=True)
        write_atomic(path, save(model.state_dict()))
    model.eval()
    with torch.no_grad():
        right = model(images[-UNSEEN:]).argmax(1) == labels[-UNSEEN:]
    return model, float(right.float().mean())


def blocks(model: Any, images: Any, unseen: Any) -> pd.DataFrame:
    """One row per block that can be fused: its errors."""
    from workbench.graph.trace import trace
    from workbench.surgery.activations import capture
    from workbench.surgery.carry_out import carry_out

    graph, target = trace(model, (3, SIZE, SIZE)), resolve("ethos-u65-512")
    rows = []
    for block in graph.blocks:
        try:
            plan = FuseIBN(block.name).plan(graph, target)
        except NotApplicable:
            continue
        outputs = capture(model, unseen, {"y": (block.name, "output")})["y"]

        def error(calibration: Any, steps: int, plan: Any = plan, path: str = block.name, y: Any = outputs) -> float:
            fused = copy.deepcopy(model)
            carry_out(fused, graph, [plan], calibration, steps)
            fused_outputs = capture(fused, unseen, {"y": (path, "output")})["y"]
            return float((fused_outputs - y).norm() / y.norm())

        start = time.perf_counter()
        errors = {"composed": error(None, 0), "least squares": error(images, 0), "distilled": error(images, STEPS)}
        rows.append({"block": block.name, **errors, "seconds": time.perf_counter() - start})
    return pd.DataFrame(rows).set_index("block")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "fusion.txt")
    arguments = parser.parse_args()
    images, labels = digits()
    pictures = rooms(IMAGES + UNSEEN)
    lines = [
        "make bench-fusion",
        provenance("torch", "timm"),
        f"each block fused alone; {IMAGES} unlabelled images, {STEPS} steps of distillation; errors on {UNSEEN} others",
    ]
    for name in MODELS:
        model, accuracy = trained(name, images, labels)
        for what, calibration, unseen in (
            ("digits", images[1200 : 1200 + IMAGES], images[-UNSEEN:]),
            ("rooms", pictures[:IMAGES], pictures[IMAGES:]),
        ):
            table = blocks(model, calibration, unseen)
            ratios = table[["least squares", "distilled"]].div(table["composed"], axis=0)
            lines += ["", f"{name} trained on digits ({accuracy:.1%} right on unseen ones), images: {what}", ""]
            wide = max(map(len, table.index))
            lines += [f"  {'':{wide}}{'composed':>10}{'least squares':>15}{'distilled':>11}{'of composed':>13}"]
            for block, row in table.iterrows():
                lines.append(
                    f"  {block:{wide}}{row['composed']:10.3f}{row['least squares']:15.3f}{row['distilled']:11.3f}"
                    f"{row['distilled'] / row['composed']:13.0%}"
                )
            better, half = (ratios["least squares"] < 1).sum(), (ratios["distilled"] <= 0.5).sum()
            lines += [
                f"  least squares below composed: {better} of {len(table)} blocks             must: all",
                f"  distilled at most half of composed: {half} of {len(table)} blocks       must: all",
                f"  median of composed: least squares {ratios['least squares'].median():.0%}, "
                f"distilled {ratios['distilled'].median():.0%}; {table.seconds.sum():.0f} s",
            ]
            print("\n".join(lines[-len(table) - 7 :]), flush=True)
    write_atomic(arguments.out, ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
