"""What a back end in Python needs beside `fanfare serve`: tokens for its users, and calls over HTTP. Standard library only."""

# #region imports
import base64
import hashlib
import hmac
import json
import time
from urllib import parse, request
# #endregion


# #region token
def token_for(user: str, rooms: list[str], secret: str, lasts_s: int = 900) -> str:
    """A JWT (HS256) that lets the user into these rooms: for the page, which hands it to the client."""
    now = int(time.time())
    claims = {"sub": user, "rooms": rooms, "iat": now, "exp": now + lasts_s}
    signed = ".".join(_part(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return signed + "." + _part(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
# #endregion


# #region publish
class Rooms:
    """The rooms of a Fanfare server, with an API key's rights. Each call is one request and holds nothing."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def publish(self, room: str, event: str, data: object, key: str | None = None, user: str | None = None) -> dict:
        """Returns when it is in the log. With a key it is safe to repeat: the second time nothing is kept."""
        body = {"event": event, "data": data, **({"user": user} if user is not None else {})}
        headers = {"Idempotency-Key": key} if key is not None else {}
        return self._call("POST", f"/v1/rooms/{parse.quote(room, safe='')}/messages", body, headers)

    def tell(self, user: str, event: str, data: object) -> dict:
        """To all of a user's devices, and there for those that come later."""
        return self._call("POST", f"/v1/users/{parse.quote(user, safe='')}/messages", {"event": event, "data": data})

    def members(self, room: str) -> list[str]:
        answer = self._call("GET", f"/v1/rooms/{parse.quote(room, safe='')}/members")
        return [member["user"] for member in answer["users"]]

    def _call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        asked = request.Request(self._url + path, data, {**self._headers, **(headers or {})}, method=method)
        with request.urlopen(asked, timeout=5) as answer:
            return json.load(answer)
# #endregion
