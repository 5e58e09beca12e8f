"""Recipe section about changing training rows at random; what is done to them stands elsewhere."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from configs.model_sections import SECTION

Rate = Annotated[float, Field(ge=0, le=1)]


TEXT_KINDS = (
    "text_classification",
    "multi_label_classification",
    "text_regression",
    "sequence_to_sequence",
)
"""Kinds whose target says the same of a text that was changed a little."""


class ImageAugmentation(BaseModel):
    """How training images are changed."""

    model_config = SECTION

    flip: Rate = 0.0
    """Share of the changed images that are mirrored, left for right."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Most degrees that an image is turned by, to either side."""
    crop: float = Field(default=0.0, ge=0, lt=1)
    """Most of an image's height and width that is cut away; the rest is brought back to size."""
    color: Rate = 0.0
    """Most that brightness, contrast and saturation change, as a share of what they are."""
    mixup: float = Field(default=0.0, ge=0, le=4)
    """Blend rows of a microbatch, by a share drawn from Beta(mixup, mixup); 0 blends none."""
    cutmix: float = Field(default=0.0, ge=0, le=4)
    """Paste a part of another row of the microbatch, of an area drawn from Beta(cutmix, cutmix)."""

    @property
    def changes_rows(self) -> bool:
        """Whether images are changed one by one."""
        return any((self.flip, self.rotate, self.crop, self.color))

    @property
    def mixes(self) -> tuple[str, ...]:
        """Names of the ways in which images of a microbatch are mixed."""
        ways = {"mixup": self.mixup, "cutmix": self.cutmix}
        return tuple(name for name, alpha in ways.items() if alpha > 0)


class Augmentation(BaseModel):
    """How training rows are changed, anew each epoch; evaluation never sees a changed row."""

    model_config = SECTION

    probability: Rate = 0.5
    """Share of the rows that are changed in an epoch, where any rate below is given; of the
    microbatches, where images are mixed."""
    delete: Rate = 0.0
    """Share of a text's words that are left out; one word always stays."""
    swap: Rate = 0.0
    """Share of a text's words that change places with the next one."""
    mask: Rate = 0.0
    """Share of a text's words that become the tokenizer's mask token."""
    typos: Rate = 0.0
    """Share of a text's letters that become a neighbour on the keyboard (QWERTY)."""
    mix: Literal["one", "all"] = "one"
    """Whether a changed text gets one of the changes above, drawn evenly, or all one by one."""
    images: ImageAugmentation = ImageAugmentation()
    """How training images are changed."""

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the changes of texts that have a rate."""
        rates = {"delete": self.delete, "swap": self.swap, "mask": self.mask, "typos": self.typos}
        return tuple(name for name, rate in rates.items() if rate > 0)

    @property
    def changes_texts(self) -> bool:
        """Whether any text is changed."""
        return bool(self.operations) and self.probability > 0

    @property
    def changes_images(self) -> bool:
        """Whether any image is changed or mixed with another."""
        asked = self.images.changes_rows or bool(self.images.mixes)
        return asked and self.probability > 0

    @property
    def is_on(self) -> bool:
        """Whether any row is changed."""
        return self.changes_texts or self.changes_images

    def disagreements(self, kind: str) -> list[str]:
        """Say what is asked for that a task of this kind has no rows for."""
        sees = kind == "image_classification"
        if sees and self.changes_texts:
            return [
                f"augmentation.{self.operations[0]} changes texts, but {kind} has images. Use "
                "augmentation.images"
            ]
        if self.changes_texts and kind not in TEXT_KINDS:
            return [f"augmentation changes texts in ways that {kind} cannot take. Leave it out"]
        if not sees and self.changes_images:
            return [f"augmentation.images changes images, but {kind} has none. Leave it out"]
        return []
