"""Converts image blocks of any provider to DashScope's `{"image": URL}`.

Errors do not quote an image, whose URL may be signed. Sources: the reference of the multimodal
route, and each provider's reference of image blocks.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek.errors import DashScopeInputError

Block = Mapping[str, Any]

_KINDS = ("jpeg", "png", "gif", "webp", "bmp", "tiff", "heic")
"""Image types that Model Studio's vision models accept; DeepSeek documents the first four."""

_TYPES = frozenset({"image", "image_url", "input_image", "image_file"})
_GEMINI_KEYS = frozenset({"inline_data", "inlineData", "file_data", "fileData"})
_URL_KEYS = ("url", "image_url", "image", "file_uri", "fileUri")
_DATA_KEYS = ("base64", "data", "bytes")
_MIME_TYPE_KEYS = ("mime_type", "media_type", "mimeType", "format")
_OPTION_KEYS = ("min_pixels", "max_pixels", "cache_control")
_URL = re.compile(r"(?:https?|oss)://\S+", re.IGNORECASE)
_DATA_URI = re.compile(r"data:([^;,]*)(?:;[^,]*)?;base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_SAFE_NAME = re.compile(r"[\w .,+/()-]{1,100}")
_SAFE_TYPE = re.compile(r"[\w.+/-]{1,40}", re.ASCII)


def is_image(block: Block, *, typed_only: bool = False) -> bool:
    """Tell whether a block of any provider is an image.

    `typed_only`: a dict without a type, such as the result of a tool, is data and no image, unless
    it has exactly the form of DashScope.
    """
    kind = block.get("type")
    if kind in _TYPES:
        return True
    if kind not in (None, "media"):
        return False
    if typed_only and kind is None:
        url: Any = block.get("image")
        is_dashscopes = block.keys() <= {"image", *_OPTION_KEYS} and isinstance(url, str)
        return is_dashscopes and bool(_URL.fullmatch(url) or _DATA_URI.match(url))
    if "image" in block:
        return True
    is_media = kind == "media" or not _GEMINI_KEYS.isdisjoint(block)
    return is_media and str(_first(_flatten(block), *_MIME_TYPE_KEYS)).startswith("image/")


def image_part(block: Block, index: int) -> dict[str, Any]:
    """Convert an image of any provider, in message `index`, to `{"image": URL}` and its options."""
    extras = block.get("extras")
    given = {**(extras if isinstance(extras, Mapping) else {}), **block}
    options = {name: given[name] for name in _OPTION_KEYS if given.get(name) is not None}
    return {"image": _url_of(_flatten(block), index), **options}


def label_of(block: Block) -> str:
    """Return ` (NAME)`: a block's file name, else its mime type, else its URL's end; or `""`."""
    found = _flatten(block)
    url = str(_first(found, *_URL_KEYS) or "")
    data = _DATA_URI.match(url)
    last = data[1] if data else url.partition("?")[0].rpartition("/")[2]
    file = _first(found, "filename", "file_name", "name", "title")
    names = (file, _first(found, *_MIME_TYPE_KEYS), last)
    return next((f" ({n})" for n in names if isinstance(n, str) and _SAFE_NAME.fullmatch(n)), "")


def _flatten(block: Block) -> dict[str, Any]:
    """Merge nested dicts into one, since each provider nests an image differently."""
    inner = [_flatten(value) for value in block.values() if isinstance(value, Mapping)]
    own = {key: value for key, value in block.items() if not isinstance(value, Mapping)}
    return dict(ChainMap(own, *inner))


def _first(found: Block, *keys: str) -> Any:
    return next((found[key] for key in keys if found.get(key) is not None), None)


def _url_of(found: Block, index: int) -> str:
    detail = found.get("detail")
    if detail not in (None, "auto"):
        warn(f"detail={detail!r} of an image was left out: write max_pixels in the block instead.")
    data, url = _first(found, *_DATA_KEYS), _first(found, *_URL_KEYS)
    text = url if data is None else data
    if isinstance(text, str) and _URL.fullmatch(text):
        return text
    if isinstance(text, str) and (begin := _DATA_URI.match(text)):
        return _data_uri(begin[1], text[begin.end() :], index)
    if data is not None:
        return _data_uri(str(_first(found, *_MIME_TYPE_KEYS) or ""), data, index)
    if url is None and _first(found, "file_id", "id") is not None:
        why = "given by another provider's file id, which the service cannot read"
    elif isinstance(url, str) and url[:5].lower() == "data:":
        why = "whose data URI does not have the form data:image/...;base64,..."
    else:
        why = "whose URL is not an https, http, oss or data URI, or holds a space"
    raise DashScopeInputError(
        f"messages[{index}] holds an image {why}: send its URL, or read the file and send "
        '{"type": "image", "base64": ..., "mime_type": "image/png"}'
    )


def _data_uri(mime_type: str, data: Any, index: int) -> str:
    kind = mime_type.lower().removeprefix("image/")
    kind = "jpeg" if kind == "jpg" else kind
    if kind not in _KINDS:
        given = repr(mime_type) if _SAFE_TYPE.fullmatch(mime_type) else "missing or malformed"
        known = ", ".join(f"image/{name}" for name in _KINDS)
        msg = f"messages[{index}] holds an image whose mime type is {given}. Use one of {known}"
        raise DashScopeInputError(msg)
    if isinstance(data, (bytes, bytearray)):
        data = b64encode(data).decode()
    text = "".join(data.split()) if isinstance(data, str) else ""
    if not _BASE64.fullmatch(text) or len(text) % 4:
        raise DashScopeInputError(
            f"messages[{index}] holds an image whose base64 cannot be read: encode the bytes of "
            "the file with base64.b64encode(...).decode()"
        )
    return f"data:image/{kind};base64,{text}"
