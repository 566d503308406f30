"""Connection failures."""

from __future__ import annotations

from dataclasses import replace

from tests.integration_tests.faults.what import (
    MEGABYTE,
    NONE,
    NOT_CONNECTED,
    SILENT,
    Fault,
    accepted,
    head,
    impatiently,
    no_proxy,
    nobody,
    nowhere,
    proxied,
    served,
    tls_to_plain,
    untrusted,
    wrong_host,
)
from tests.integration_tests.stage import flood, hold, now_and_then, reset

CONNECTIONS = (
    Fault("port_refused", "a closed port", nobody, NOT_CONNECTED),
    Fault("name_unknown", "a host name that cannot be resolved", nowhere, NOT_CONNECTED),
    Fault("certificate_untrusted", "an untrusted certificate", untrusted, NOT_CONNECTED),
    Fault("certificate_of_another", "a certificate for another host", wrong_host, NOT_CONNECTED),
    Fault(
        "plain_http_on_https",
        "plain HTTP where TLS was expected",
        accepted(b"HTTP/1.1 400 Bad Request\r\n\r\n", scheme="https"),
        NOT_CONNECTED,
    ),
    Fault("tls_on_http", "TLS where plain HTTP was expected", tls_to_plain, NOT_CONNECTED),
    Fault("closed_at_once", "a connection closed before the request", accepted(), NOT_CONNECTED),
    Fault("reset_at_once", "a connection reset before the request", accepted(reset), NOT_CONNECTED),
    Fault(
        "closed_on_request",
        "a connection closed after the request, without a response",
        served(),
        NOT_CONNECTED,
    ),
    Fault(
        "reset_on_request",
        "a connection reset after the request, without a response",
        served(reset),
        NOT_CONNECTED,
    ),
    Fault(
        "garbage",
        "a response that is not HTTP",
        served(b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff\xfe garbage\r\n\r\n"),
        NOT_CONNECTED,
    ),
    Fault(
        "cut_in_status_line",
        "a connection closed within the status line",
        served(b"HTTP/1.1 20"),
        NOT_CONNECTED,
    ),
    Fault(
        "cut_in_headers",
        "a connection closed within the headers",
        served(head()[:40]),
        NOT_CONNECTED,
    ),
    Fault(
        "header_bomb",
        "endless headers",
        served(b"HTTP/1.1 200 OK\r\n", flood(b"x-bomb: " + b"x" * 8_000 + b"\r\n", 50 * MEGABYTE)),
        NOT_CONNECTED,
    ),
    Fault(
        "interim_without_end",
        "endless interim (1xx) responses",
        impatiently(served(flood(b"HTTP/1.1 103 Early Hints\r\n\r\n", 50 * MEGABYTE))),
        replace(SILENT, begun=False),
    ),
    Fault(
        "interim_now_and_then",
        "slow interim (1xx) responses without a final response",
        impatiently(served(now_and_then(b"HTTP/1.1 102 Processing\r\n\r\n"))),
        replace(SILENT, begun=False),
    ),
    Fault(
        "headers_drip",
        "slow headers, byte by byte",
        impatiently(served(b"HTTP/1.1 200 OK\r\nx: ", now_and_then(b"x"))),
        replace(SILENT, begun=False),
    ),
    Fault(
        "proxy_drips",
        "a proxy that responds slowly, byte by byte",
        impatiently(proxied(b"HTTP/1.1 200 OK\r\nx: ", now_and_then(b"x"))),
        replace(SILENT, begun=False),
    ),
    Fault(
        "never_answers",
        "no response",
        impatiently(served(hold)),
        replace(SILENT, begun=False),
    ),
    Fault(
        "proxy_asks_for_a_password",
        "a proxy that responds with HTTP 407",
        proxied(head(NONE, "407 Proxy Authentication Required", content_length="0")),
        NOT_CONNECTED,
    ),
    Fault(
        "proxy_fails",
        "a proxy that responds with HTTP 502",
        proxied(head(NONE, "502 Bad Gateway", content_length="0")),
        NOT_CONNECTED,
    ),
    Fault("proxy_refuses", "a proxy that refuses connections", no_proxy, NOT_CONNECTED),
    Fault("proxy_hangs_up", "a proxy that closes the connection", proxied(), NOT_CONNECTED),
)
