"""What a model can learn to do, one file per task; the loop that trains it stands elsewhere."""

from configs.task_sections import Task
from trainers.tasks.functions import TaskFunctions


def functions_of(task: Task) -> TaskFunctions:
    """Give the functions of the recipe's task; neither torch nor transformers is imported."""
    from trainers.tasks.image_classification import IMAGE_CLASSIFICATION
    from trainers.tasks.instruction_tuning import INSTRUCTION_TUNING
    from trainers.tasks.language_modeling import LANGUAGE_MODELING
    from trainers.tasks.multi_label_classification import MULTI_LABEL_CLASSIFICATION
    from trainers.tasks.sentence_embedding import SENTENCE_EMBEDDING
    from trainers.tasks.sequence_to_sequence import SEQUENCE_TO_SEQUENCE
    from trainers.tasks.text_classification import TEXT_CLASSIFICATION
    from trainers.tasks.text_regression import TEXT_REGRESSION
    from trainers.tasks.token_classification import TOKEN_CLASSIFICATION

    return {
        "text_classification": TEXT_CLASSIFICATION,
        "multi_label_classification": MULTI_LABEL_CLASSIFICATION,
        "text_regression": TEXT_REGRESSION,
        "language_modeling": LANGUAGE_MODELING,
        "instruction_tuning": INSTRUCTION_TUNING,
        "token_classification": TOKEN_CLASSIFICATION,
        "sentence_embedding": SENTENCE_EMBEDDING,
        "image_classification": IMAGE_CLASSIFICATION,
        "sequence_to_sequence": SEQUENCE_TO_SEQUENCE,
    }[task.kind]
