"""What a client says that it takes: the weighted lists of ``Accept`` and ``Accept-Encoding`` (RFC 9110)."""

from __future__ import annotations


def weights_of(accepted: str) -> dict[str, float]:
    """Name, in lower case, → weight. A name without ``q`` has 1; one whose ``q`` is no number has 0."""
    weights: dict[str, float] = {}
    for item in accepted.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weights[name] = _weight(parameters)
    return weights


def takes_gzip(accept_encoding: str) -> bool:
    """Whether ``Accept-Encoding`` allows gzip; without the header it does not."""
    weights = weights_of(accept_encoding)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
