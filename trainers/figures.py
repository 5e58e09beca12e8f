"""Draw pictures of a scored split as pixels; where they are shown is the tracker's.

Matplotlib's own objects are used, not pyplot: nothing is kept alive and no display is looked for.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from configs.outside_text import one_line
from trainers.masking import masked

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

DPI = 100
MAX_COUNTED_CLASSES = 100
"""Classes up to which each cell of the confusion matrix shows its count."""
MAX_NAMED_CLASSES = 200
"""Classes up to which every row and column has its name."""
MAX_BARS = 100
"""Bars of the F1 picture; of more classes the worst are shown."""
MAX_NAME_LETTERS = 56


def draw_confusion_matrix(confusion: np.ndarray, label_names: tuple[str, ...]) -> Pixels:
    """Draw rows by label and prediction, shaded by share of label. Returns (height, width, 3)."""
    classes = len(label_names)
    cell = 0.6 if classes <= 12 else 0.2 if classes <= MAX_NAMED_CLASSES else 0.02
    names = [_shortened(name) for name in label_names] if classes <= MAX_NAMED_CLASSES else []
    margin = _text_inches(names)
    side = max(2.0, cell * classes)
    figure = Figure(figsize=(side + margin + 0.5, side + margin + 0.8), dpi=DPI)
    axes = _add_axes(figure, margin + 0.3, margin + 0.4, side, side)
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.set_title("label down, prediction across", fontsize=10)
    size = 9 if classes <= 12 else 7
    # Plain texts: ticks with labels take three times as long to draw.
    gap = 0.05 / cell
    for place, name in enumerate(names):
        axes.text(-0.5 - gap, place, name, ha="right", va="center", fontsize=size)
        bottom = classes - 0.5 + gap
        axes.text(place, bottom, name, ha="center", va="top", rotation=90, fontsize=size)
    if classes <= MAX_COUNTED_CLASSES:
        for row, column in np.argwhere(confusion):
            color = "white" if shares[row, column] > 0.5 else "black"
            count = str(confusion[row, column])
            axes.text(column, row, count, ha="center", va="center", color=color, fontsize=size - 1)
    return _pixels(figure)


def draw_f1_per_class(per_class: dict[str, dict[str, float]]) -> Pixels:
    """Draw one F1 bar per class, worst on top. Returns (height, width, 3)."""
    worst = sorted(per_class, key=lambda name: (per_class[name]["f1"], name))[:MAX_BARS]
    names = [_shortened(name) for name in worst]
    margin, height = _text_inches(names), 0.2 * len(worst)
    figure = Figure(figsize=(margin + 6.2, height + 0.8), dpi=DPI)
    axes = _add_axes(figure, margin + 0.1, 0.3, 5.0, height)
    axes.barh(range(len(worst)), [per_class[name]["f1"] for name in worst], color="#4c78a8")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(worst) - 0.5, -0.5)
    hidden = len(per_class) - len(worst)
    axes.set_title("F1 and rows per class" + (f", {hidden} better ones left out" if hidden else ""))
    for place, (name, text) in enumerate(zip(worst, names, strict=True)):
        value = f"{per_class[name]['f1']:.3f}  ({int(per_class[name]['support'])})"
        axes.text(-0.01, place, text, ha="right", va="center", fontsize=8)
        axes.text(1.01, place, value, va="center", fontsize=8)
    return _pixels(figure)


def draw_pictures(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> Pixels:
    """Draw pictures, (height, width, 1 or 3) uint8, with a title above each, up to 8 in a row.

    Returns (height, width, 3).
    """
    columns = min(8, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(1.7 * columns, 1.9 * rows), dpi=DPI)
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left, top = 1.7 * (place % columns), 1.9 * (rows - 1 - place // columns)
        axes = _add_axes(figure, left + 0.1, top + 0.1, 1.5, 1.4)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=7)
    return _pixels(figure)


def _add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes without ticks, placed in inches."""
    full_width, full_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _shortened(name: str) -> str:
    """Return a name as it is drawn; dollar signs would begin a formula (matplotlib)."""
    name = one_line(masked(name)).replace("$", r"\$")
    return name if len(name) <= MAX_NAME_LETTERS else name[: MAX_NAME_LETTERS - 3] + "..."


def _text_inches(names: list[str]) -> float:
    """Estimate the width of the longest name; a letter takes about 0.07 inch at 8 points."""
    return 0.07 * max((len(name) for name in names), default=0) + 0.1


def _pixels(figure: Figure) -> Pixels:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
