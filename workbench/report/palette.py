"""Colours for shares of latency, and the style all views have in common, on light and dark themes.

The steps are seaborn's `rocket`, which is perceptually uniform; on a dark theme it runs the other way, so that what
is cheap recedes into the background and what is expensive stands out. Every step has the ink, black or white,
that reads on it (contrast at least 4.5 to 1).
"""

import math

__all__ = ["LIGHT", "STEPS", "TOKENS", "heat", "scale_top", "theme_css"]

LIGHT = ("#f9e0cd", "#f6bf9d", "#f69e75", "#f47a54", "#ed503e", "#dc2b46", "#bf1654", "#9a1b5b", "#761f58", "#541e4e")
DARK = ("#3c1a42", "#611f53", "#871e5b", "#af1759", "#d2204c", "#ea443e", "#f3714d", "#f59970", "#f6be9b", "#f9e0cd")
STEPS = len(LIGHT)
_FIRST_OTHER_INK = 5  # of both: black on the first five light steps, white on the first five dark ones

# JupyterLab's own colours where there are any, else these.
TOKENS = {
    "text": ("--jp-ui-font-color1", "#1d1b20", "#eceaf0"),
    "muted": ("--jp-ui-font-color2", "#5c5866", "#aaa5b5"),
    "surface": ("--jp-layout-color1", "#ffffff", "#18161c"),
    "panel": ("--jp-layout-color2", "#f5f3f7", "#232028"),
    "line": ("--jp-border-color2", "#d9d5de", "#3d3945"),
    "focus": ("--jp-brand-color1", "#1565c0", "#7db7ff"),
    "ghost": ("", "#d3cfda", "#4a4553"),
    "cap": ("", "#4b4655", "#cfcad8"),
    "memory": ("", "#2a7f9e", "#5db8d6"),
    "better": ("", "#0f7040", "#5fd39a"),
    "worse": ("", "#b3261e", "#ff9389"),
    "bound-compute": ("", "#5b6bb5", "#8f9de8"),
    "bound-sram": ("", "#2a7f9e", "#5db8d6"),
    "bound-dram": ("", "#c2571a", "#f2935c"),
    "bound-flash": ("", "#8a3f8f", "#d58ad9"),
    "bound-memory": ("", "#c2571a", "#f2935c"),
}


def scale_top(*shares: float) -> float:
    """The share at the hot end of the scale: the largest one, up to the next 5 %.

    >>> scale_top(0.04, 0.183)
    0.2
    """
    largest = max((s for s in shares if not math.isnan(s)), default=0.0)
    return max(1, math.ceil(round(20 * largest, 6))) / 20


def heat(share: float, top: float) -> int:
    """The step of the palette, 0 (cheap) to STEPS - 1, of a share of latency on a scale that ends at `top`."""
    if math.isnan(share):
        return 0
    return min(STEPS - 1, max(0, int(STEPS * share / top)))


def theme_css(root: str) -> str:
    """Variables (--wb-text, --heat and --ink of .wb-heat-N, ...) for everything below the CSS selector `root`."""
    light, dark = _variables(0), _variables(1)
    steps = "".join(f"{root} .wb-heat-{i}{{--heat:var(--wb-heat-{i});--ink:var(--wb-ink-{i})}}" for i in range(STEPS))
    return (
        f"{root}{{{light}}}"
        f"@media (prefers-color-scheme:dark){{{root}{{{dark}}}}}"
        # JupyterLab and Visual Studio Code say on the body which theme they show, whatever the system prefers.
        f'body[data-jp-theme-light="true"] {root},body.vscode-light {root}{{{light}}}'
        f'body[data-jp-theme-light="false"] {root},body.vscode-dark {root}{{{dark}}}'
        f"@media print{{{root},body {root}{{{light}print-color-adjust:exact;-webkit-print-color-adjust:exact}}}}"
        f"{steps}"
    )


def _variables(dark: int) -> str:
    colours = DARK if dark else LIGHT
    first, then = ("#fff", "#000") if dark else ("#000", "#fff")
    declarations = [
        f"--wb-{name}:" + (f"var({theme},{values[dark]})" if theme else values[dark])
        for name, (theme, *values) in TOKENS.items()
    ]
    declarations += [f"--wb-heat-{i}:{colour}" for i, colour in enumerate(colours)]
    declarations += [f"--wb-ink-{i}:{first if i < _FIRST_OTHER_INK else then}" for i in range(STEPS)]
    declarations.append(f"color-scheme:{'dark' if dark else 'light'}")
    return ";".join(declarations) + ";"
