"""A sandbox that writes down what it was asked and what it answered, and a judge who knows Klaviyo's description."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from connectors.sandbox.server import Sandbox

jsonschema = pytest.importorskip("jsonschema")
SPEC = Path(__file__).parents[3] / "../shared/specs/klaviyo/stable.json"
KIND = "application/vnd.api+json"


@dataclass(frozen=True)
class Exchange:
    """One call as it went over the wire."""

    method: str
    path: str
    query: Mapping[str, str]
    revision: str | None
    body: Any
    status: int
    reply: Any

    def place(self, spec: Mapping[str, Any]) -> str:
        """`METHOD /described/path`: of those that fit the one with the fewest places in it."""
        fits = [
            p for p in spec["paths"] if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(p)), self.path)
        ]
        return f"{self.method} {min(fits, key=lambda p: p.count('{'), default='undescribed')}"


class Recording(Sandbox):
    """Everything asked of Klaviyo's twin, whoever asked."""

    def __enter__(self) -> Recording:
        super().__enter__()
        return self

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Exchange] = []

    def answer(self, request: Request) -> Response | None:
        body = request.get_data()
        request.environ["wsgi.input"] = BytesIO(body)  # to be read once more
        reply = super().answer(request)
        if request.path.startswith("/klaviyo/") and reply is not None:
            told = reply.get_data()
            self.heard.append(
                Exchange(
                    request.method,
                    request.path.removeprefix("/klaviyo").rstrip("/"),
                    request.args.to_dict(),
                    request.headers.get("revision"),
                    json.loads(body) if body else None,
                    reply.status_code,
                    json.loads(told) if told else None,
                )
            )
        return reply


class Judge:
    """Klaviyo's published OpenAPI description, every object of it closed to what it does not name."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = spec
        self.validators: dict[str, Any] = {}

    def differences(self, one: Exchange) -> set[str]:
        """Where an exchange is not as described: `METHOD path place`."""
        place = one.place(self.spec)
        method, path = place.split()
        operation = self.spec["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return {f"{place}: not described"}
        found = {
            f"{place} {line}"
            for line in self.misfits(f"{place} asked", operation.get("requestBody"), one.body)
        }
        found |= {f"{place} ? {name}" for name in self.wrong_queries(operation, one)}
        found |= set() if one.revision else {f"{place} revision"}
        family = f"{one.status // 100}XX"
        told = operation["responses"].get(str(one.status)) or operation["responses"].get(family)
        if told is None:
            return {*found, f"{place} {one.status}"}
        key = f"{place} {one.status if str(one.status) in operation['responses'] else family}"
        return found | {f"{key} {line}" for line in self.misfits(key, told, one.reply)}

    def wrong_queries(self, operation: Mapping[str, Any], one: Exchange) -> set[str]:
        """The query parameters that are not described, or not of their type."""
        known = {p["name"]: p["schema"] for p in operation.get("parameters", ()) if p["in"] == "query"}
        return {
            name
            for name, value in one.query.items()
            if name not in known or self.unlike(inline(self.spec, known[name]), spelled(value, known[name]))
        }

    def misfits(self, key: str, message: Mapping[str, Any] | None, value: Any) -> set[str]:
        """The places of a body that do not fit, array positions left out."""
        if message and "$ref" in message:
            message = resolved(self.spec, message["$ref"])
        content = (message or {}).get("content", {}).get(KIND)
        if content is None:
            return set() if value is None else {"has a body"}
        if key not in self.validators:
            self.validators[key] = inline(self.spec, content["schema"])
        return self.unlike(self.validators[key], value)

    @staticmethod
    def unlike(schema: Mapping[str, Any], value: Any) -> set[str]:
        found = set()
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
            names = [str(part) for part in error.absolute_path if isinstance(part, str)]
            if error.validator == "additionalProperties":
                extra = error.instance.keys() - error.schema["properties"].keys()
                found |= {".".join([*names, name]) for name in extra}
            else:
                found.add(".".join(names) or "the whole")
        return found


def spelled(value: str, schema: Mapping[str, Any]) -> Any:
    """A query parameter as its schema means it."""
    if schema.get("type") == "array":
        return value.split(",")
    return int(value) if schema.get("type") == "integer" and value.isdigit() else value


def resolved(spec: Mapping[str, Any], reference: str) -> Any:
    node: Any = spec
    for part in reference.split("/")[1:]:
        node = node[part]
    return node


def inline(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without references and `allOf`, `nullable` as a type, objects closed that name properties."""
    if "$ref" in schema:
        return inline(spec, resolved(spec, schema["$ref"]))
    if "allOf" in schema:
        return merged([inline(spec, part) for part in schema["allOf"]])
    made = {
        name: value for name, value in schema.items() if name not in ("nullable", "example", "description")
    }
    if schema.get("properties"):
        made["properties"] = {name: inline(spec, sub) for name, sub in schema["properties"].items()}
        made["additionalProperties"] = False
    if "items" in schema:
        made["items"] = inline(spec, schema["items"])
    if "oneOf" in schema:
        made["oneOf"] = [inline(spec, sub) for sub in schema["oneOf"]]
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Several closed objects as one."""
    made: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for part in parts:
        made["required"] += part.get("required", [])
        for name, sub in part.get("properties", {}).items():
            held = made["properties"].get(name)
            both = held is not None and "properties" in held and "properties" in sub
            made["properties"][name] = merged([held, sub]) if both else sub
    return made
