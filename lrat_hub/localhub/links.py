"""Signed links to large files: clients send no token along with their content, as they would to a storage service."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlencode

from lrat_hub.localhub.objects import Pointer, is_oid
from lrat_hub.localhub.protocol import HubError, parse_number

Method = Literal["GET", "PUT"]

# Clients ask for the links of a whole commit, and then transfer its files one after another.
LINK_SECONDS = 24 * 3600


class Links:
    """Makes and checks links to large files: each stands for one permission on one object, for some time.

    Args:
        key: The key that links are signed with.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def path(self, method: Method, namespace: str, pointer: Pointer, by: str = "") -> str:
        """The path of a link by which whoever holds it may get or put this object of a namespace, and nothing else.

        Args:
            by: The user who uploads to a namespace of others.
        """
        expires = str(int(time.time()) + LINK_SECONDS)
        signature = self._signature(method, namespace, pointer, expires, by)
        query = {"size": pointer.size, "expires": expires, "signature": signature, **({"by": by} if by else {})}
        return f"/api/lfs-objects/{namespace}/{pointer.oid}?{urlencode(query)}"

    def check(self, method: Method, namespace: str, oid: str, query: Mapping[str, str]) -> Pointer:
        """The object that a link is for.

        Raises:
            HubError: 403 if the link is forged or has expired.
        """
        expires = query.get("expires", "")
        size, end = (parse_number(text, max_digits=19) for text in (query.get("size", ""), expires))
        if not is_oid(oid) or size is None or end is None:
            raise HubError(403, "Link refused: it is incomplete")
        pointer = Pointer(oid, size)
        signature = self._signature(method, namespace, pointer, expires, query.get("by", ""))
        if not hmac.compare_digest(signature.encode(), query.get("signature", "").encode()):
            raise HubError(403, "Link refused: its signature is wrong")
        if end < time.time():
            raise HubError(403, "Link refused: it has expired")
        return pointer

    def _signature(self, method: Method, namespace: str, pointer: Pointer, expires: str, by: str) -> str:
        text = f"{method} {namespace} {pointer.oid} {pointer.size} {expires} {by}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
