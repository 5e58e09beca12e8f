"""Make labelled images of handwritten digits from scikit-learn's; the demo learns from them.

1,797 images of 8 x 8 pixels in 17 shades of grey (E. Alpaydin, C. Kaynak: Optical Recognition of
Handwritten Digits, UCI 1998).
"""

import io
from pathlib import Path

SHADES = 16
FILE = "digits.parquet"


def write_digits(folder: Path) -> Path:
    """Write the images as a parquet file with the columns image (PNG bytes) and label, once."""
    path = folder / FILE
    if path.exists():
        return path
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images = []
    for pixels in digits.images:
        stream = io.BytesIO()
        Image.fromarray((pixels * 255 / SHADES).round().astype("uint8")).save(stream, "PNG")
        images.append(stream.getvalue())
    labels = [str(label) for label in digits.target]
    part = path.with_suffix(".part")
    pq.write_table(pa.table({"image": images, "label": labels}), part)
    part.rename(path)
    return path
