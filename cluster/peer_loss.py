"""Know what a rank says that only lost another one; which rank that was is judged elsewhere."""

import re

from configs.errors import THAW_ERRORS

# What gloo, nccl and the TCP store say on the ranks that stay when another rank has died.
PEER_LOST = re.compile(
    r"connection (was )?(closed|reset|refused|aborted)( by (remote )?peer)?"
    r"|broken pipe|socket (closed|timeout)|no route to host|remote process exited"
    r"|nccl.*(unhandled system error|remote error|aborted)|connect.* timed out"
    r"|failed to recv|TCPStore|DistNetworkError|DistStoreError",
    re.IGNORECASE,
)
OWN = frozenset(kind.__name__ for kind in THAW_ERRORS)


def is_peer_loss(error: BaseException) -> bool:
    """Say whether an error of one rank only says that another one is gone."""
    return tells_peer_loss(type(error).__name__, str(error))


def tells_peer_loss(kind: str, message: str) -> bool:
    """Say the same of an error that was written down; `kind` is its class without its module."""
    return kind not in OWN and bool(PEER_LOST.search(f"{kind} {message}"))
