"""Text classification: one label for each text, or pair of texts.

What one label a row means stands in one_label.py, how texts become rows in texts.py, how the model
is loaded in pretrained.py, what the metrics are in trainers/metrics.py.
"""

from configs.task_columns import Column, Columns
from configs.task_sections import TextClassification
from trainers.tasks.functions import TaskFunctions, encode_with_labels
from trainers.tasks.judging import Fed, Sample, Setting
from trainers.tasks.one_label import (
    PREDICTED,
    Answer,
    answer,
    build_scores,
    compared,
    judged,
    label_numbers,
    labels_of,
    predictions,
    summed_loss,
    training_loss,
)
from trainers.tasks.padded_groups import collate_in_groups
from trainers.tasks.pretrained import build_with_head
from trainers.tasks.texts import encode_texts, text_columns
from trainers.tasks.tokenizer import load_tokenizer
from trainers.tasks.tokens import shown_texts

AUTO_MODEL = "AutoModelForSequenceClassification"


def columns(task: TextClassification) -> Columns:
    """Name the columns with the texts and the label."""
    return Columns(text_columns(task), Column(task.label, "label"))


def samples(setting: Setting, fed: Fed, given: Answer) -> list[Sample]:
    """Show text, label and most probable label of each row whose label is not -100."""
    return judged(setting, given, shown_texts(setting, fed))


TEXT_CLASSIFICATION = TaskFunctions(
    auto_model=AUTO_MODEL,
    pipeline="text-classification",
    predicted=PREDICTED,
    columns=columns,
    load_processor=load_tokenizer,
    encode=encode_with_labels(encode_texts, label_numbers),
    encode_inputs=encode_texts,
    collate=collate_in_groups(labels_of),
    build_model=build_with_head(AUTO_MODEL),
    summed_loss=summed_loss,
    training_loss=training_loss,
    answer=answer,
    build_scores=build_scores,
    compared=compared,
    samples=samples,
    predictions=predictions,
)
