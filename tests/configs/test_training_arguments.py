"""Names from elsewhere lead to keys that exist."""

from configs.schema import Recipe
from configs.training_arguments import TRAINING_ARGUMENTS


def test_every_name_leads_to_a_key_of_the_recipe():
    for name, dotted in TRAINING_ARGUMENTS.items():
        section = Recipe
        for part in dotted.split("."):
            assert part in section.model_fields, (name, dotted)
            annotation = section.model_fields[part].annotation
            inner = [annotation, *getattr(annotation, "__args__", ())]
            section = next((one for one in inner if hasattr(one, "model_fields")), section)
