"""Validates message contents: a string on the text route, a list of parts on the multimodal one.

Valid messages get one form for both routes: `content` is a string, and `images` a list. No image is
downloaded or quoted in an error.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from langchain_dashscope_deepseek.testing._errors import refuse
from langchain_dashscope_deepseek.testing._render import Json

EMPTY_CONTENT_ERROR = "Role must be user or assistant and Content length must be greater than 0"

_TEXT_OPTIONS = frozenset({"cache_control"})
_IMAGE_OPTIONS = frozenset({"min_pixels", "max_pixels", "cache_control"})
_URL_ERROR = "The provided URL does not appear to be valid. Ensure it is correctly formatted."
_URL = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)
_OSS = re.compile(r"oss://[^\s/]\S*", re.IGNORECASE)
_DATA_URIS = frozenset(
    f"data:image/{kind};base64" for kind in ("jpeg", "png", "gif", "webp", "bmp", "tiff", "heic")
)


@dataclass(frozen=True, kw_only=True)
class ContentRules:
    """Which contents are valid on this route, for this model, with these headers."""

    multimodal: bool
    images: bool
    resolves_oss: bool


def read_message(message: Json, number: int, rules: ContentRules) -> Json:
    """Check a message's content; return the message with a string and a list of images."""
    content, role = message.get("content"), message["role"]
    has_calls = role == "assistant" and bool(message.get("tool_calls"))
    may_be_empty = role in ("tool", "system") or has_calls
    images: list[str] = []
    if not rules.multimodal:
        if not isinstance(content, str):
            refuse("input content must be a string.")
        text = content
    else:
        place = f"input.messages.{number}.content"
        if not isinstance(content, list):
            refuse(f"Input should be a valid list: {place}")
        parts = [_part(part, f"{place}.{at}") for at, part in enumerate(content)]
        text = "\n".join(value for key, value in parts if key == "text")
        images = [value for key, value in parts if key == "image"]
        may_be_empty = has_calls or (may_be_empty and bool(parts))
    if images:
        _check_images(images, role, rules)
    elif not text and not may_be_empty:
        refuse(EMPTY_CONTENT_ERROR)
    return {**message, "content": text, "images": images}


def _part(part: Any, place: str) -> tuple[str, str]:
    match part:
        case {"text": str(value), **options} if options.keys() <= _TEXT_OPTIONS:
            key = "text"
        case {"image": str(value), **options} if options.keys() <= _IMAGE_OPTIONS:
            key = "image"
        case _:
            refuse(f'Input should be {{"text": str}} or {{"image": str}}: {place}')
    for name, option in options.items():
        if name == "cache_control":
            if option != {"type": "ephemeral"}:
                refuse(f'Input should be {{"type": "ephemeral"}}: {place}.{name}')
        elif isinstance(option, bool) or not isinstance(option, int) or option < 1:
            refuse(f"Input should be a positive integer: {place}.{name}")
    return key, value


def _check_images(images: list[str], role: str, rules: ContentRules) -> None:
    if not rules.images:
        refuse("This model does not support image input.")
    if role != "user":
        refuse(f'An image must be in a message with role "user", not "{role}".')
    for image in images:
        if _OSS.fullmatch(image):
            if not rules.resolves_oss:
                refuse(f"{_URL_ERROR} oss:// needs X-DashScope-OssResourceResolve: enable.")
        elif image.startswith("data:"):
            _check_data(image)
        elif not _URL.fullmatch(image):
            refuse(_URL_ERROR)


def _check_data(image: str) -> None:
    kind, _, data = image.partition(",")
    try:
        is_valid = kind in _DATA_URIS and bool(b64decode(data, validate=True))
    except ValueError:
        is_valid = False
    if not is_valid:
        refuse("The image format is illegal and cannot be opened")
