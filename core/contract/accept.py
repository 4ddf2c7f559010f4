"""Which of two forms of an answer a client wants: the header Accept (RFC 9110, 12.5.1)."""


def prefers(accept: str, media: str) -> bool:
    """Whether an Accept header wants a media type (text/html) more than application/json; a tie is JSON."""
    return _weight(accept, media) > _weight(accept, "application/json")


def _weight(accept: str, media: str) -> float:
    """Return the q of a media type: what the most specific range that has it says, 0 where none has."""
    ranges = {media: 2, f"{media.partition('/')[0]}/*": 1, "*/*": 0}
    best = (-1, 0.0)
    for part in accept.lower().split(","):
        wanted, *parameters = (piece.strip() for piece in part.split(";"))
        if wanted in ranges:
            best = max(best, (ranges[wanted], _quality(parameters)))
    return best[1]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
