"""What is wrong with the file of an identity provider is said before anything starts."""

from pathlib import Path

import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.viewing.launch import command, hosts, origins
from medconsist.viewing.web.provider import read_provider
from medconsist.viewing.web.settings import ViewerSettings

WHOLE = {
    "redirect_uri": "https://viewer.example/oauth2callback",
    "cookie_secret": "0123456789abcdef0123456789abcdef",
    "client_id": "viewer",
    "client_secret": "do not repeat me",
    "server_metadata_url": "https://id.example/.well-known/openid-configuration",
}


def written(folder: Path, changes: dict[str, str | None] | None = None, mode: int = 0o600) -> Path:
    path = folder / "provider.toml"
    values = {
        name: value for name, value in {**WHOLE, **(changes or {})}.items() if value is not None
    }
    asks = values.pop("client_kwargs", '{ prompt = "login" }')
    lines = [f'{name} = "{text}"\n' for name, text in values.items()]
    path.write_text("".join(["[auth]\n", *lines, f"client_kwargs = {asks}\n"]))
    path.chmod(mode)
    return path


def test_a_whole_file_names_the_host_under_which_the_viewer_answers(tmp_path: Path) -> None:
    settings = ViewerSettings(results=tmp_path, provider=written(tmp_path))
    assert hosts(settings) == ("127.0.0.1", "localhost", "viewer.example")
    words = command(settings, 8501)
    assert origins(settings) == ("https://viewer.example",)
    assert "--server.allowedHosts=viewer.example" in words
    assert "--server.address=127.0.0.1" in words
    assert not any(WHOLE["client_secret"] in word for word in words)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cookie_secret": "short"}, "cookie_secret: .*at least 32"),
        ({"client_secret": None}, "client_secret: Field required"),
        ({"redirect_uri": "http://viewer.example/oauth2callback"}, "allowed: https"),
        ({"redirect_uri": "https://viewer.example/"}, "ends in /oauth2callback"),
        ({"redirect_uri": "https://*/oauth2callback"}, "the name of one host"),
        ({"redirect_uri": "https://*.example/oauth2callback"}, "the name of one host"),
        ({"client_kwargs": "{}"}, "a signature follows a password"),
        ({"client_kwargs": '{ prompt = "select_account" }'}, "a signature follows a password"),
    ],
)
def test_a_wrong_key_is_named_and_no_secret_is_repeated(
    tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    with pytest.raises(RefusedInputError, match=said) as caught:
        read_provider(written(tmp_path, changes))
    assert WHOLE["client_secret"] not in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="chmod 600"):
        read_provider(written(tmp_path, mode=0o640))


def test_a_missing_file_and_no_toml_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="cannot be read"):
        read_provider(tmp_path / "absent.toml")
    path = tmp_path / "broken.toml"
    path.write_text("[auth")
    path.chmod(0o600)
    with pytest.raises(RefusedInputError, match="no TOML"):
        read_provider(path)


def test_a_provider_without_a_review_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="holds the roles"):
        ViewerSettings(results=tmp_path, provider=tmp_path / "p.toml", database="none")
