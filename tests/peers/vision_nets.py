"""Well-known convolutional networks as PyTorch modules: MobileNetV2, EfficientNet, ResNet-18 and a U-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(
    c: int, o: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: type[nn.Module] = nn.ReLU
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o), act()
    )


class Excite(nn.Module):
    """Squeeze and excite."""

    def __init__(self, c: int, hidden: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(c, hidden, 1), nn.Conv2d(hidden, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.silu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Bottleneck(nn.Module):
    """An inverted bottleneck: expand, filter each channel, excite, project, and add what came in."""

    def __init__(self, c: int, o: int, t: int, stride: int, kernel: int, act: type[nn.Module], excite: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *([conv(c, c * t, 1, act=act)] if t > 1 else []),
            conv(c * t, c * t, kernel, stride, c * t, act),
            *([Excite(c * t, max(1, c // 4))] if excite else []),
            conv(c * t, o, 1, act=nn.Identity),
        )
        self.adds = stride == 1 and c == o

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def bottlenecks(rows: list[tuple[int, ...]], stem: int, head: int, act: type[nn.Module], excite: bool) -> nn.Module:
    """MobileNetV2 and EfficientNet: rows of (expansion, channels, repeats, stride, kernel)."""
    layers, c = [conv(3, stem, 3, 2, act=act)], stem
    for t, o, n, s, k in rows:
        for i in range(n):
            layers.append(Bottleneck(c, o, t, s if i == 0 else 1, k, act, excite))
            c = o
    return settled(nn.Sequential(*layers, conv(c, head, 1, act=act), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                 nn.Dropout(0.2), nn.Linear(head, 1000)))  # fmt: skip


def mobilenet_v2() -> nn.Module:
    torch.manual_seed(1)
    rows = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3),
            (6, 160, 3, 2, 3), (6, 320, 1, 1, 3)]  # fmt: skip
    return bottlenecks(rows, 32, 1280, nn.ReLU6, False)


def efficientnet() -> nn.Module:
    torch.manual_seed(2)
    rows = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 2, 1, 5),
            (6, 192, 2, 2, 5)]  # fmt: skip
    return bottlenecks(rows, 32, 640, nn.SiLU, True)


class Residual(nn.Module):
    def __init__(self, c: int, o: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(c, o, 3, stride), conv(o, o, act=nn.Identity))
        self.skip = conv(c, o, 1, stride, act=nn.Identity) if stride > 1 or c != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


def resnet18() -> nn.Module:
    torch.manual_seed(3)
    layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for c, o, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Residual(c, o, stride), Residual(o, o, 1)]
    return settled(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)))


class UNet(nn.Module):
    """Three levels; two ways up, by a transposed convolution and by interpolation."""

    def __init__(self, c: int = 16) -> None:
        super().__init__()
        self.down = nn.ModuleList([self.twice(i, o) for i, o in ((3, c), (c, 2 * c), (2 * c, 4 * c))])
        self.middle = self.twice(4 * c, 8 * c)
        self.up = nn.ModuleList([nn.ConvTranspose2d(8 * c, 4 * c, 2, 2), nn.Conv2d(4 * c, 2 * c, 1),
                                 nn.ConvTranspose2d(2 * c, c, 2, 2)])  # fmt: skip
        self.join = nn.ModuleList([self.twice(8 * c, 4 * c), self.twice(4 * c, 2 * c), self.twice(2 * c, c)])
        self.head = nn.Conv2d(c, 2, 1)

    @staticmethod
    def twice(c: int, o: int) -> nn.Module:
        return nn.Sequential(conv(c, o), conv(o, o))

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for up, join in zip(self.up, self.join):
            if isinstance(up, nn.Conv2d):
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = join(torch.cat([kept.pop(), up(x)], 1))
        return torch.sigmoid(self.head(x))


def unet() -> nn.Module:
    torch.manual_seed(4)
    return settled(UNet())


def settled(module: nn.Module) -> nn.Module:
    """Give batch norms statistics as after training: those of noise, instead of 0 and 1."""
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = None
    with torch.no_grad():
        module.train()(torch.randn(8, 3, 64, 64))
    return module.eval()
