"""What looks like a secret, and what a recipe does about it."""

import pytest

from configs.errors import RecipeError
from configs.load import change_recipe, recipe_from
from configs.secret_words import holds_a_secret, names_a_secret, without_secrets

BASE = {
    "name": "one",
    "model": {"path": "org/model"},
    "task": {"kind": "text_classification"},
    "data": {"train": "train.csv"},
}
HF = "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ012345"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----"
LOOKS = (HF, "AKIAIOSFODNN7EXAMPLE", JWT, KEY, "ghp_" + "a1B2" * 9, "sk-" + "a1B2" * 9)


def refused(**sections):
    with pytest.raises(RecipeError) as told:
        recipe_from(BASE | sections)
    return str(told.value)


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "PGPASSWORD", "MYSQL_PWD",
     "WANDB_API_KEY", "GOOGLE_CREDENTIALS", "wandb_apikey", "SSH_PRIVATE"],
)  # fmt: skip
def test_names_of_secrets_are_refused_in_env_with_the_way_out(name):
    assert names_a_secret(name)
    said = refused(cluster={"env": {name: "value-of-it"}})
    assert said.startswith(f"cluster.env: {name} looks like a secret")
    assert "cluster.secrets" in said and "value-of-it" not in said and "\n" not in said


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "MONKEY", "RAY_AUTH_TOKEN_PATH", "LANG"]
)
def test_other_names_are_no_secrets(name):
    assert recipe_from(BASE | {"cluster": {"env": {name: "1"}}}).cluster.env == {name: "1"}


@pytest.mark.parametrize("value", LOOKS)
def test_values_that_look_like_secrets_are_refused_and_not_repeated(value):
    assert holds_a_secret(value)
    for sections in (
        {"cluster": {"env": {"PLAIN": value}}},
        {"cluster": {"secrets": [value]}},
        {"cluster": {"secrets": value}},
        {"cluster": {"secrets": {"HF_TOKEN": value}}},
        {"storage": f"runs/{value}"},
        {"data": {"train": ["a.csv", f"hf://sets/x?token={value}"]}},
        {"seed": value},
        {value: 1},
    ):
        said = refused(**sections)
        assert value[4:] not in said and KEY.splitlines()[1] not in said, said
    with pytest.raises(RecipeError) as told:
        change_recipe(recipe_from(BASE), [f"cluster.env.X={value.splitlines()[0]}"])
    assert value.splitlines()[0] not in str(told.value)


def test_password_in_a_url_is_refused_and_a_variable_in_its_place_is_not():
    train = {"path": "postgresql://me:s3cret@host/rows", "query": "SELECT 1"}
    said = refused(data={"train": train})
    assert said.startswith("data.train.path holds what looks like a secret")
    assert "${NAME}" in said and "s3cret" not in said
    train["path"] = "postgresql://me:${DB_PASSWORD}@host/rows"
    assert recipe_from(BASE | {"data": {"train": train}})
    assert without_secrets("s3://id:secret@bucket/x") == "s3://***@bucket/x"
    assert not holds_a_secret("http://host:8265/x@y")


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"secrets": ["HF TOKEN"]}, "entry 1 is not the name of a variable"),
        ({"secrets": ["A_B", 5]}, "entry 2 is not the name of a variable"),
        ({"secrets": ["A_B", "A_B"]}, "A_B is named twice"),
        ({"secrets": ["RAY_AUTH_TOKEN"]}, "set by Ray"),
        ({"secrets": "HF_TOKEN"}, "must be a list of names"),
        ({"secrets": ["A_B"], "env": {"A_B": "x"}}, "A_B is in env and in secrets"),
        ({"env": {"a b": "x"}}, "'a b' is not the name of a variable"),
        ({"env": {"A;rm -rf": "x"}}, "is not the name of a variable"),
    ],
)
def test_names_are_checked(cluster, words):
    assert words in refused(cluster=cluster)


def test_names_are_kept():
    recipe = recipe_from(BASE | {"cluster": {"secrets": ["HF_TOKEN", "DB_PASSWORD"]}})
    assert recipe.cluster.secrets == ("HF_TOKEN", "DB_PASSWORD")
