"""Tiny models that see and images that they can tell apart, made on the spot."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = 16


def make_images(folder: Path, rows: int, labels: int = 3, seed: int = 0) -> Path:
    """Write grey-edged colour images, one folder a label: the place of a bright spot tells it."""
    source = np.random.default_rng(seed)
    for row in range(rows):
        label = row % labels
        pixels = source.integers(0, 120, (SIZE, SIZE, 3))
        pixels[(5 * label) % SIZE :, label : label + 5, label % 3] += 130
        path = folder / f"label-{label}" / f"{seed}-{row:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def data_address(image: Image.Image, kind: str = "PNG") -> str:
    """Give an image's bytes as a data: address."""
    stream = io.BytesIO()
    image.save(stream, kind)
    return "data:;base64," + base64.b64encode(stream.getvalue()).decode()


def make_image_model(
    path: Path, kind: str = "resnet", *, channels: int = 3, num_labels: int | None = None
) -> Path:
    """Save a random model (resnet, vit, convnext) and its processor as a folder.

    Without num_labels it has no classification head.
    """
    import torch
    from transformers import AutoModel, AutoModelForImageClassification

    config = _config(kind, channels)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        if num_labels is None:
            model = AutoModel.from_config(config)
        else:
            config.num_labels = num_labels
            model = AutoModelForImageClassification.from_config(config)
    model.save_pretrained(path)
    make_image_processor(kind, channels).save_pretrained(path)
    return path


def make_image_processor(kind: str, channels: int = 3) -> Any:
    """Make the processor that transformers has for a kind of model, on PIL."""
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    values = {"image_mean": [0.4, 0.5, 0.6][:channels], "image_std": [0.2, 0.25, 0.3][:channels]}
    if kind == "vit":
        return ViTImageProcessorPil(size={"height": SIZE, "width": SIZE}, **values)
    return ConvNextImageProcessorPil(size={"shortest_edge": SIZE}, **values)


def _config(kind: str, channels: int) -> Any:
    from transformers import ConvNextConfig, ResNetConfig, ViTConfig

    if kind == "resnet":
        return ResNetConfig(
            num_channels=channels,
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
            layer_type="basic",
        )
    if kind == "vit":
        return ViTConfig(
            num_channels=channels,
            image_size=SIZE,
            patch_size=4,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
        )
    if kind == "convnext":
        return ConvNextConfig(
            num_channels=channels, hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, patch_size=4
        )
    raise ValueError(f"no tiny model of kind {kind!r}")
