"""Recipe sections about unequal classes and the loss; which rows there are stands elsewhere."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from configs.model_sections import SECTION

ClassShare = Annotated[float, Field(gt=0)]


class Balance(BaseModel):
    """What is done about classes of unequal size; classes are counted over all training rows."""

    model_config = SECTION

    method: Literal[
        "none", "oversample", "undersample", "weighted_loss", "focal", "logit_adjusted"
    ] = "none"
    """Repeat or leave out rows, weigh them in the loss, or change the loss; none does nothing."""
    target: Literal["equal", "effective_number"] | dict[str, ClassShare] = "equal"
    """What classes weigh in the end: the same, as their effective number, or a share per label."""
    beta: float = Field(default=0.999, gt=0, lt=1)
    """With `effective_number`: (1 - beta^n) / (1 - beta) rows are what n rows are worth."""
    gamma: float = Field(default=2.0, ge=0)
    """With `focal`: power of (1 - probability of the label) that a target is weighed by."""
    tau: float = Field(default=1.0, gt=0)
    """With `logit_adjusted`: how much of log(class share) is added to the logits in training."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """Read `oversample` as the section it stands for."""
        return {"method": value} if isinstance(value, str) else value

    @property
    def draws_rows(self) -> bool:
        """Whether an epoch holds other rows than each training row once."""
        return self.method in ("oversample", "undersample")


class Loss(BaseModel):
    """What training minimises; evaluation always reports the plain loss."""

    model_config = SECTION

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each target that is spread evenly over all classes."""
