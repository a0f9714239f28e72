"""How a body is signed for whoever receives it by HTTP: postbacks, events, questions to the billing system.

    X-Relance-Signature: t=1795348800,v1=5f0c...

`t` is when it was signed (Unix seconds), `v1` the hexadecimal HMAC-SHA256 of `t`, a dot, and the raw body, under the
secret that both sides know. A receiver compares `v1` in constant time and refuses what is older than a few minutes.
"""

import hashlib
import hmac

HEADER = "X-Relance-Signature"


def signed(key: str, body: bytes, at: float) -> dict[str, str]:
    """The header of a body signed at that moment (Unix seconds)."""
    stamp = str(int(at))
    seal = hmac.new(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {HEADER: f"t={stamp},v1={seal}"}
