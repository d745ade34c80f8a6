"""What goes wrong on the way out. No text names more of a URL than its origin.

OutboundError
├── OutboundRefused            this server's policy does not let it out; asking again changes nothing
│   ├── BadAddress             no URL that can be asked
│   ├── SchemeRefused          http, where that is not allowed
│   ├── HostRefused            not in the list of hosts
│   ├── AddressRefused         the name leads to an address of a private network, or the like
│   └── RedirectRefused        a redirect too many, to a place that is refused, or with what may not go along
├── AnswerRefused              the answer is larger than its limit, or not readable
└── Unreachable                no connection, or it broke
    └── TooSlow                a limit of time has passed
"""

from __future__ import annotations


class OutboundError(Exception):
    """``str()`` is for people, and holds no secret. ``setting`` names the one that would allow it, if any."""

    setting = ""


class OutboundRefused(OutboundError):
    """The policy refuses it."""


class BadAddress(OutboundRefused):
    """This is no URL that can be asked."""


class SchemeRefused(OutboundRefused):
    """It would go without TLS."""

    setting = "ACUMEN_OUTBOUND_HTTP"


class HostRefused(OutboundRefused):
    """The host is not in the list."""

    setting = "ACUMEN_OUTBOUND_HOSTS"


class AddressRefused(OutboundRefused):
    """The host has an address that nobody may be sent to."""

    setting = "ACUMEN_OUTBOUND_NETWORKS"


class RedirectRefused(OutboundRefused):
    """The redirect is not followed."""


class AnswerRefused(OutboundError):
    """The answer is too large, or not readable."""


class Unreachable(OutboundError):
    """There was no connection, or it broke."""


class TooSlow(Unreachable):
    """A limit of time has passed."""
