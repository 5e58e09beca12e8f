"""What the model card of an export tells."""

from dataclasses import replace

from tests.origin import make_origin
from trainers.data.store import Images
from trainers.model_card import render_model_card


def test_model_card_tells_data_metrics_labels_and_recipe() -> None:
    card = render_model_card(make_origin("someone/some-model"))
    for line in (
        'base_model: "someone/some-model"',
        "| accuracy | 0.8750 |",
        "Over every row of the test split, each counted once (41 rows).",
        "| train | 41 |",
        "90 rows were read and 5 duplicates dropped, 3 rows dropped (empty).",
        "1. `label-1`",
        "Unknown. The licences",
        "  learning_rate: 5.0e-05",
    ):
        assert line in card, line


def test_model_card_names_no_folder_as_base_model() -> None:
    card = render_model_card(make_origin("/data/models/MiniLM", {}))
    assert "base_model" not in card.split("\n---\n")[0]
    assert "fine-tuned from `.../models/MiniLM`" in card and "/data/models" not in card
    assert "The recipe had no split to evaluate." in card


def test_model_card_tells_how_adapters_load() -> None:
    origin = make_origin("someone/some-model")
    assert "PeftModel" not in render_model_card(origin)
    freezing = {"lora": {"rank": 4, "dora": True}}
    recipe = origin.recipe.model_validate({**origin.recipe.model_dump(), "freezing": freezing})
    card = render_model_card(replace(origin, recipe=recipe))
    assert "Its weights hold what DoRA of rank 4 learned." in card
    assert 'from_pretrained("someone/some-model", num_labels=3)' in card
    assert 'PeftModel.from_pretrained(base, "path/to/this/folder/adapter")' in card


def test_model_card_tells_how_a_pooled_head_loads() -> None:
    origin = make_origin("someone/some-model")
    values = origin.recipe.model_dump() | {
        "model": {"path": "someone/some-model", "pooling": "folder"},
        "freezing": {"lora": {"rank": 4}},
    }
    recipe = origin.recipe.model_validate(values)
    card = render_model_card(replace(origin, recipe=recipe, pooling="mean"))
    for line in (
        "# Runs pooled_classifier.py of this folder.",
        'model="path/to/this/folder", trust_remote_code=True)',
        "The head reads the mean of all tokens, as no class",
        'logits = SentenceTransformer("path/to/this/folder").encode(["a text", "another text"])',
        "from pooled_classifier import PooledClassifier  # a file of this folder\n\nbase = Pooled",
        'from_pretrained("someone/some-model", thaw_pooling="mean", num_labels=3)',
        'model = PeftModel.from_pretrained(base, "path/to/this/folder/adapter")',
    ):
        assert line in card, line


def card_of(task: dict[str, object]) -> str:
    origin = make_origin("someone/some-model")
    values = origin.recipe.model_dump() | {"task": task}
    return render_model_card(replace(origin, recipe=origin.recipe.model_validate(values)))


def test_model_card_shows_what_transformers_still_has() -> None:
    card = card_of({"kind": "sequence_to_sequence", "prefix": "translate: "})
    assert "pipeline_tag: text2text-generation" in card
    assert 'inputs = tokenizer("translate: a text", return_tensors="pt")' in card
    assert "pipeline(" not in card
    embeds = card_of({"kind": "sentence_embedding"})
    assert "library_name: sentence-transformers\npipeline_tag: sentence-similarity\n" in embeds
    assert 'SentenceTransformer("path/to/this/folder")' in embeds
    labels = card_of({"kind": "text_classification"})
    assert "library_name: transformers\npipeline_tag: text-classification\nbase_model" in labels
    assert 'pipe = pipeline("text-classification", model="path/to/this/folder")' in labels


def test_what_comes_from_outside_breaks_no_table_list_or_block() -> None:
    origin = make_origin("someone/some-model", {"a|b\n# c <script>": 0.5})
    labels = ("`x`", "two\nlines", "\u202e<b>")
    manifest = origin.manifest.model_copy(update={"label_names": labels})
    card = render_model_card(replace(origin, manifest=manifest))
    assert "| a\\|b\\\\n# c &lt;script&gt; | 0.5000 |" in card
    assert "0. `` `x` ``\n1. `two\\nlines`\n2. `\\u202e<b>`\n" in card


def test_card_holds_no_place_of_the_machine() -> None:
    origin = make_origin("/people/ann/models/mini/model")
    values = origin.recipe.model_dump() | {
        "storage": "/people/ann/runs",
        "data": {"train": "/people/ann/d/t.csv"},
    }
    card = render_model_card(replace(origin, recipe=origin.recipe.model_validate(values)))
    assert "/people/ann" not in card and ".../d/t.csv" in card and "`.../mini/model`" in card


def test_a_card_tells_pixels_where_rows_are_images() -> None:
    origin = make_origin("someone/some-model")
    images = Images(width=32, height=24, fed_width=224, fed_height=224)
    manifest = origin.manifest.model_copy(update={"images": images})
    card = render_model_card(replace(origin, manifest=manifest))
    assert "Images were brought to 224 x 224 pixels; their median was 32 x 24.\n" in card
    assert "tokens were cut" not in card and "tokens were cut" in render_model_card(origin)
