"""Storage options: typed, secrets by reference, and turned into what each fsspec class takes."""

from __future__ import annotations

import json

import pydantic
import pytest

from components.errors import ConfigError
from components.release.options import StorageOptions
from components.release.storage import open_store
from components.secrets import SecretRef


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    for name in ("KEY_ID", "SECRET", "TOKEN"):
        monkeypatch.setenv(name, f"hidden-{name.lower()}")


def ref(name: str) -> SecretRef:
    return SecretRef(env=name)


def test_s3_gets_endpoint_credentials_region_and_patience():
    options = StorageOptions(
        endpoint_url="http://127.0.0.1:9000",
        region="eu-west-1",
        access_key_id=ref("KEY_ID"),
        secret_access_key=ref("SECRET"),
        session_token=ref("TOKEN"),
        connect_timeout_s=3,
        read_timeout_s=7,
        attempts=2,
    )
    store = open_store("s3://bucket/exchange/", options=options)
    fs = store.fs
    assert type(fs).__name__ == "S3FileSystem" and type(fs).__module__.startswith("s3fs")
    assert (store.root, store.uri, store.is_local) == ("bucket/exchange", "s3://bucket/exchange", False)
    assert (fs.endpoint_url, fs.key, fs.secret, fs.token) == (
        "http://127.0.0.1:9000",
        "hidden-key_id",
        "hidden-secret",
        "hidden-token",
    )
    assert fs.client_kwargs == {"region_name": "eu-west-1"}
    assert fs.config_kwargs["retries"] == {"mode": "standard", "total_max_attempts": 2}
    assert (fs.config_kwargs["connect_timeout"], fs.config_kwargs["read_timeout"]) == (3, 7)
    assert fs.retries == 1


def test_gs_gets_a_token_file_a_project_and_an_endpoint(tmp_path):
    user = {
        "type": "authorized_user",
        "client_id": "a",
        "client_secret": "b",
        "refresh_token": "c",
    }
    (tmp_path / "token.json").write_text(json.dumps(user))
    options = StorageOptions(
        endpoint_url="http://127.0.0.1:4443", project="fleet", token_file=str(tmp_path / "token.json")
    )
    store = open_store("gs://bucket/exchange", options=options)
    assert type(store.fs).__name__ == "GCSFileSystem" and type(store.fs).__module__.startswith("gcsfs")
    assert (store.root, store.fs.project) == ("bucket/exchange", "fleet")
    assert store.fs.base.startswith("http://127.0.0.1:4443")
    assert store.fs.credentials.credentials.refresh_token == "c"
    anonymous = open_store("gcs://bucket/x", options=StorageOptions(anonymous=True))
    assert anonymous.fs.credentials.token == "anon"


def test_az_gets_an_account_and_its_key():
    options = StorageOptions(account_name="fleet", account_key=SecretRef(env="SECRET"))
    # An account key is base64 in Azure; what is looked at here is that it arrives.
    store = open_store("az://container/exchange", options=options)
    assert type(store.fs).__name__ == "AzureBlobFileSystem" and type(store.fs).__module__.startswith("adlfs")
    assert (store.root, store.fs.account_name, store.fs.account_key) == (
        "container/exchange",
        "fleet",
        "hidden-secret",
    )


def test_without_options_the_stores_own_client_decides():
    store = open_store("s3://bucket")
    assert (store.fs.endpoint_url, store.fs.key, store.fs.secret) == (None, None, None)


@pytest.mark.parametrize(
    ("uri", "option"),
    [
        ("s3://b", {"account_name": "x"}),
        ("gs://b", {"region": "x"}),
        ("az://b", {"endpoint_url": "http://x"}),
        ("/tmp/x", {"region": "x"}),
        ("memory://x", {"anonymous": True}),
    ],
)
def test_an_option_of_another_store_is_refused(uri, option):
    name = next(iter(option))
    with pytest.raises(ConfigError, match=f"exchange {uri}: storage option '{name}' does not apply; allowed"):
        open_store(uri, options=StorageOptions(**option))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"access_key_id": ref("KEY_ID")}, "go together"),
        ({"client_secret": ref("SECRET")}, "needs tenant_id and client_id"),
        ({"anonymous": True, "sas_token": ref("TOKEN")}, "takes no credentials"),
        ({"endpoint_url": "localhost:9000"}, "endpoint_url"),
        ({"attempts": 0}, "attempts"),
        ({"read_timeout_s": 0}, "read_timeout_s"),
        ({"secret_access_key": "AKIA-plain-text"}, "secret_access_key"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_options_that_cannot_be(wrong, match):
    with pytest.raises(pydantic.ValidationError, match=match):
        StorageOptions(**wrong)


def test_a_secret_that_is_not_there_is_one_line_and_no_secret_is_shown(monkeypatch):
    options = StorageOptions(access_key_id=ref("KEY_ID"), secret_access_key=ref("SECRET"))
    assert "hidden" not in repr(options) + options.to_exec_property()
    monkeypatch.delenv("SECRET")
    with pytest.raises(ConfigError, match=r"environment variable SECRET is not set") as caught:
        open_store("s3://bucket", options=options)
    assert "hidden" not in str(caught.value)


def test_options_that_the_store_does_not_accept_do_not_quote_the_secret():
    options = StorageOptions(connection_string=ref("SECRET"))
    with pytest.raises(ConfigError, match=r"the options of this store are not accepted") as caught:
        open_store("az://container", options=options)
    assert "hidden" not in str(caught.value)
