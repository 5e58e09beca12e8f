"""Say what a recipe asks for, in lines; what became of it is told in messages.py."""

from configs.data_sections import Batch
from configs.freezing_sections import Freezing
from configs.model_sections import Model
from configs.schema import Recipe
from launcher.amounts import plural
from launcher.messages import Line


def recipe_lines(recipe: Recipe) -> list[Line]:
    """Say what a recipe asks for."""
    cluster = recipe.cluster
    model = "/".join(recipe.model.path.split("/")[-2:])  # a hub id, or the end of a folder's path
    length = (
        f"{plural(recipe.max_steps, 'step')} at most"
        if recipe.max_steps is not None
        else plural(recipe.epochs, "epoch")
    )
    return [
        Line("recipe", (recipe.name, recipe.task.kind, model, _learns(recipe.freezing))),
        Line(
            "training",
            (
                length,
                _rows_of_a_step(recipe.batch),
                f"{recipe.optimizer.name}, lr {recipe.optimizer.learning_rate:.1e}",
                f"ZeRO {recipe.zero.stage}, {recipe.precision}",
                f"{cluster.shown_workers} worker{'s' if cluster.most_workers > 1 else ''}",
            ),
        ),
        *_own_code(recipe.model),
    ]


def _rows_of_a_step(batch: Batch) -> str:
    """Say how much one step sees, of all workers together."""
    if batch.microbatch_tokens is not None:
        return f"about {batch.lanes * batch.microbatch_tokens:,} tokens per step"
    return f"{plural(batch.lanes * batch.microbatch_size, 'row')} per step"


def _own_code(model: Model) -> list[Line]:
    """Say that a model brings code of its own, and which."""
    if not model.trust_remote_code:
        return []
    where = f"in {model.path}" if model.is_folder else f"of {model.path} at {model.revision}"
    return [Line("code", (f"Python code {where} will run on every worker",), "warning")]


def _learns(freezing: Freezing) -> str:
    if freezing.lora is not None:
        return f"{freezing.lora.title} learns, and the head"
    if freezing.preset is not None:
        return freezing.preset
    if freezing.gradual:
        return "one more block learns each epoch"
    if freezing.schedule:
        return plural(len(freezing.schedule), "phase")
    if freezing.mode == "full":
        return "every weight learns" if freezing.embeddings is not False else "all but embeddings"
    if freezing.mode == "head":
        return "the head learns"
    named = [f"the last {plural(freezing.last, 'block')}"] if freezing.last else []
    named += [plural(len(freezing.train), "pattern")] if freezing.train else []
    named += ["embeddings"] if freezing.embeddings else []
    return f"head and {', '.join(named)} learn"
