"""Learn a byte-pair encoding over the worlds' words and write it as a CLIP tokenizer."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_symbols() -> list[str]:
    """Return CLIP's 256 printable stand-ins for bytes, in CLIP's order."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(code) for code in shown] + [chr(256 + index) for index in range(256 - len(shown))]


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Merge the most frequent pair until every word is one symbol."""
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for word in spelled for pair in pairwise(word)):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        spelled = [merge(word, best) for word in spelled]
    return merges


def merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of a pair in a spelled word."""
    joined: list[str] = []
    for symbol in word:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return joined


def build(words: list[str], positions: int, folder: Path) -> CLIPTokenizer:
    """Write a tokenizer that keeps these words whole, in files of CLIP, and return it."""
    merges = learn_merges(words)
    symbols = [
        *byte_symbols(),
        *(s + "</w>" for s in byte_symbols()),
        *("".join(m) for m in merges),
        START,
        END,
    ]
    vocab = {symbol: index for index, symbol in enumerate(dict.fromkeys(symbols))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(
        vocab=vocab,
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=positions,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
