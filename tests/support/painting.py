"""One component's bytes to what is shown of them, in the chunks in which they are read."""

from orchestrator.terminal.lines import LineSplitter


def streamed(data, size, painter):
    """What is shown of a component's bytes that arrive in chunks of `size`, as the multiplexer does it."""
    splitter, shown = LineSplitter(), []
    for start in range(0, len(data), size):
        if whole := splitter.feed(data[start : start + size]):
            shown.append(painter.paint(whole))
        if splitter.piece:
            shown.append(painter.paint_piece(splitter.piece))
            splitter.piece = b""
    if rest := splitter.flush():
        shown.append(painter.paint(rest))
    return b"".join(shown)
