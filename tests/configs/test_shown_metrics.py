"""The few metrics that come first."""

from configs.shown_metrics import first_metrics


def test_what_says_most_comes_first_and_the_rest_is_left_out() -> None:
    assert first_metrics(["loss", "ece", "accuracy", "macro_f1"]) == [
        "macro_f1",
        "accuracy",
        "loss",
    ]
    assert first_metrics(["perplexity", "bleu"]) == ["bleu", "perplexity"]


def test_where_nothing_is_known_all_are_shown() -> None:
    assert first_metrics(["mine", "yours"]) == ["mine", "yours"]
