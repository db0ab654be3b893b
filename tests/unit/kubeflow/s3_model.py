"""Whether S3 would allow a request, by a bucket's policy and the policies of the caller's role.

AWS, "Policy evaluation logic": an explicit denial wins, then one allowance is enough (across accounts both of
bucket and role are needed: not modelled). What our documents do not use is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Statement = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
      principal: ARN of the caller's role; None for nobody in particular.
      action: As `s3:GetObject`.
      resource: ARN of the bucket or the object.
      context: Condition keys that the request has.
    """

    principal: str | None
    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)

    def keys(self) -> dict[str, str]:
        base = {"aws:SecureTransport": "true", **self.context}
        return {**base, "aws:PrincipalArn": self.principal} if self.principal else base


def allowed(
    request: Request, bucket_policy: dict[str, Any], role_policy: dict[str, Any] | None = None
) -> bool:
    """Whether the request is allowed. A role's own policy has no principals: it holds for that role."""
    statements = [(x, _names(x.get("Principal"), request)) for x in bucket_policy["Statement"]]
    if role_policy is not None:
        statements += [(x, True) for x in role_policy["Statement"]]
    met = [x["Effect"] for x, meant in statements if meant and _matches(x, request)]
    return "Allow" in met and "Deny" not in met


def _names(principal: Any, request: Request) -> bool:
    if principal == "*":
        return True
    assert set(principal) == {"AWS"}, principal
    return request.principal in _many(principal["AWS"])


def _matches(statement: Statement, request: Request) -> bool:
    known = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "Condition"}
    assert set(statement) <= known, set(statement) - known
    if "Action" in statement:
        acted = any(_like(request.action, x) for x in _many(statement["Action"]))
    else:
        acted = not any(_like(request.action, x) for x in _many(statement["NotAction"]))
    placed = any(_like(request.resource, x) for x in _many(statement["Resource"]))
    return acted and placed and _holds(statement.get("Condition", {}), request.keys())


def _holds(conditions: dict[str, dict[str, Any]], found: dict[str, str]) -> bool:
    for operator, keys in conditions.items():
        for key, values in keys.items():
            value, listed = found.get(key), _many(values)
            if operator == "Null":
                held = (value is None) == (listed == ["true"])
            elif operator in ("StringNotEquals", "StringNotLike"):  # holds for a key that is not there
                held = value is None or not any(_like(value, x) for x in listed)
            else:
                assert operator in ("Bool", "StringEquals", "StringLike"), operator
                held = value is not None and any(_like(value, x) for x in listed)
            if not held:
                return False
    return True


def _like(value: str, pattern: str) -> bool:
    """`*` and `?`, of any character, as in a policy; not `[...]`, which fnmatch would read."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value) is not None


def _many(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)
