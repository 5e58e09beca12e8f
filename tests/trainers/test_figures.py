"""Pictures: right size, shaded where rows are, readable names at 77 classes."""

import numpy as np

from trainers.figures import draw_confusion_matrix, draw_f1_per_class, draw_pictures


def test_a_full_diagonal_is_dark_and_the_rest_is_light() -> None:
    pixels = draw_confusion_matrix(np.diag([5, 5, 5]), ("a", "b", "c"))
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    # Axes lie margin + 0.3 inch from the left and 0.4 inch from the top, at 100 dots per inch; the
    # margin of a one-letter name is 0.17 inch, and a cell is 2.0 / 3 inch wide.
    left, top, cell = 47, 40, 200 / 3

    def corner_of(row: int, column: int) -> int:
        return int(pixels[int(top + cell * row + 9), int(left + cell * column + 9)].sum())

    assert all(corner_of(i, i) < 250 for i in range(3))
    assert all(corner_of(i, j) > 700 for i in range(3) for j in range(3) if i != j)


def test_77_names_have_room() -> None:
    names = tuple(f"class_{i}_with_a_name_of_some_length" for i in range(77))
    pixels = draw_confusion_matrix(np.eye(77, dtype=np.int64), names)
    # 0.2 inch at 100 dots per inch is 20 pixels for each name, on both sides.
    assert min(pixels.shape[:2]) > 77 * 20
    # Left of the axes something is written in each name's row.
    top = 40
    for row in range(77):
        strip = pixels[top + 20 * row : top + 20 * row + 20, :250]
        assert strip.min() < 128, row


def test_very_many_classes_stay_a_picture_of_bounded_size() -> None:
    names = tuple(f"c{i}" for i in range(1000))
    assert max(draw_confusion_matrix(np.eye(1000, dtype=np.int64), names).shape) < 2500
    per_class = {name: {"f1": 0.5, "support": 1.0} for name in names}
    assert max(draw_f1_per_class(per_class).shape) < 2500


def test_bars_are_as_long_as_f1() -> None:
    pixels = draw_f1_per_class({"a": {"f1": 1.0, "support": 3.0}, "b": {"f1": 0.5, "support": 4.0}})
    blue = (np.abs(pixels.astype(int) - [0x4C, 0x78, 0xA8]).sum(axis=2) < 10).sum(axis=1)
    widths = [int(width) for width in blue if width]
    # Axes are 5 inches wide; the worst class is on top.
    assert abs(widths[3] - 250) <= 3
    assert abs(widths[-3] - 500) <= 3


def test_pictures_stand_in_rows_of_eight_in_their_own_colours() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    grey = np.full((4, 4, 1), 100, np.uint8)
    pixels = draw_pictures([red] * 8 + [grey], ["a"] * 9)
    assert pixels.shape == (380, 1360, 3)  # 1.7 and 1.9 inches a picture, two rows
    assert pixels[110, 85].tolist() == [200, 0, 0]
    assert pixels[300, 85].tolist() == [100, 100, 100]
