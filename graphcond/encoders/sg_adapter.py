"""A sentence whose tokens look at the triples that they belong to (SG-Adapter, arXiv 2405.15321)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graphcond.config import checked
from graphcond.context import SceneFeatures
from graphcond.encoders.alignment import name_words, triple_words
from graphcond.encoders.base import Encoder
from graphcond.encoders.config import SGAdapterConfig
from graphcond.encoders.triple_transformer import in_triple, mean_attribute
from graphcond.signals import GraphTokens, TextTokens

DEFAULT = SGAdapterConfig.model_construct()


@checked(SGAdapterConfig)
class SGAdapter(Encoder[SceneFeatures, GraphTokens]):
    """The scene's sentence after the base's text encoder, each token changed by the triples it belongs to.

    A triple is (head, predicate, tail); head and tail are an object's word and the mean of its attributes. A
    relation belongs to the tokens of its clause, an attribute to those of its object's names, an object in no
    triple to its own name. Without the mask every token looks at all triples. Both gates are 0 at the start,
    when the tokens are those of the sentence. Layers are named as in SG-Adapter's code.

    Args:
        feature_width: d, width of the words' embeddings.
        token_width: c, width of the base's context tokens.
        encode_prompt: the base's.
        token_spans: the base's.
        masks_padding: hide the padding of the sentence, as the base hides that of prompts.
        **settings: those of `SGAdapterConfig`.
    """

    reads = SceneFeatures
    gives = GraphTokens
    token_count = "prompt"

    def __init__(
        self,
        *,
        feature_width: int,
        token_width: int,
        encode_prompt: Callable[[Sequence[str]], TextTokens],
        token_spans: Callable[[Sequence[str]], Int64[Tensor, "b n 2"]],
        heads: int = DEFAULT.heads,
        masked: bool = DEFAULT.masked,
        masks_padding: bool = False,
    ) -> None:
        super().__init__()
        self._encode, self._spans = encode_prompt, token_spans
        self.masked, self.masks_padding = masked, masks_padding
        self.linear = nn.Sequential(
            nn.Linear(3 * feature_width, token_width),
            nn.SiLU(),
            nn.Linear(token_width, token_width),
            nn.SiLU(),
            nn.Linear(token_width, token_width),
        )
        self.attn = Attention(query_dim=token_width, heads=heads, dim_head=-(-token_width // heads))
        self.ff = FeedForward(token_width, activation_fn="geglu")
        self.norm1, self.norm2 = nn.LayerNorm(token_width), nn.LayerNorm(token_width)
        self.alpha_attn, self.alpha_dense = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, n, c), as many as a prompt has; hidden for an empty scene. ``text`` is not read."""
        with torch.no_grad():
            sentence = self._encode(context.sentences)
        hidden = sentence.hidden.to(self.alpha_attn.dtype)
        triples, seen = self._triples(context.to(dtype=hidden.dtype), hidden.shape[1])
        looking = seen.any(-1, keepdim=True)
        # A softmax over nothing is no number, so a token of no triple looks at all of them in vain.
        looked = self.attn(self.norm1(hidden), encoder_hidden_states=triples, attention_mask=seen | ~looking)
        hidden = hidden + self.alpha_attn.tanh() * looked * looking
        hidden = hidden + self.alpha_dense.tanh() * self.ff(self.norm2(hidden))
        here = context.has_graph[:, None] & sentence.attended(self.masks_padding)
        return GraphTokens(hidden.to(sentence.hidden.dtype), here)

    def _triples(
        self, context: SceneFeatures, length: int
    ) -> tuple[Float[Tensor, "b m c"], Bool[Tensor, "b l m"]]:
        """Embedded triples, objects in none behind them, and True where a token may look at one."""
        lone = context.is_object & ~in_triple(context)
        words = context.nodes + mean_attribute(context)
        head, tail = (words.take_along_dim(context.triples[..., end, None], dim=1) for end in (0, 1))
        triples = torch.cat([head, context.predicates, tail], dim=-1)
        alone = torch.cat([words, torch.zeros_like(words), words], dim=-1)
        present = torch.cat([context.related, lone], dim=1)[..., None]
        if self.masked:
            spans = self._spans(context.sentences)
            of = [triple_words(context, spans), name_words(context, spans)]
            seen = torch.cat(of, dim=1) & present
        else:
            seen = present.expand(-1, -1, length)
        embedded = self.linear(torch.cat([triples, alone], dim=1))
        # One more that nobody sees: a batch of empty scenes has none.
        return F.pad(embedded, (0, 0, 0, 1)), F.pad(seen.transpose(1, 2), (0, 1))
