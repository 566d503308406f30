"""What stands below the fields of the model, for `help`, schemas and `model_fields`.

Written by `make docs` from `_model_fields.py`, where the texts are changed.
"""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    "model": (
        "The model's name on DashScope. A name that the capability table does not know is "
        "sent as it is. There is no default."
    ),
    "api_key": (
        "The key, or a function that gives it, for keys that change; it may be asynchronous, "
        "and is asked before each attempt. Default: `DASHSCOPE_API_KEY`, else the content of "
        "the file that `DASHSCOPE_API_KEY_FILE_PATH` names. Without one, the first call "
        "fails."
    ),
    "base_url": (
        "Where the service is, up to `/api/v1`. Default: `DASHSCOPE_HTTP_BASE_URL` or "
        "`DASHSCOPE_BASE_URL`, else what `region` and `workspace_id` lead to. Reads as the "
        "URL that calls go to."
    ),
    "region": (
        'The region of the key, such as `"cn-beijing"` (the default) or `"ap-southeast-1"`. '
        "Default: `DASHSCOPE_REGION` or `DASHSCOPE_API_REGION`."
    ),
    "workspace_id": (
        "The workspace: sent as `X-DashScope-WorkSpace`, and with `region` part of the host. "
        'Default: `DASHSCOPE_WORKSPACE_ID` or `DASHSCOPE_WORKSPACE`; `""` for none at all.'
    ),
    "enable_thinking": "Think before answering, or do not. Default: as the model does.",
    "thinking_budget": "Longest reasoning, in tokens. Default: the service's.",
    "reasoning_effort": (
        'How hard to think, on the v4 family: `"high"`, `"max"`, on most also `"low"`; on '
        "deepseek-v4.1-flash a whole number from 1 to 100, too. What else a page documents "
        "for a model is sent as it is, since the service maps it; what none does is refused. "
        "Default: the service's."
    ),
    "temperature": "Sampling temperature, from 0 to below 2. Default: the service's.",
    "top_p": "Nucleus sampling mass, above 0 up to 1. Default: the service's.",
    "max_tokens": (
        "Longest answer, in tokens. On the v4 family the reasoning counts, too. Default: the "
        "service's."
    ),
    "max_completion_tokens": (
        "Longest answer and reasoning together, in tokens. Default: the service's."
    ),
    "seed": "Seed of the sampling, at least 0. Default: none.",
    "stop": "Where to stop: a string, strings, token ids, or lists of token ids. Default: nowhere.",
    "repetition_penalty": "Penalty on repetition, above 0; 1 is none. Default: the service's.",
    "presence_penalty": (
        "Penalty on tokens that already appeared, from -2 to 2. Default: the service's."
    ),
    "response_format": (
        '`{"type": "json_object"}` for an answer that is JSON; the v4 family only. Default: text.'
    ),
    "enable_search": (
        "Let the service search the web. The sources are in "
        '`response_metadata["search_results"]`. Default: it does not.'
    ),
    "search_options": "How to search, as the service documents it. Default: the service's way.",
    "parallel_tool_calls": (
        "Whether one answer may call several tools; sent with tools only. Default: the "
        "service's, which is no."
    ),
    "model_kwargs": "Further parameters of the wire, forwarded untouched. Default: none.",
    "timeout": (
        "Seconds for connecting, sending, and each silence within an answer; or an "
        "`httpx.Timeout`. Default: 10 to connect, 60 to send, and silence of 300 in a stream "
        "or 1,800 before an answer in one piece. It bounds silence, not the length of an "
        "answer."
    ),
    "max_retries": (
        "How often a failed request is sent again, if that can help; 0 switches it off. Default: 2."
    ),
    "max_seconds": (
        "Seconds that a whole call may take: all attempts, the waits between them, and an "
        "answer that still comes in, with the time that its reader takes. Default: as long as "
        "it takes."
    ),
    "max_answer_size": (
        "The largest answer that is read: bytes of a body in one piece, and of all text, "
        "reasoning and arguments together; some ten times what a model can say. No answer "
        "takes more memory than four times as much and 32 MiB. Default: 16 MiB."
    ),
    "streaming": (
        "`True`: `invoke` streams to callbacks as well. `False`: nothing is streamed that "
        "need not be. Default: `stream` streams, and `invoke` asks for a stream while the "
        "model thinks, because proxies cut connections that are silent for minutes."
    ),
    "default_headers": (
        "Headers of every request, over our own. They may hold a secret, so they are in no "
        "dump. Default: none."
    ),
    "proxy": (
        'The proxy of all calls, as `"http://user:password@host:port"`. Default: what the '
        "environment says (`HTTPS_PROXY` and the like)."
    ),
    "verify": (
        "How the server's certificate is checked: an `ssl.SSLContext` with certificates of "
        "yours, or `False` for not at all. Default: `True`, by the certificates of `certifi`."
    ),
    "http_client": (
        "A client of yours for synchronous calls. It needs no settings, and is never closed "
        "here. Default: clients of this package."
    ),
    "http_async_client": (
        "A client of yours for asynchronous calls. It needs no settings, and is never closed "
        "here. Default: clients of this package."
    ),
    "capabilities": (
        "What `model` can do, where the capability table does not know it, or is to be "
        "corrected. Default: its row of the table."
    ),
    "environment": (
        "What the environment says of the place, where nothing is given; copies keep it. "
        "Default: as it is when the model is made."
    ),
}
