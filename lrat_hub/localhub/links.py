"""Links to large files: each stands for one permission on one object, for some time.

Clients send no token along with the content of a large file, as they would send it to a storage service.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlencode

from lrat_hub.localhub.errors import HubError
from lrat_hub.localhub.objects import Pointer, is_oid

Method = Literal["GET", "PUT"]

# Clients ask for the links of a whole commit, and then transfer its files one after another.
LINK_SECONDS = 24 * 3600


class Links:
    """Makes and checks links.

    Args:
        key: What they are signed with.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def path(self, method: Method, namespace: str, pointer: Pointer) -> str:
        """The path of a link by which whoever holds it may get or put this object of a namespace, and nothing else."""
        expires = str(int(time.time()) + LINK_SECONDS)
        signature = self._signature(method, namespace, pointer, expires)
        query = urlencode({"size": pointer.size, "expires": expires, "signature": signature})
        return f"/api/lfs-objects/{namespace}/{pointer.oid}?{query}"

    def check(self, method: Method, namespace: str, oid: str, query: Mapping[str, str]) -> Pointer:
        """The object that a link is for.

        Raises:
            HubError: 403 if the link is forged or has expired.
        """
        size, expires = query.get("size", ""), query.get("expires", "")
        if not (is_oid(oid) and _is_number(size) and _is_number(expires)):
            raise HubError(403, "Link refused: it is incomplete")
        pointer = Pointer(oid, int(size))
        signature = self._signature(method, namespace, pointer, expires)
        if not hmac.compare_digest(signature.encode(), query.get("signature", "").encode()):
            raise HubError(403, "Link refused: its signature is wrong")
        if int(expires) < time.time():
            raise HubError(403, "Link refused: it has expired")
        return pointer

    def _signature(self, method: Method, namespace: str, pointer: Pointer, expires: str) -> str:
        text = f"{method} {namespace} {pointer.oid} {pointer.size} {expires}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
