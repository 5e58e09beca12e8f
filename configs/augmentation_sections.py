"""Recipe section about changing training rows at random; what is done to them stands elsewhere."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from configs.model_sections import SECTION

Rate = Annotated[float, Field(ge=0, le=1)]


class Augmentation(BaseModel):
    """How training texts are changed, anew each epoch; evaluation never sees a changed row."""

    model_config = SECTION

    probability: Rate = 0.5
    """Share of the rows that are changed in an epoch, where any rate below is given."""
    delete: Rate = 0.0
    """Share of a text's words that are left out; one word always stays."""
    swap: Rate = 0.0
    """Share of a text's words that change places with the next one."""
    mask: Rate = 0.0
    """Share of a text's words that become the tokenizer's mask token."""
    typos: Rate = 0.0
    """Share of a text's letters that become a neighbour on the keyboard (QWERTY)."""
    mix: Literal["one", "all"] = "one"
    """Whether a changed row gets one of the changes above, drawn evenly, or all one by one."""

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the changes that have a rate."""
        rates = {"delete": self.delete, "swap": self.swap, "mask": self.mask, "typos": self.typos}
        return tuple(name for name, rate in rates.items() if rate > 0)

    @property
    def is_on(self) -> bool:
        """Whether any row is changed."""
        return bool(self.operations) and self.probability > 0
