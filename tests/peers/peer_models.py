"""Models written once for both libraries: `lib` is `torch` or `neurenix`, and nothing else differs."""

from __future__ import annotations

from typing import Any


def mlp(lib: Any) -> Any:
    """A classifier of 12 numbers, as for tabular data."""
    nn = lib.nn
    return nn.Sequential(
        nn.Linear(12, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.0),
        nn.Linear(32, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3),
    )  # fmt: skip


def resnet(lib: Any) -> Any:
    """Residual blocks with grouped and dilated convolutions."""
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, into: int, out: int, stride: int, groups: int, dilation: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(into, out, 3, stride, padding=1, groups=groups, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, padding=dilation, dilation=dilation, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            self.act = nn.ReLU(inplace=True)
            self.down = nn.Identity()
            if stride != 1 or into != out:
                self.down = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            y = self.act(self.bn1(self.conv1(x)))
            return self.act(self.bn2(self.conv2(y)) + self.down(x))

    class ResNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
            self.layers = nn.ModuleList([Block(8, 8, 1, 2, 1), Block(8, 16, 2, 4, 2), Block(16, 16, 1, 16, 2)])
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(16, 5)

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            for layer in self.layers:
                x = layer(x)
            return self.fc(self.pool(x).flatten(1))

    return ResNet()


def tagger(lib: Any) -> Any:
    """A two-layer bidirectional LSTM that gives each of a sentence's words a tag."""
    nn = lib.nn

    class Tagger(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(40, 16, padding_idx=0)
            self.lstm = nn.LSTM(16, 12, num_layers=2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(24, 7)

        def forward(self, words: Any) -> Any:
            states, _ = self.lstm(self.embedding(words))
            return self.head(states).transpose(1, 2)

    return Tagger()


def transformer(lib: Any) -> Any:
    """Two encoder layers over embedded words with learned positions."""
    nn = lib.nn

    class Encoder(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(30, 32)
            self.positions = nn.Embedding(10, 32)
            layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, activation="gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(32, 4)

        def forward(self, words: Any) -> Any:
            x = self.words(words) + self.positions.weight[: words.shape[1]]
            return self.head(self.encoder(x).mean(1))

    return Encoder()


def vae(lib: Any) -> Any:
    """A variational autoencoder; the noise is an input, so that both libraries draw the same."""
    nn = lib.nn

    class VAE(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Tanh())
            self.mean, self.log_variance = nn.Linear(24, 6), nn.Linear(24, 6)
            self.decoder = nn.Sequential(nn.Linear(6, 24), nn.ELU(), nn.Linear(24, 64), nn.Unflatten(1, (1, 8, 8)))

        def forward(self, image: Any, noise: Any) -> Any:
            hidden = self.encoder(image)
            mean, log_variance = self.mean(hidden), self.log_variance(hidden)
            z = mean + noise * (log_variance * 0.5).exp()
            return self.decoder(z), mean, log_variance

    return VAE()


def unet(lib: Any) -> Any:
    """Two levels down and up again: transposed convolutions, and skips that are concatenated."""
    nn = lib.nn

    def double(into: int, out: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.LeakyReLU(0.1),
            nn.Conv2d(out, out, 3, padding=1), nn.SiLU(),
        )  # fmt: skip

    class UNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2, self.bottom = double(2, 6), double(6, 12), double(12, 24)
            self.pool = nn.MaxPool2d(2)
            self.up2 = nn.ConvTranspose2d(24, 12, 2, stride=2)
            self.up1 = nn.ConvTranspose2d(12, 6, 3, stride=2, padding=1, output_padding=1)
            self.join2, self.join1 = double(24, 12), double(12, 6)
            self.head = nn.Conv2d(6, 3, 1)

        def forward(self, x: Any) -> Any:
            first = self.down1(x)
            second = self.down2(self.pool(first))
            up = self.up2(self.bottom(self.pool(second)))
            up = self.join2(lib.cat([up, second], 1))
            up = self.join1(lib.cat([self.up1(up), first], dim=1))
            return self.head(up)

    return UNet()
