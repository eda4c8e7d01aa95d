"""The emoji world's judge: it tells studio and subject of a picture, and a studio that nobody taught it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Float32, Int64
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import normalize

from graphcond.worlds.emoji.looks import manner, outlines

WEIGHTS = Path(__file__).with_name("judge.safetensors")


@dataclass(frozen=True)
class EmojiPrediction:
    """Indices into `EmojiJudge.studios`, `EmojiJudge.compared` and `EmojiJudge.subjects`."""

    studio: Int64[Tensor, " b"]
    nearest: Int64[Tensor, " b"]
    subject: Int64[Tensor, " b"]


class EmojiJudge:
    """Linear discriminants over hand-made features; scripts/emoji/judge.py fits them in closed form.

    They were fitted to real pictures alone, never to generated ones, and not to the held-out pairs of subject
    and studio. What varies within a class counts little (Fisher's linear discriminant analysis). The subject
    is that of the nearest real picture.

    Args:
        weights: the tensors of the file that scripts/emoji/judge.py writes.
        studios: those that are told apart.
        compared: they and the studio that is unseen.
        subjects: those that are told apart.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        *,
        studios: Sequence[str],
        compared: Sequence[str],
        subjects: Sequence[str],
    ) -> None:
        self.weights = weights
        self.studios, self.compared, self.subjects = tuple(studios), tuple(compared), tuple(subjects)

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> "EmojiJudge":
        """Load the judge of the package, or another."""
        with safe_open(path, "pt") as content:
            names = {
                what: json.loads(value) for what, value in content.metadata().items() if what != "format"
            }
            weights = {name: content.get_tensor(name).float() for name in content.keys()}  # noqa: SIM118
        return cls(
            {name: value.long() if name == "shown" else value for name, value in weights.items()}, **names
        )

    def classify(self, pixels: Float32[Tensor, "b 3 64 64"]) -> EmojiPrediction:
        """Tell the studio and the subject of each picture, pixels in [-1, 1].

        ``nearest`` is the studio of `compared` whose mean picture is nearest, by the angle between features
        that were made to tell the known studios apart; of the other one only the mean is known.
        """
        seen = (manner(pixels) - self.weights["manner"]) / self.weights["spread"]
        told = seen @ self.weights["studios"] + self.weights["bias"]
        picture = (self.features(pixels) @ self.weights["pictures"].T).argmax(1)
        return EmojiPrediction(
            studio=told.argmax(1),
            nearest=(seen @ self.weights["compared"]).argmax(1),
            subject=self.weights["shown"][picture],
        )

    def features(self, pixels: Float32[Tensor, "b 3 64 64"]) -> Float[Tensor, "b d"]:
        """Return unit-length feature vectors: their distance is low for the same subject."""
        return normalize((outlines(pixels) - self.weights["outline"]) @ self.weights["directions"], dim=1)
