"""Requests to the API: the generated client, with time limits, checked answers and our errors.

All of `kfp_api` stands on `kfp_server_api`, which is generated from KFP's OpenAPI, and on which `kfp.Client`
stands too. `kfp.Client` (2.5) is not used: it takes two seconds to import, prints links on stdout, keeps a
context file in the home folder, has no time limits, and its `enable_caching=False` reaches the tasks of the
root only, not those of nested DAGs.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.kfp_api.connection import Connection
from pipeline.kfp_api.failures import ApiError, of_network, of_response, one_line

#: Reading requests are tried again after these seconds; writing ones never: a run could start twice.
_TRIES = (1.0, 2.0, 4.0)
#: What an answer is good for: without it, something else than KFP has answered.
_ANSWERS = {
    "create_experiment": "experiment_id",
    "create_pipeline": "pipeline_id",
    "upload_pipeline_version": "pipeline_version_id",
    "create_run": "run_id",
    "get_run": "run_id",
    "create_recurring_run": "recurring_run_id",
}
#: What the server gives at most (`maxPageSize` in backend/src/apiserver/list).
PAGE_SIZE = 200


class Api:
    """A KFP API at an address.

    Requests go through the generated methods, so that paths and fields are KFP's. Answers are plain JSON
    objects: the generated models refuse values that newer servers send.
    """

    def __init__(self, connection: Connection, sleep: Callable[[float], None] = time.sleep) -> None:
        self.connection = connection
        self._sleep = sleep
        self._client = _api_client(connection)

    def read(self, service: str, method: str, what: str, *, patient: bool = True, **fields: Any) -> Any:
        """A request that changes nothing; passing failures are tried again where `patient`.

        Args:
          service: Class of the generated client without `ServiceApi`, such as `Run`.
          method: Its method, such as `get_run`.
          what: For messages, such as `run 1234`.
          patient: Try again after a passing failure, four times in all.
          fields: The method's arguments.

        Raises:
          ApiError: no answer, or not a good one.
        """
        for seconds in _TRIES if patient else ():
            try:
                return self.write(service, method, what, **fields)
            except ApiError as error:
                # A refused connection is final here: most often the address is wrong.
                if not error.passing or not error.status:
                    raise
                self._sleep(seconds)
        return self.write(service, method, what, **fields)

    def write(self, service: str, method: str, what: str, **fields: Any) -> Any:
        """One request, never repeated; as `read` otherwise."""
        import kfp_server_api
        import urllib3.exceptions

        given = {name: value for name, value in fields.items() if value not in (None, "")}
        call = getattr(getattr(kfp_server_api, f"{service}ServiceApi")(self._client), method)
        at = self.connection.endpoint
        try:
            answer = call(**given, _preload_content=False, _request_timeout=self.connection.seconds)
            body = answer.data
        except kfp_server_api.ApiException as error:
            raise of_response(at, what, error.status, error.body, self.connection.has_token) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise of_network(at, what, error) from None
        try:
            found = json.loads(body) if body.strip() else {}
        except ValueError:
            start = one_line(body[:60].decode("utf-8", "replace"))
            text = f"{at}: answered {what} with something other than JSON ({start!r}); allowed: a KFP v2 API"
            raise ApiError(text) from None
        wanted = _ANSWERS.get(method)
        if not isinstance(found, dict) or (wanted and not isinstance(found.get(wanted), str)):
            text = f"{at}: answered {what} with JSON of another form (no {wanted or 'object'})"
            raise ApiError(f"{text}; allowed: a KFP v2 API")
        return found

    def pages(self, service: str, method: str, what: str, items: str, **fields: Any) -> Iterator[Any]:
        """The items of all pages of a list, in the server's order; `items` is the list's key."""
        token = ""
        while True:
            page = self.read(service, method, what, page_size=PAGE_SIZE, page_token=token, **fields)
            yield from page.get(items) or []
            token = page.get("next_page_token") or ""
            if not token:
                return


def equals(key: str, value: str) -> str:
    """A filter: the field equals the text (backend/api/v2beta1/filter.proto)."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


def _api_client(connection: Connection) -> Any:
    import kfp_server_api
    import urllib3

    configuration = kfp_server_api.Configuration(host=connection.endpoint)
    configuration.verify_ssl = not connection.insecure
    if connection.ca_file is not None:
        configuration.ssl_ca_cert = str(connection.ca_file)
    if connection.has_token:
        configuration.api_key = {"authorization": connection.token()}
        configuration.api_key_prefix = {"authorization": "Bearer"}
        configuration.refresh_api_key_hook = functools.partial(_renew_token, connection)
    if connection.insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    client = kfp_server_api.ApiClient(configuration)
    # No second try behind our back, and no redirect: the target of one, a login page, is not the API.
    pool = client.rest_client.pool_manager
    pool.request = functools.partial(pool.request, retries=urllib3.Retry(0), redirect=False)
    return client


def _renew_token(connection: Connection, configuration: Any) -> None:
    configuration.api_key["authorization"] = connection.token()
