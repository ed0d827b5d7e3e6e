"""Colours: even steps, and text that can be read on each of them."""

import pytest

from workbench.report.palette import DARK, LIGHT, STEPS, heat, scale_top, theme_css


def _linear(colour: str) -> list[float]:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


def _luminance(colour: str) -> float:
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), _linear(colour), strict=True))


def _lightness(colour: str) -> float:
    """CIE L*."""
    y = _luminance(colour)
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize("colours", [LIGHT, tuple(reversed(DARK))], ids=["light", "dark"])
def test_more_latency_is_always_further_from_the_background(colours):
    steps = [a - b for a, b in zip(map(_lightness, colours), map(_lightness, colours[1:]), strict=False)]
    assert min(steps) > 0
    assert max(steps) < 3 * min(steps)


@pytest.mark.parametrize(("colours", "inks"), [(LIGHT, "black white"), (DARK, "white black")], ids=["light", "dark"])
def test_ink_reads_on_every_step(colours, inks):
    first, then = inks.split()
    for step, colour in enumerate(colours):
        y = _luminance(colour)
        ink = first if step < STEPS // 2 else then
        contrast = 1.05 / (y + 0.05) if ink == "white" else (y + 0.05) / 0.05
        assert contrast >= 4.5, f"{ink} on {colour}"
        short = {"white": "#fff", "black": "#000"}[ink]
        assert f"--wb-heat-{step}:{colour}" in theme_css("x") and f"--wb-ink-{step}:{short}" in theme_css("x")


def test_the_scale_ends_where_the_largest_share_does():
    assert heat(0.0, 0.2) == 0
    assert heat(0.2, 0.2) == heat(0.5, 0.2) == STEPS - 1
    assert (scale_top(), scale_top(0.2), scale_top(0.201), scale_top(float("nan"), 1.0)) == (0.05, 0.2, 0.25, 1.0)
