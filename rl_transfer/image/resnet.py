"""A small residual network for small images: the CIFAR form of He et al. 2016, section 4.2."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

Norm = Literal["batch", "group"]


class SmallResNet(nn.Module):
    """Stem, stages of basic blocks, global average pooling, linear head.

    Depth is 2·sum(blocks) + 2: (1, 1, 1) is ResNet-8. Stage i has ``width · 2^i`` channels and,
    from the second on, halves the resolution. Differs from the paper in the shortcut: a 1 × 1
    convolution where the shape changes (the paper's option B) instead of padding (option A).

    Args:
        num_classes: outputs of the head.
        width: channels of the stem and of the first stage.
        blocks: residual blocks per stage.
        channels: channels of the images.
        norm: batch or group normalisation (8 groups, or as many as divide the channels).

    Input [n, channels, height, width], output logits [n, num_classes].
    """

    def __init__(
        self,
        num_classes: int,
        width: int = 16,
        blocks: Sequence[int] = (1, 1, 1),
        channels: int = 1,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(channels, width, 3, padding=1, bias=False),
                norm=_norm(norm, width),
                relu=nn.ReLU(inplace=True),
            )
        )
        inputs = width
        stages = []
        for index, count in enumerate(blocks):
            outputs = width * 2**index
            layers = [
                _Block(inputs if i == 0 else outputs, outputs, index > 0 and i == 0, norm)
                for i in range(count)
            ]
            stages.append(nn.Sequential(*layers))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images."""
        logits: Tensor = self.head(self.flatten(self.pool(self.stages(self.stem(images)))))
        return logits


class _Block(nn.Module):
    """Two 3 × 3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, halve: bool, norm: Norm) -> None:
        super().__init__()
        stride = 2 if halve else 1
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = _norm(norm, outputs)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = _norm(norm, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if halve or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), _norm(norm, outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps [n, outputs, h, w] of feature maps [n, inputs, h or 2h, w or 2w]."""
        hidden = self.relu(self.norm1(self.conv1(images)))
        output: Tensor = self.relu(self.norm2(self.conv2(hidden)) + self.shortcut(images))
        return output


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    groups = next(count for count in (8, 4, 2, 1) if channels % count == 0)
    return nn.GroupNorm(groups, channels)
