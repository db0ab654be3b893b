"""Which fields KServe's resources have, as far as ours use them; anything else is refused.

Sources, kserve/kserve: InferenceService from pkg/apis/serving/v1beta1 (`predictor.go`, `podspec.go` at commit
0217bda, `component.go` at f7bf4fd, `predictor_model.go` at 00d2aa2; the rule for names from
`inference_service_validation.go` at 00ff000). ServingRuntime from servingruntime_types.go of
pkg/apis/serving/v1alpha1 at 0217bda. Containers, volumes and probes are Kubernetes' own; of theirs, only the
fields that we set are listed.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
STRINGS = {"type": "object", "additionalProperties": TEXT}
WHOLE = {"type": "integer", "minimum": 0}
#: Kubernetes' quantity, as text.
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$"}


def fields(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(required),
    }


def items(form: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": form}


ENV = items(fields(("name",), name=TEXT, value=TEXT))
PROBE = fields(
    ("httpGet",),
    httpGet=fields(("path", "port"), path=TEXT, port=WHOLE),
    periodSeconds=WHOLE,
    failureThreshold=WHOLE,
)
CONTAINER = fields(
    ("name", "image", "resources", "securityContext", "livenessProbe", "readinessProbe"),
    name={"const": "kserve-container"},
    image=TEXT,
    command=items(TEXT),
    args=items(TEXT),
    env=ENV,
    ports=items(fields(("containerPort",), name=TEXT, containerPort=WHOLE, protocol={"enum": ["TCP"]})),
    startupProbe=PROBE,
    livenessProbe=PROBE,
    readinessProbe=PROBE,
    resources=fields(
        ("requests", "limits"),
        requests={"type": "object", "additionalProperties": QUANTITY},
        limits={"type": "object", "additionalProperties": QUANTITY},
    ),
    securityContext=fields(
        allowPrivilegeEscalation={"const": False},
        privileged={"const": False},
        readOnlyRootFilesystem={"const": True},
        runAsNonRoot={"const": True},
        runAsUser={"type": "integer", "minimum": 1},
        capabilities=fields(drop={"const": ["ALL"]}),
        seccompProfile=fields(type={"const": "RuntimeDefault"}),
    ),
    volumeMounts=items(
        fields(("name", "mountPath"), name=TEXT, mountPath=TEXT, readOnly={"type": "boolean"})
    ),
)
METADATA = fields(("name", "namespace"), name=TEXT, namespace=TEXT, labels=STRINGS, annotations=STRINGS)
PROTOCOL = {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}

SERVING_RUNTIME = fields(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "serving.kserve.io/v1alpha1"},
    kind={"const": "ServingRuntime"},
    metadata=METADATA,
    spec=fields(
        ("supportedModelFormats", "containers"),
        annotations=STRINGS,
        labels=STRINGS,
        supportedModelFormats=items(
            fields(("name",), name=TEXT, version=TEXT, autoSelect={"type": "boolean"}, priority=WHOLE)
        ),
        multiModel={"type": "boolean"},
        protocolVersions=items(PROTOCOL),
        containers=items(CONTAINER),
        volumes=items(
            fields(("name",), name=TEXT, configMap=fields(name=TEXT), emptyDir=fields(sizeLimit=QUANTITY))
        ),
    ),
)
INFERENCE_SERVICE = fields(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "serving.kserve.io/v1beta1"},
    kind={"const": "InferenceService"},
    metadata={
        **METADATA,
        "properties": {
            **METADATA["properties"],
            "name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
        },
    },
    spec=fields(
        ("predictor",),
        predictor=fields(
            ("model",),
            serviceAccountName=TEXT,
            terminationGracePeriodSeconds=WHOLE,
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            containerConcurrency=WHOLE,
            timeout=WHOLE,
            canaryTrafficPercent=WHOLE,
            labels=STRINGS,
            annotations=STRINGS,
            # `name` is refused in a standard predictor.
            model=fields(
                ("modelFormat", "storageUri"),
                modelFormat=fields(("name",), name=TEXT, version=TEXT),
                runtime=TEXT,
                protocolVersion=PROTOCOL,
                storageUri=TEXT,
                env=ENV,
            ),
        ),
    ),
)
