"""The rows, by what they are about."""

from . import (  # noqa: F401
    answers,
    answers2,
    chunks,
    connection,
    expect,
    framing,
    http2,
    identity,
    interim,
    limits,
    lines,
    names,
    proxied,
    targets,
    trailers,
    translation,
    upgrade,
)
