"""The script of the tiny FLUX.2: what it trains is the base that it writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from diffusers import AutoencoderKL

from graphcond.bases import Flux2Config
from graphcond.bases.config import TINY_FOLDER
from graphcond.worlds.captions import vocabulary

SCRIPTS = Path(__file__).parents[2] / "scripts" / "tiny_base"
RECIPE = {"width": 32, "heads": 1, "joint": 1, "single": 1, "text": {"width": 12, "layers": 4, "heads": 1}}
CAPTION = "a painting of a tree by the sea"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        import transformer  # type: ignore[import-not-found]

        yield transformer
    for name in ("common", "draw", "encode", "folder", "loop", "sampling", "transformer", "unet"):
        sys.modules.pop(name, None)


def test_a_word_is_a_token(script: ModuleType) -> None:
    tokenizer = script.tokenizer_of(vocabulary())
    words = [word for word in vocabulary() if word.isalpha()]
    ids = tokenizer(" ".join(words)).input_ids
    assert len(ids) == len(set(ids)) == len(words)
    assert tokenizer(" ".join(words), return_offsets_mapping=True).offset_mapping[-1][1] == len(
        " ".join(words)
    )


def test_what_is_trained_is_what_is_written(script: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tiny = AutoencoderKL.from_pretrained(TINY_FOLDER / "vae", torch_dtype=torch.float32)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    latents = tiny.encode(pixels).latent_dist.mean.detach()
    packed = script.packed(latents)
    vae = script.autoencoder(tiny, packed.mean((0, 2, 3)), packed.std((0, 2, 3)) + 0.1)
    tokenizer = script.tokenizer_of(vocabulary())
    drawer = script.Drawer(RECIPE, packed.shape[1], len(tokenizer))
    base = drawer.base(vae, tokenizer, 1.5)
    drawer.requires_grad_(True)
    text = base.encode_prompt([CAPTION, ""])
    hidden = drawer.states(text.ids, tokenizer.pad_token_id)
    torch.testing.assert_close(hidden.detach(), text.hidden, atol=1e-5, rtol=1e-4)
    clean = script.normalized(vae, latents)
    torch.testing.assert_close(clean, base.encode_pictures(pixels).mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(base.decode_latents(clean), tiny.decode(latents).sample, atol=1e-4, rtol=1e-4)
    script.loss_of(drawer, base, clean, text.ids, 4, torch.tensor([0.3, 0.7])).backward()
    unread = {"text_encoder.model.norm.weight"} | {
        name for name, _ in drawer.named_parameters() if name.startswith("text_encoder.model.layers.3.")
    }
    assert {name for name, p in drawer.named_parameters() if p.grad is None} == unread
    script.save(base, tmp_path / "flux2")
    found = Flux2Config(model=str(tmp_path / "flux2"), tokens=48).build(device=torch.device("cpu"))
    again = found.encode_prompt([CAPTION, ""])
    assert torch.equal(again.ids, text.ids)
    torch.testing.assert_close(again.hidden, text.hidden, atol=0.05, rtol=0.05)
