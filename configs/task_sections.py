"""Recipe sections of the tasks, one class a task; what a task does stands in trainers/tasks.

The kind of a task is the name of its section here and of its file there.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from configs.model_sections import SECTION
from configs.task_fields import (
    ClassNames,
    ColumnName,
    Generation,
    Label,
    LabelNames,
    Names,
    OwnMetrics,
    SecondText,
    Text,
    Writing,
    check_columns,
)


class TextClassification(BaseModel):
    """Give each text, or pair of texts, one label."""

    model_config = SECTION

    kind: Literal["text_classification"]
    """Name of the task."""
    text: Text = "text"
    text_b: SecondText = None
    label: Label = "label"
    labels: ClassNames = None
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        check_columns((self.text, self.text_b, self.label))
        return self


class MultiLabelClassification(BaseModel):
    """Give each text, or pair of texts, any number of labels."""

    model_config = SECTION

    kind: Literal["multi_label_classification"]
    """Name of the task."""
    text: Text = "text"
    text_b: SecondText = None
    label: ColumnName = "labels"
    """Column with the labels: a list, or one string with commas between them."""
    labels: ClassNames = None
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which on a label is taken to apply."""
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        check_columns((self.text, self.text_b, self.label))
        return self


class TextRegression(BaseModel):
    """Give each text, or pair of texts, a number."""

    model_config = SECTION

    kind: Literal["text_regression"]
    """Name of the task."""
    text: Text = "text"
    text_b: SecondText = None
    value: ColumnName = "value"
    """Column with the number."""
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        check_columns((self.text, self.text_b, self.value))
        return self


class TokenClassification(BaseModel):
    """Give each word of a text a tag, such as B-PER, I-PER and O."""

    model_config = SECTION

    kind: Literal["token_classification"]
    """Name of the task."""
    tokens: ColumnName = "tokens"
    """Column with the words: a list, or one string with blanks between them."""
    tags: ColumnName = "tags"
    """Column with one tag a word, in the same form."""
    labels: Names = None
    """The tags in order; None takes those of the training split, sorted."""
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        check_columns((self.tokens, self.tags))
        return self


class ImageClassification(BaseModel):
    """Give each image one label."""

    model_config = SECTION

    kind: Literal["image_classification"]
    """Name of the task."""
    image: ColumnName = "image"
    """Column with the image: the address of a file, or its bytes."""
    label: Label = "label"
    labels: ClassNames = None
    image_size: int | None = Field(default=None, ge=1)
    """Height and width in pixels that images are brought to; None takes the model's own."""
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        check_columns((self.image, self.label))
        return self


class SequenceToSequence(BaseModel):
    """Turn each text into another, such as its translation."""

    model_config = SECTION

    kind: Literal["sequence_to_sequence"]
    """Name of the task."""
    source: ColumnName = "source"
    """Column with the text that is read."""
    target: ColumnName = "target"
    """Column with the text that is to be written."""
    prefix: str = ""
    """Put before each source, such as `translate English to German: `."""
    max_target_length: int = Field(default=128, ge=1)
    """Most tokens of a target; longer ones are cut at the end."""
    generation: Writing = Generation()
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        check_columns((self.source, self.target))
        return self


class LanguageModeling(BaseModel):
    """Go on writing plain text."""

    model_config = SECTION

    kind: Literal["language_modeling"]
    """Name of the task."""
    text: Text = "text"
    generation: Writing = Generation(evaluation_rows=0)
    metric: OwnMetrics = ()


class InstructionTuning(BaseModel):
    """Answer prompts, instructions or conversations."""

    model_config = SECTION

    kind: Literal["instruction_tuning"]
    """Name of the task."""
    messages: str | None = None
    """Column with conversations: lists of {role, content}; None reads prompts and completions."""
    prompt: ColumnName = "prompt"
    """Column with the prompt or instruction."""
    input: str | None = None
    """Column with what an instruction is about, which may be empty; None for prompts alone."""
    completion: ColumnName = "completion"
    """Column with the answer."""
    chat_template: str | None = None
    """Jinja template that writes conversations as text; None takes the tokenizer's, or writes
    prompt and answer one behind the other."""
    loss_on: Literal["completion", "all"] = "completion"
    """Which tokens the model learns to write: those of the answers, or all."""
    generation: Writing = Generation(evaluation_rows=0)
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _answers_are_known(self) -> Self:
        if self.loss_on == "all" and self.generation.evaluation_rows != 0:
            raise ValueError(
                "generation.evaluation_rows writes answers anew, and with loss_on all nothing says "
                "where an answer begins. Use loss_on completion, or evaluation_rows 0"
            )
        return self

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        if self.messages is None:
            check_columns((self.prompt, self.input, self.completion))
            return self
        # A recipe that is written out in full names these columns, too, as they are anyway.
        fields = type(self).model_fields
        others = [
            key
            for key in ("completion", "input", "prompt")
            if getattr(self, key) != fields[key].default
        ]
        if others:
            raise ValueError(f"messages and {', '.join(others)} are both given. Keep one")
        return self


class SentenceEmbedding(BaseModel):
    """Give each text a vector, near to those of texts that mean the same."""

    model_config = SECTION

    kind: Literal["sentence_embedding"]
    """Name of the task."""
    anchor: Text = "anchor"
    positive: ColumnName = "positive"
    """Column with a text that means the same, or one that is compared with a score."""
    negative: str | None = None
    """Column with a text that means something else; the other rows of a microbatch are such too."""
    score: str | None = None
    """Column with how near the two are, a number in [0, 1]; None takes all pairs for near."""
    scale: float = Field(default=20.0, gt=0)
    """What cosines are multiplied by before the softmax over the texts of a microbatch."""
    metric: OwnMetrics = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        check_columns((self.anchor, self.positive, self.negative, self.score))
        if self.negative is not None and self.score is not None:
            raise ValueError("negative and score are both given. Keep one")
        return self


Task = Annotated[
    TextClassification
    | MultiLabelClassification
    | TextRegression
    | TokenClassification
    | ImageClassification
    | SequenceToSequence
    | LanguageModeling
    | InstructionTuning
    | SentenceEmbedding,
    Field(discriminator="kind"),
]

ONE_LABEL = ("text_classification", "image_classification")
"""Kinds that give each row one label."""
WHOLE_TEXTS = ("text_classification", "multi_label_classification", "text_regression")
"""Kinds of tasks whose head reads one vector a text, or pair of texts."""
CONTINUES = ("language_modeling", "instruction_tuning")
"""Kinds whose model goes on writing what it reads."""


def asked_labels(task: Task) -> LabelNames:
    """Give the label names that a recipe lists, where its task has any."""
    with_labels = (
        TextClassification | MultiLabelClassification | TokenClassification | ImageClassification
    )
    return task.labels if isinstance(task, with_labels) else None


def generation_of(task: Task) -> Generation | None:
    """Give how a task writes text; None for one that writes none."""
    writing = SequenceToSequence | LanguageModeling | InstructionTuning
    return task.generation if isinstance(task, writing) else None


def writes_in_evaluation(task: Task) -> bool:
    """Say whether evaluation lets the model write text."""
    generation = generation_of(task)
    return generation is not None and generation.evaluation_rows != 0
