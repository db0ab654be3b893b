"""A stand-in for the Kubeflow Model Registry that takes what its OpenAPI takes, and nothing else.

Source of paths, parameters, fields, required ones and patterns: kubeflow/model-registry,
api/openapi/model-registry.yaml (title "Model Registry REST API", version v1alpha3) at commit
00a8ece4557f6168a4b3ba5484884f643274acb2. Only what we use is here, written out flat instead of with `allOf`,
and stricter in one way: fields that the specification does not name are refused.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

ID = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
TEXT = {"type": "string"}
NAME = {"type": "string", "minLength": 1}


def _value(kind: str, field: str, form: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["metadataType", field],
        "properties": {"metadataType": {"enum": [kind]}, field: form},
    }


PROPERTIES = {
    "type": "object",
    "additionalProperties": {
        "oneOf": [
            _value("MetadataStringValue", "string_value", TEXT),
            _value("MetadataDoubleValue", "double_value", {"type": "number"}),
            _value("MetadataBoolValue", "bool_value", {"type": "boolean"}),
            _value("MetadataIntValue", "int_value", {"type": "string", "pattern": "^-?([1-9][0-9]{0,8}|0)$"}),
        ]
    },
}
#: BaseResourceUpdate and BaseResourceCreate.
UPDATE = {"customProperties": PROPERTIES, "description": TEXT, "externalId": TEXT}
CREATE = {**UPDATE, "name": NAME}
STATE = {"enum": ["LIVE", "ARCHIVED"]}
ARTIFACT = {
    "artifactType": {"enum": ["model-artifact"]},
    "uri": TEXT,
    "state": {
        "enum": ["UNKNOWN", "PENDING", "LIVE", "MARKED_FOR_DELETION", "DELETED", "ABANDONED", "REFERENCE"]
    },
    "modelFormatName": TEXT,
    "modelFormatVersion": TEXT,
    "storageKey": TEXT,
    "storagePath": TEXT,
    "serviceAccountName": TEXT,
    "modelSourceKind": TEXT,
    "modelSourceClass": TEXT,
    "modelSourceGroup": TEXT,
    "modelSourceId": TEXT,
    "modelSourceName": TEXT,
}


def _body(properties: dict[str, Any], *required: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "required": list(required),
        }
    )


#: Method and path below the base -> kind, and the form of the body.
BODIES = {
    ("POST", "registered_models"): (
        "registered_model",
        _body({**CREATE, "owner": TEXT, "state": STATE}, "name"),
    ),
    ("POST", "model_versions"): (
        "model_version",
        _body(
            {**CREATE, "registeredModelId": ID, "author": TEXT, "state": STATE}, "name", "registeredModelId"
        ),
    ),
    ("POST", "model_versions/ID/artifacts"): (
        "model_artifact",
        _body({**CREATE, **ARTIFACT}, "artifactType"),
    ),
    ("PATCH", "model_versions/ID"): ("model_version", _body({**UPDATE, "author": TEXT, "state": STATE})),
    ("PATCH", "model_artifacts/ID"): ("model_artifact", _body({**UPDATE, **ARTIFACT})),
}
#: Where an entity is looked for -> the query that is allowed.
FINDS = {
    "registered_model": {"name", "externalId"},
    "model_version": {"name", "externalId", "parentResourceId"},
    "model_artifact": {"name", "externalId", "parentResourceId"},
}
BASE = "/api/model_registry/"


class Server:
    """A server on a free port of this machine.

    Attributes:
      stored: Kind -> entities, each with `id` and `_parent`.
      requests: Method and path of every request, in order.
      token: The bearer token that is asked for; empty for none.
      script: Answers to give before anything else is looked at, as status or (status, body).
      api: Version of the API that it speaks.
      racing: Names of kinds whose next POST is beaten by someone else's.
    """

    def __init__(self) -> None:
        self.stored: dict[str, list[dict[str, Any]]] = {kind: [] for kind in FINDS}
        self.requests: list[str] = []
        self.token = ""
        self.api = "v1alpha3"
        self.script: list[Any] = []
        self.racing: set[str] = set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                authorization = self.headers.get("Authorization", "")
                status, answer = owner.answer(self.command, self.path, authorization, raw)
                payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PATCH = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method: str, target: str, authorization: str, raw: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        base = f"{BASE}{self.api}/"
        self.requests.append(f"{method} {parts.path.removeprefix(base)}")
        if self.script:
            given = self.script.pop(0)
            return given if isinstance(given, tuple) else (given, error(given, "scripted"))
        if self.token and authorization != f"Bearer {self.token}":
            return 401, error(401, "no")
        if not parts.path.startswith(base):
            return 404, error(404, "no such path")
        path = parts.path.removeprefix(base)
        if method == "GET":
            return self._find(path, dict(parse_qsl(parts.query, strict_parsing=True)))
        found = re.search(r"/([1-9][0-9]{0,8})(/|$)", path)
        kind, form = BODIES[method, re.sub(r"/[1-9][0-9]{0,8}", "/ID", path)]
        body = json.loads(raw)
        problems = [problem.message for problem in form.iter_errors(body)]
        if problems:
            return 400, error(400, problems[0])
        if method == "PATCH":
            assert found is not None
            (there,) = (item for item in self.stored[kind] if item["id"] == found.group(1))
            there.update(body)
            return 200, there
        parent = body.get("registeredModelId") or (found.group(1) if found else "")
        if parent and not any(item["id"] == parent for items in self.stored.values() for item in items):
            return 404, error(404, "no parent of that id")
        if kind in self.racing:
            self.racing.discard(kind)
            self._store(kind, body, parent)
        if self._named(kind, body.get("name", ""), parent):
            return 409, error(409, "already exists")
        return 201, self._store(kind, body, parent)

    def _find(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path not in FINDS or set(query) - FINDS[path]:
            return 400, error(400, "no such query")
        found = self._named(path, query["name"], query.get("parentResourceId", ""))
        return (200, found) if found else (404, error(404, "not found"))

    def _named(self, kind: str, name: str, parent: str) -> dict[str, Any] | None:
        found = [item for item in self.stored[kind] if item["name"] == name and item["_parent"] == parent]
        return found[0] if found else None

    def _store(self, kind: str, body: dict[str, Any], parent: str) -> dict[str, Any]:
        number = str(1 + sum(map(len, self.stored.values())))
        entity = {**body, "id": number, "_parent": parent}
        self.stored[kind].append(entity)
        return entity


def error(status: int, words: str) -> dict[str, str]:
    return {"code": str(status), "message": words}
