"""Compiled pipelines are read, checked, and wrapped for the API."""

from __future__ import annotations

import pytest
import yaml

from components.errors import ConfigError
from pipeline.kfp_api import specs
from tests.support import kfp_api_specs


@pytest.mark.slow
def test_the_specs_of_these_tests_are_what_kfp_compiles():
    assert kfp_api_specs.documents()[0] == kfp_api_specs.compiled()


def test_both_documents_go_into_the_manifest(spec_file):
    pipeline, platform = kfp_api_specs.documents()

    found = specs.read(spec_file)

    assert found.manifest() == {"pipeline_spec": pipeline, "platform_spec": platform}
    assert (found.name, len(found.digest)) == ("isthmus", 64)
    assert set(found.parameters) == {"span", "exchange", "seed", "ratio", "small"}


def test_one_document_is_the_manifest_itself(spec_file):
    pipeline = kfp_api_specs.documents()[0]
    spec_file.write_text(yaml.safe_dump(pipeline))

    assert specs.read(spec_file).manifest() == pipeline


def test_the_order_of_the_documents_does_not_matter(spec_file):
    pipeline, platform = kfp_api_specs.documents()
    spec_file.write_text(yaml.safe_dump_all([platform, pipeline]))

    assert specs.read(spec_file).manifest()["platform_spec"] == platform


def test_caching_is_off_in_nested_dags_too_and_the_file_stays_as_it_was(spec_file):
    found = specs.read(spec_file)

    off = found.manifest(caching=False)["pipeline_spec"]

    components = [off["root"], *off["components"].values()]
    tasks = [task for component in components for task in component.get("dag", {}).get("tasks", {}).values()]
    assert len(tasks) == 11
    assert all(task["cachingOptions"] == {"enableCache": False} for task in tasks)
    assert found.pipeline == kfp_api_specs.documents()[0]


def _text(change=None, platforms=1, pipelines=1):
    pipeline, platform = kfp_api_specs.documents()
    if change:
        change(pipeline)
    return yaml.safe_dump_all([pipeline] * pipelines + [platform] * platforms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"pipeline.yaml:2: not YAML; allowed: a file that `isthmus compile` wrote"),
        (b"\xff\xfe\x00", r"pipeline.yaml: not YAML"),
        ("", r"0 documents, 0 of them pipeline specs and 0 platform specs; allowed: one pipeline spec"),
        ("kind: Workflow", r"1 documents, 0 of them pipeline specs"),
        (_text(platforms=2), r"3 documents, 1 of them pipeline specs and 2 platform specs"),
        (_text(pipelines=2), r"3 documents, 2 of them pipeline specs"),
        (_text() + "---\nleft: over\n", r"3 documents, 1 of them pipeline specs and 1 platform specs"),
        (_text(lambda spec: spec.update(schemaVersion="2.0.0")), r"schemaVersion '2.0.0'; allowed: 2.1.0"),
        (_text(lambda spec: spec.update(pipelineInfo={})), r"pipelineInfo.name: missing"),
        (_text(lambda spec: spec.pop("root")), r"root: missing"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ConfigError, match=message) as error:
        specs.read(path)

    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read \(No such file or directory\)"):
        specs.read(tmp_path / "none.yaml")


def test_a_file_that_the_server_would_not_take_is_refused(spec_file, monkeypatch):
    monkeypatch.setattr(specs, "_LARGEST_FILE", 100)

    with pytest.raises(ConfigError, match=r"bytes; allowed: 100, the server's limit"):
        specs.read(spec_file)
