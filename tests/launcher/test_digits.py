"""Digits as a parquet file: the pixels are scikit-learn's."""

import io

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

from launcher.digits import write_digits


def test_images_hold_the_shades_of_scikit_learn(tmp_path):
    path = write_digits(tmp_path)
    rows, digits = pq.read_table(path), load_digits()
    assert rows["label"].to_pylist() == [str(label) for label in digits.target]
    for place in (0, 1796):
        image = Image.open(io.BytesIO(rows["image"][place].as_py()))
        assert image.mode == "L"
        shades = np.asarray(image, float) * 16 / 255
        assert np.abs(shades - digits.images[place]).max() < 0.04  # 255 / 16 is no whole number
    written = path.stat().st_mtime_ns
    assert write_digits(tmp_path) == path
    assert path.stat().st_mtime_ns == written
