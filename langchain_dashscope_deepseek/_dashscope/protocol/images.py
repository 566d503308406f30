"""Images in any provider's form become the wire's `{"image": URL}`, or an error that says why not.

Pure; knows neither LangChain nor a model. Nothing of an image stands in an error: a URL may be
signed. Sources: the reference of the multimodal route, and the pages of the providers' forms.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from langchain_dashscope_deepseek._dashscope.reporting import warn
from langchain_dashscope_deepseek.errors import DashScopeInputError

Block = Mapping[str, Any]

MIME_TYPES = ("jpeg", "png", "gif", "webp", "bmp", "tiff", "heic")
"""Kinds of images that Model Studio's vision models read; DeepSeek documents the first four."""

_TYPES = frozenset({"image", "image_url", "input_image", "image_file"})
_KEYS = frozenset({"image", "inline_data", "inlineData", "file_data", "fileData"})
_OPTIONS = ("min_pixels", "max_pixels", "cache_control")
_URL = re.compile(r"(?:https?|oss)://\S+", re.IGNORECASE)
_DATA_URI = re.compile(r"data:([^;,]*)(?:;[^,]*)?;base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_SHOWN_NAME = re.compile(r"[\w .,+/()-]{1,100}")
_SHOWN_TYPE = re.compile(r"[\w.+/-]{1,40}", re.ASCII)


def is_image(block: Block, *, typed_only: bool = False) -> bool:
    """Tell whether a block of any provider is an image.

    Args:
        block: The block.
        typed_only: A dict without a type is data, such as a tool answers, unless it is exactly
            what DashScope calls an image.
    """
    kind = block.get("type")
    if kind in _TYPES:
        return True
    if kind == "media":
        return _mime_of(block).startswith("image/")
    if kind is not None:
        return False
    if typed_only:
        url: Any = block.get("image")
        is_ours = block.keys() <= {"image", *_OPTIONS} and isinstance(url, str)
        return is_ours and bool(_URL.fullmatch(url) or _DATA_URI.match(url))
    held = [block[key] for key in _KEYS if isinstance(block.get(key), Mapping)]
    return "image" in block or any(_mime_of(inner).startswith("image/") for inner in held)


def image_part(block: Block, index: int) -> dict[str, Any]:
    """Convert an image of any provider to the wire's form.

    Args:
        block: OpenAI's `image_url` and `input_image`, LangChain's v1 and v0 `image`, Anthropic's
            `source`, Gemini's `media` and `inline_data`, Bedrock's and DashScope's `image`.
        index: Which message it stands in, for an error.

    Returns:
        `{"image": URL}`, with `min_pixels`, `max_pixels` and `cache_control` where the block had
        them.

    Raises:
        DashScopeInputError: It is no URL and no base64, its kind is missing or unknown, or it is
            known to another provider only.
    """
    inner = block.get("image_url")
    detail = inner.get("detail") if isinstance(inner, Mapping) else block.get("detail")
    if detail not in (None, "auto"):
        warn(f"detail={detail!r} of an image was left out: DashScope takes max_pixels instead.")
    extras = block.get("extras")
    given = {**(extras if isinstance(extras, Mapping) else {}), **block}
    options = {name: given[name] for name in _OPTIONS if given.get(name) is not None}
    return {"image": _url_of(_found(block), index), **options}


def name_of(block: Block) -> str:
    """Name the file or the kind of what a block holds, in brackets; `""` if it does not say."""
    for found in (block, *(inner for inner in block.values() if isinstance(inner, Mapping))):
        url = _first(found, "url", "image_url", "image", "file_uri", "fileUri")
        url = url if isinstance(url, str) else ""
        data = _DATA_URI.match(url)
        file = _first(found, "filename", "file_name", "name", "title")
        last = data[1] if data else url.partition("?")[0].rpartition("/")[2]
        for name in (file, _mime_of(found), last):
            if isinstance(name, str) and _SHOWN_NAME.fullmatch(name):
                return f" ({name})"
    return ""


def _found(block: Block) -> Block:
    """Bring the forms of all providers to `url`, or `data` and `mime_type`, or `file_id`."""
    if isinstance(block.get("image_url"), str):
        return {"url": block["image_url"]}
    for key in ("image_url", "image_file", "source", *_KEYS):
        inner = block.get(key)
        if isinstance(inner, Mapping):
            return inner if key != "image" else _found_in_bedrocks(inner)
    if isinstance(block.get("image"), str):
        return {"url": block["image"]}
    return block


def _found_in_bedrocks(image: Block) -> Block:
    source = image.get("source")
    data = source.get("bytes") if isinstance(source, Mapping) else None
    return {"data": data, "mime_type": f"image/{image.get('format')}"}


def _url_of(found: Block, index: int) -> str:
    url = _first(found, "url", "file_uri", "fileUri")
    data = _first(found, "base64", "data")
    if isinstance(data, str) and data[:5].lower() == "data:":
        url, data = data, None
    if data is not None:
        return _data_uri(_mime_of(found), data, index)
    if isinstance(url, str) and (begin := _DATA_URI.match(url)):
        return _data_uri(begin[1], url[begin.end() :], index)
    if isinstance(url, str) and _URL.fullmatch(url):
        return url
    if url is None and _first(found, "file_id", "id") is not None:
        why = "which is a file id of another provider's, that the service cannot read"
    elif isinstance(url, str) and url[:5].lower() == "data:":
        why = "whose data URI does not read data:image/...;base64,..."
    else:
        why = "which is neither a URL (https, http, oss) nor base64; a path on this machine is none"
    msg = (
        f"Message {index} holds an image {why}: send its URL, or read the file and send "
        '{"type": "image", "base64": ..., "mime_type": "image/png"}'
    )
    raise DashScopeInputError(msg)


def _data_uri(mime_type: str, data: Any, index: int) -> str:
    kind = mime_type.lower().removeprefix("image/")
    kind = "jpeg" if kind == "jpg" else kind
    if kind not in MIME_TYPES:
        given = repr(mime_type) if _SHOWN_TYPE.fullmatch(mime_type) else "no readable one"
        known = ", ".join(f"image/{name}" for name in MIME_TYPES)
        msg = f"Message {index} holds an image whose mime type is {given}. Known ones: {known}"
        raise DashScopeInputError(msg)
    if isinstance(data, (bytes, bytearray)):
        data = b64encode(data).decode()
    text = "".join(data.split()) if isinstance(data, str) else ""
    if not _BASE64.fullmatch(text) or len(text) % 4:
        msg = (
            f"Message {index} holds an image whose base64 cannot be read: encode the bytes of the "
            "file with base64.b64encode(...).decode()"
        )
        raise DashScopeInputError(msg)
    return f"data:image/{kind};base64,{text}"


def _mime_of(found: Block) -> str:
    mime_type = _first(found, "mime_type", "media_type", "mimeType")
    return mime_type if isinstance(mime_type, str) else ""


def _first(found: Block, *keys: str) -> Any:
    return next((found[key] for key in keys if found.get(key) is not None), None)
