"""The upload endpoints of the loopback Hub, and competitions.

Conventions: `Uploads` adds its routes to a server's. A request needs a good bearer token (`who` says whose)
and strict JSON with what the real Hub cannot do without; what is stored is kept byte for byte in `stored`,
under the path it was sent to. A result or prediction may be stored twice, as on the real Hub: that it is not
is for the client to see to. A model is there once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.servers.hub import Answer, HubServer, Request

RESULT, PREDICTION, MODELS = "/api/v2/result", "/api/v1/competition-prediction", "/api/v2/model"


class Uploads:
    """What was stored, in order, as (path, body)."""

    def __init__(self, server: HubServer, who: Callable[[Request], str | None]) -> None:
        self.server, self.who = server, who
        self.stored: list[tuple[str, bytes]] = []
        server.routes |= {
            ("POST", RESULT): self._result,
            ("POST", PREDICTION): self._prediction,
            ("PUT", f"{MODELS}/*"): self._model,
            ("GET", f"{MODELS}/*"): self._get_model,
        }

    def bodies(self, path: str) -> list[bytes]:
        return [body for where, body in self.stored if where == path]

    @property
    def posts(self) -> int:
        """How many requests came that were to store something."""
        return sum(
            r.method in ("POST", "PUT") and r.path.startswith((RESULT, PREDICTION, MODELS))
            for r in self.server.log
        )

    def publish(self, competition: Any) -> str:
        """Serve a competition and its archive; returns its id."""
        exclude = {"zarr_manifest_md5sum", "n_test_datapoints", "zarr_root_path"}
        document = competition.model_dump(mode="json", by_alias=True, exclude=exclude)
        document["owner"] = {"slug": str(competition.owner), "externalId": "org_1", "type": "organization"}
        name = str(document["artifactId"])
        document["root"] = f"{self.server.url}/storage/{name}/data.zarr"
        root = Path(competition.zarr_root_path)
        for path in root.rglob("*"):
            if path.is_file():
                self.server.files[f"{name}/data.zarr/{path.relative_to(root).as_posix()}"] = path.read_bytes()
        self.server.documents[f"/v1/competition/{name}"] = document
        return name

    # ---- endpoints

    def _result(self, request: Request) -> Answer:
        def check(data: dict[str, Any]) -> str | None:
            if f"/v1/benchmark/{data['benchmarkArtifactId']}" in self.server.documents:
                return None
            if f"/v2/benchmark/{data['benchmarkArtifactId']}" not in self.server.documents:
                return "no such benchmark"
            model = f"{MODELS}/{data['modelArtifactId']}"
            return None if self.bodies(model) else f"no such model: {model}"

        return self._store(request, ("name", "owner", "results", "benchmarkArtifactId"), check, "results")

    def _prediction(self, request: Request) -> Answer:
        def check(data: dict[str, Any]) -> str | None:
            document = self.server.documents.get(f"/v1/competition/{data['competitionArtifactId']}")
            if document is None:
                return "no such competition"
            (label, test), *_ = document["split"][1].items()
            values = data["predictions"][label][document["targetCols"][0]]
            floats = len(values) == len(test) and all(type(v) is float for v in values)
            return None if floats else "predictions do not fit"

        needed = ("name", "owner", "predictions", "competitionArtifactId", "reportUrl")
        return self._store(request, needed, check, "predictions")

    def _model(self, request: Request) -> Answer:
        there = bool(self.bodies(request.path))
        return self._store(
            request,
            ("name", "owner", "parentArtifactId"),
            lambda _: "it is there" if there else None,
            "models",
        )

    def _get_model(self, request: Request) -> Answer:
        found = self.bodies(request.path)
        if not found:
            return _json(404, {"message": "Not found"})
        return _json(200, json.loads(found[0]))

    def _store(
        self,
        request: Request,
        needed: tuple[str, ...],
        check: Callable[[dict[str, Any]], str | None],
        kind: str,
    ) -> Answer:
        if self.who(request) is None:
            return _json(401, {"message": "Unauthorized"})
        try:
            data = json.loads(request.body, parse_constant=_refuse)
        except ValueError as error:
            return _json(422, {"message": str(error)})
        lacking = [name for name in needed if name not in data]
        problem = f"missing: {lacking}" if lacking else check(data)
        if problem:
            return _json(422, {"message": problem})
        self.stored.append((request.path, request.body))
        where = f"/{kind}/{data['owner']}/{data['slug']}?signature=canary-signature"
        return _json(201, {"id": len(self.stored)}, {"Content-Location": where})


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _json(status: int, data: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})})


def competition(
    root: Path, columns: dict[str, Any], test: list[int], training: list[int], **fields: Any
) -> Any:
    """A competition over an archive written at `root`."""
    import datetime

    import numcodecs
    import numpy as np
    import zarr
    from polaris.competition import CompetitionSpecification

    from tests.servers.hub import grouped

    group = zarr.open_group(str(root), mode="w")
    for name, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind in "OU":
            text = array.astype(object)
            group.array(name, text, dtype=object, object_codec=numcodecs.VLenUTF8(), chunks=7)
        else:
            group.array(name, array, chunks=7)
    zarr.consolidate_metadata(group.store)
    given: dict[str, Any] = {
        "name": "Compound_Gene_Open",
        "owner": "recursion",
        "input_cols": ["gene_symbol", "treatment"],
        "target_cols": ["active"],
        "metrics": [grouped("roc_auc"), grouped("pr_auc")],
        "main_metric": "pr_auc_grouped",
        "start_time": datetime.datetime(2020, 1, 1),
        "end_time": datetime.datetime(2100, 1, 1),
        "n_classes": {"active": 2},
        **fields,
    }
    return CompetitionSpecification(zarr_root_path=str(root), split=(training, {"test": test}), **given)
