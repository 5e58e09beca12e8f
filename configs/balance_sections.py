"""Recipe sections about unequal classes and the loss; which rows there are stands elsewhere."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from configs.import_paths import ImportPath
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
    def changes_loss(self) -> bool:
        """Whether the loss is another than the task's."""
        return self.method in ("weighted_loss", "focal", "logit_adjusted")

    @property
    def draws_rows(self) -> bool:
        """Whether an epoch holds other rows than each training row once."""
        return self.method in ("oversample", "undersample")


class Loss(BaseModel):
    """What training minimises; evaluation always reports the plain loss."""

    model_config = SECTION

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each target that is spread evenly over all classes."""
    function: ImportPath | None = None
    """Own loss, `module:function` from cluster.working_dir, in the place of the task's: takes the
    model's outputs and the labels and gives the loss summed over the targets, a tensor without
    dimensions."""

    @model_validator(mode="after")
    def _smoothing_is_of_our_loss(self) -> Self:
        if self.function is not None and self.label_smoothing > 0:
            raise ValueError("function and label_smoothing are both given. Keep one")
        return self
