"""A shortcut: chunks made past pydantic's validation. This file may be deleted, and all works.

A stream has a chunk for each token. Made here, one takes 2 µs where core's constructors take 9, of
some 15 to 20 for all that this package does with an event (`make bench` shows `_stream` called
directly). What it relies on is looked at once, when it is imported: a chunk made both ways.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel

_MESSAGE = AIMessageChunk(content="").__dict__
_CHUNK = ChatGenerationChunk(message=AIMessageChunk(content="")).__dict__
_CHUNK_NAMES = set(ChatGenerationChunk.model_fields)
_set_fields, _set_names, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)


def quick_chunk(
    content: str,
    additional_kwargs: dict[str, Any],
    metadata: dict[str, Any],
    calls: dict[str, list[Any]],
    names: set[str],
) -> ChatGenerationChunk:
    """Make a chunk of fields that are known to be right.

    `calls` holds the fields of tool calls, as core would read them. `names` are all names of
    fields: chunks of a stream share the set, so that assigning to a field does not change it, and
    the garbage collector has 7 objects of a chunk to look at and not 9.
    """
    fields = _MESSAGE.copy()
    fields["content"] = content
    fields["additional_kwargs"] = additional_kwargs
    fields["response_metadata"] = metadata
    fields["tool_calls"] = []
    fields["invalid_tool_calls"] = []
    fields["tool_call_chunks"] = []
    if calls:
        fields.update(calls)
    message = AIMessageChunk.__new__(AIMessageChunk)
    _set_fields(message, fields)
    _set_names(message, names)
    _set_extra(message, {})
    _set_private(message, None)
    chunk = ChatGenerationChunk.__new__(ChatGenerationChunk)
    fields = _CHUNK.copy()
    fields["text"] = content
    fields["message"] = message
    _set_fields(chunk, fields)
    _set_names(chunk, _CHUNK_NAMES)
    _set_extra(chunk, None)
    _set_private(chunk, None)
    return chunk


def _is_like_cores() -> bool:
    """Make a chunk both ways, and tell whether nothing differs but which fields count as set."""
    kwargs, metadata = {"reasoning_content": "a"}, {"model_name": "b"}
    mine: Any = quick_chunk("c", kwargs, metadata, {}, set(AIMessageChunk.model_fields))
    message = AIMessageChunk(content="c", additional_kwargs=kwargs, response_metadata=metadata)
    cores: Any = ChatGenerationChunk(message=message)
    pairs = ((mine, cores), (mine.message, cores.message))
    return all(
        {**one.__getstate__(), "__pydantic_fields_set__": None, "__dict__": None}
        == {**other.__getstate__(), "__pydantic_fields_set__": None, "__dict__": None}
        and one == other
        and one.__dict__.keys() == other.__dict__.keys()
        for one, other in pairs
    )


IS_LIKE_CORES = _is_like_cores()
"""Whether core builds its chunks as it did when this was written; else they are made plainly."""
