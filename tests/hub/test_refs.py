"""References, pins and the errors they give."""

import pytest

from lrat_hub import HubRef
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import resolve

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "text",
    [
        "ns/name@main",
        "spaces/ns/name@main",
        f"datasets/ns/name@{SHA}",
        "datasets/ns/na.me-2@refs/pr/1#config:train",
        "ns/name@v1.0#c",
    ],
)
def test_references_round_trip(text):
    ref = HubRef.parse(text)
    assert str(ref) == text
    assert HubRef.parse(str(ref)) == ref


def test_no_revision_means_main_and_no_prefix_means_what_the_option_expects():
    assert HubRef.parse("ns/name") == HubRef("ns/name", "model", "main")
    assert HubRef.parse("ns/name#pairs:train", repo_type="dataset") == HubRef(
        "ns/name", "dataset", "main", "pairs", "train"
    )
    assert HubRef.parse("datasets/ns/name").repo_type == "dataset"


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "ns/name@",
        "a/b/c",
        "",
        "ns/na me",
        "ns/name#",
        "-x/name",
        "ns/a--b",
        "ns/a..b",
        "ns/name.git",
        "ns/name-",
        "ns/ünï",
        "ns/" + "x" * 97,
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(LratError, match="expected namespace/name"):
        HubRef.parse(text)


def test_a_pin_is_the_commit_the_revision_names_now(hub):
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo("lrat/pins", repo_type="dataset", exist_ok=True)
    pin = HubRef("lrat/pins", "dataset").pin()
    assert pin.is_pinned
    assert pin.pin() == pin
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="lrat/pins", repo_type="dataset")
    assert HubRef("lrat/pins", "dataset").pin() != pin


@pytest.mark.parametrize(
    ("text", "message"),
    [("lrat/nowhere", "no such dataset repository"), ("lrat/pins@nothing", "has no revision 'nothing'"),
     (f"lrat/pins@{SHA}", "has no revision"), ("models/lrat/pins", "expected a dataset"),
     ("./nowhere", "expected a folder or file there")],
)  # fmt: skip
def test_what_is_not_there_is_one_clear_line(hub, text, message):
    from huggingface_hub import HfApi

    HfApi().create_repo("lrat/pins", repo_type="dataset", exist_ok=True)
    with pytest.raises(LratError, match=message) as caught:
        resolve(text, repo_type="dataset")
    assert "\n" not in str(caught.value)


def test_a_model_that_this_hub_lacks_is_told_the_way_there(hub):
    with pytest.raises(LratError, match=r"Upload it from a folder \(`hf upload maker/small FOLDER \.`\), or give"):
        resolve("maker/small", repo_type="model")


def test_require_pinned_names_the_pin_that_would_do(hub):
    from huggingface_hub import HfApi

    HfApi().create_repo("lrat/pins", repo_type="dataset", exist_ok=True)
    pin = HubRef("lrat/pins", "dataset").pin()
    with pytest.raises(LratError, match=pin.revision):
        resolve("lrat/pins", repo_type="dataset", require_pinned=True)
    assert resolve(str(pin), repo_type="dataset", require_pinned=True) == pin
    with pytest.raises(LratError, match="not local paths"):
        resolve("./tests", repo_type="dataset", require_pinned=True)
