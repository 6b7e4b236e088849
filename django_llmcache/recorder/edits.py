"""Put what stands for a credential where one was found: in a text, in a body, in the pieces of one."""

from __future__ import annotations

from .credentials import Span
from .exchange import Chunk
from .findings import Finding


def replaced(text: str, spans: list[Span]) -> str:
    """Return a text with each span replaced."""
    pieces, at = [], 0
    for start, end, replacement in spans:
        pieces += [text[at:start], replacement]
        at = end
    return "".join([*pieces, text[at:]])


def edited(body: bytes, found: list[Finding]) -> bytes:
    """Return a body with each finding replaced."""
    pieces, at = [], 0
    for start, end, replacement, _ in found:
        pieces += [body[at:start], replacement.encode()]
        at = end
    return b"".join([*pieces, body[at:]])


def cut_anew(chunks: tuple[Chunk, ...], found: list[Finding]) -> tuple[Chunk, ...]:
    """Return the chunks with the findings replaced; a replacement is in the chunk where what it replaces began."""
    if not found:
        return chunks
    kept, start = [], 0
    for chunk in chunks:
        end = start + len(chunk.data)
        data, at = b"", start
        for finding in found:
            if finding.end <= start or finding.start >= end:
                continue
            if finding.start >= start:
                data += chunk.data[at - start : finding.start - start] + finding.replacement.encode()
            at = min(finding.end, end)
        data += chunk.data[at - start :]
        if data:
            kept.append(chunk._replace(data=data))
        start = end
    return tuple(kept)
