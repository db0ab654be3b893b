"""The OpenAPI that requests are checked against, and how it stands to the swagger of KFP 2.5.0."""

from __future__ import annotations

import pytest

from tests.support import kfp_openapi
from tests.support.kfp_openapi import Invalid

_LIST = {"page_token", "page_size", "sort_by", "filter"}
#: Method, path and query fields of the operations that are used here, from kubeflow/pipelines,
#: backend/api/v2beta1/swagger/kfp_api_single_file.swagger.json at 06726057c1f0eb6603ce420ed12ecd574621cd4b
#: (`info.version` 2.5.0).
SWAGGER_2_5_0 = {
    "create_experiment": ("POST", "/apis/v2beta1/experiments", set()),
    "list_experiments": ("GET", "/apis/v2beta1/experiments", {"namespace", *_LIST}),
    "create_pipeline": ("POST", "/apis/v2beta1/pipelines", set()),
    "list_pipelines": ("GET", "/apis/v2beta1/pipelines", {"namespace", *_LIST}),
    "list_pipeline_versions": ("GET", "/apis/v2beta1/pipelines/{pipeline_id}/versions", _LIST),
    "get_pipeline_version": (
        "GET",
        "/apis/v2beta1/pipelines/{pipeline_id}/versions/{pipeline_version_id}",
        set(),
    ),
    "upload_pipeline_version": (
        "POST",
        "/apis/v2beta1/pipelines/upload_version",
        {"name", "display_name", "pipelineid", "description"},
    ),
    "create_run": ("POST", "/apis/v2beta1/runs", {"experiment_id"}),
    "get_run": ("GET", "/apis/v2beta1/runs/{run_id}", {"experiment_id"}),
    "list_runs": ("GET", "/apis/v2beta1/runs", {"namespace", "experiment_id", *_LIST}),
    "terminate_run": ("POST", "/apis/v2beta1/runs/{run_id}:terminate", set()),
    "retry_run": ("POST", "/apis/v2beta1/runs/{run_id}:retry", set()),
    "create_recurring_run": ("POST", "/apis/v2beta1/recurringruns", set()),
    "list_recurring_runs": ("GET", "/apis/v2beta1/recurringruns", {"namespace", "experiment_id", *_LIST}),
    "delete_recurring_run": ("DELETE", "/apis/v2beta1/recurringruns/{recurring_run_id}", set()),
    "enable_recurring_run": ("POST", "/apis/v2beta1/recurringruns/{recurring_run_id}:enable", set()),
    "disable_recurring_run": ("POST", "/apis/v2beta1/recurringruns/{recurring_run_id}:disable", set()),
}
#: What 2.5.0 has and the generated client 2.0.5 does not: query fields that nothing here sends.
NEW_IN_2_5_0 = {"upload_pipeline_version": {"display_name"}, "create_run": {"experiment_id"}}


@pytest.mark.parametrize("name", SWAGGER_2_5_0)
def test_what_is_used_is_the_same_in_2_5_0(name):
    method, path, query = SWAGGER_2_5_0[name]
    found = {operation.name: operation for operation in kfp_openapi.operations()}[name]

    assert (found.method, found.path) == (method, path)
    assert query - set(found.query) == NEW_IN_2_5_0.get(name, set())
    assert set(found.query) <= query


def test_every_operation_of_the_package_is_read():
    assert len(kfp_openapi.operations()) == 38
    upload = {operation.name: operation for operation in kfp_openapi.operations()}["upload_pipeline_version"]
    assert (upload.files, upload.answer) == (("uploadfile",), "V2beta1PipelineVersion")


@pytest.mark.parametrize(
    ("method", "path", "name", "values"),
    [
        ("GET", "/apis/v2beta1/runs/a%20b", "get_run", {"run_id": "a b"}),
        ("POST", "/apis/v2beta1/runs/a:retry", "retry_run", {"run_id": "a"}),
        ("POST", "/apis/v2beta1/pipelines/upload_version", "upload_pipeline_version", {}),
    ],
)
def test_paths(method, path, name, values):
    operation, found = kfp_openapi.find(method, path)

    assert (operation.name, found) == (name, values)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/apis/v2beta1/runs"), ("GET", "/apis/v1beta1/runs"), ("POST", "/apis/v2beta1/runs/a:start")],
)
def test_unknown_paths_and_methods(method, path):
    assert kfp_openapi.find(method, path) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "x"}, "body: unknown field 'name' in V2beta1Run"),
        ({"display_name": 1}, "body.display_name: a int where the OpenAPI has str"),
        ({"runtime_config": {"params": {}}}, "body.runtime_config: unknown field 'params'"),
        ({"runtime_config": {"parameters": []}}, "body.runtime_config.parameters: a list where .* has dict"),
        ({"state": "DONE"}, "body.state: 'DONE' is none of"),
        ({"created_at": "yesterday"}, "body.created_at: not a time"),
        ({"state_history": [{"state": "RUNNING"}, {"at": 1}]}, r"state_history\[1\]: unknown field 'at'"),
        ([], "body: a list where the OpenAPI has dict"),
    ],
)
def test_bodies_of_another_form(body, message):
    with pytest.raises(Invalid, match=message):
        kfp_openapi.check(body, "V2beta1Run")


def test_a_body_of_its_form():
    body = {"display_name": "x", "runtime_config": {"parameters": {"span": -1}}, "state": "RUNNING"}

    kfp_openapi.check({**body, "created_at": "2026-11-21T12:00:00Z"}, "V2beta1Run")


@pytest.mark.parametrize(
    ("query", "message"),
    [({"view": "FULL"}, "query view: unknown"), ({"page_size": "many"}, "not an integer")],
)
def test_queries_of_another_form(query, message):
    operation = kfp_openapi.find("GET", "/apis/v2beta1/runs")[0]

    with pytest.raises(Invalid, match=message):
        kfp_openapi.check_query(operation, query)


def test_the_server_says_so(server, api):
    with pytest.raises(Exception, match=r"\(400\); the server says: body: unknown field 'nom'"):
        api.write("Run", "create_run", "run x", body={"nom": "x"})
