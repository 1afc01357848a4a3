"""The file that names an identity provider: what is wrong with it is said before anything starts.

::

    [auth]
    redirect_uri = "https://viewer.example.org/oauth2callback"
    cookie_secret = "at least 32 characters drawn at random"
    client_id = "..."
    client_secret = "..."
    server_metadata_url = "https://.../.well-known/openid-configuration"
    client_kwargs = { prompt = "login" }
"""

import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from medconsist.errors import MissingInputError, RefusedInputError

__all__ = ["Provider", "read_provider"]

_CALLBACK = "/oauth2callback"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOOPBACK = ("127.0.0.1", "localhost")
_HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:]+")

_Said = Annotated[str, Field(min_length=1)]


class Provider(BaseModel):
    """The section ``auth``; keys that are not named here go to the log-in as they are.

    Parameters
    ----------
    redirect_uri
        Where the provider sends readers back to: ``https``, or loopback, and ``/oauth2callback``.
    cookie_secret
        Signs the cookie of the page: 32 characters or more.
    client_id, client_secret
        As the provider gave them.
    server_metadata_url
        Of OpenID Connect Discovery 1.0.
    client_kwargs
        With ``prompt = "login"``: else whoever comes by an open session of the provider has a new
        sign-in without a password, and a signature would prove nothing (OpenID Connect Core 1.0,
        section 3.1.2.1).

    Examples
    --------
    >>> sorted(Provider.model_fields)[:2]
    ['client_id', 'client_kwargs']
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    redirect_uri: _Said
    cookie_secret: Annotated[str, Field(min_length=32)]
    client_id: _Said
    client_secret: _Said
    server_metadata_url: _Said
    client_kwargs: dict[str, Any]

    @field_validator("client_kwargs")
    @classmethod
    def _asks_anew(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "login" not in str(value.get("prompt", "")).split():
            msg = 'needs prompt = "login", so that a signature follows a password'
            raise ValueError(msg)
        return value

    @property
    def origin(self) -> str:
        """Scheme, name and port under which readers reach the viewer."""
        found = urlsplit(self.redirect_uri)
        return f"{found.scheme}://{found.netloc}"

    @property
    def host(self) -> str:
        """The name under which readers reach the viewer."""
        return urlsplit(self.redirect_uri).hostname or ""


def read_provider(path: Path) -> Provider:
    """Read the file that names an identity provider.

    Raises
    ------
    MissingInputError
        There is no such file.
    RefusedInputError
        Other accounts may read it, it is no TOML, or a key is missing or wrong; no secret is
        repeated in the message.
    """
    try:
        text, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        msg = f"the file of the identity provider {path} cannot be read: {error.strerror}."
        raise MissingInputError(msg) from error
    if mode & _OTHERS:
        msg = f"{path} holds secrets and other accounts may read it; do: chmod 600 {path}"
        raise RefusedInputError(msg)
    try:
        provider = Provider.model_validate(tomllib.loads(text.decode()).get("auth"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path} is no TOML: {error}."
        raise RefusedInputError(msg) from error
    except ValidationError as error:
        wrong = ", ".join(
            f"{'.'.join(map(str, one['loc'])) or 'auth'}: {one['msg']}" for one in error.errors()
        )
        msg = f"{path}, section auth: {wrong}."
        raise RefusedInputError(msg) from error
    _refuse_open_return(provider, path)
    return provider


def _refuse_open_return(provider: Provider, path: Path) -> None:
    """Refuse an address over which the code of a log-in would travel unencrypted."""
    found = urlsplit(provider.redirect_uri)
    is_safe = found.scheme == "https" or (found.scheme == "http" and found.hostname in _LOOPBACK)
    is_name = _HOST.fullmatch(found.hostname or "") is not None  # "*" would be every name
    if not (is_safe and is_name and found.path.endswith(_CALLBACK)):
        msg = (
            f"{path}: redirect_uri got {provider.redirect_uri!r}; allowed: https (http on loopback "
            f"alone), the name of one host, and a path that ends in {_CALLBACK}."
        )
        raise RefusedInputError(msg)
