"""The way of a submission: find it, check it, score it twice, show it, send it once, keep the receipt.

Conventions
    Nothing is asked of the Hub before everything that can be checked here has been. Then, under the folder's
    lock: earlier receipts are looked at, the person is asked, the login is seen to, a model is created if the
    card names a new one, the pending receipt is written, the predictions are sent, the receipt is settled.
    A model is looked up before it is created, so a second run never makes a second one. A receipt is about
    the predictions: if creating the model fails, it is `refused` (none were sent), and its message says how
    the model fared.
    `ask` gets a question and answers yes or no; `say` gets lines for people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError
from typing_extensions import TypedDict

from polaris_rxrx import quick
from polaris_rxrx._version import __version__
from polaris_rxrx.errors import DataError, Interrupted, PolarisRxrxError, UpstreamError, UsageError
from polaris_rxrx.files import sha256
from polaris_rxrx.hub.artifact import Kind
from polaris_rxrx.hub.card import SubmissionCard, slug
from polaris_rxrx.hub.payloads import Request
from polaris_rxrx.predictions import Predictions, read_predictions
from polaris_rxrx.scoring import ScoreReport, score
from polaris_rxrx.submission import receipt as receipts
from polaris_rxrx.submission.choose import Place
from polaris_rxrx.submission.receipt import Receipt
from polaris_rxrx.task import MANIFEST, Task, load_task
from polaris_rxrx.validation import complaints

if TYPE_CHECKING:
    from polaris_rxrx.hub.competitions import Window
    from polaris_rxrx.hub.payloads import Upload
    from polaris_rxrx.hub.upload import Sender

Ask = Callable[[str], bool]
Say = Callable[[str], None]


class UnscoredReport(TypedDict):
    """What stands for the score report of a competition, which only the Hub can score."""

    schema_version: Literal[1]
    task: str
    predictions: str
    predictions_sha256: str | None
    n_pairs: int
    n_treatments: int
    notes: list[str]


class Submission(TypedDict):
    """What is submitted, where to, and what was found on the way."""

    schema_version: Literal[1]
    hub: str
    kind: Kind
    task: str
    name: str
    owner: str
    predictions: str
    predictions_sha256: str | None
    scores: dict[str, dict[str, float | None]]
    """Ours and the client's by metric; a competition has none."""
    warnings: list[str]


class DryRun(Submission):
    """What would be submitted: every request, byte for byte."""

    state: Literal["dry-run"]
    blocked: bool
    """Whether it would not be sent: it was before, or the competition is closed."""
    requests: list[Request]


class Sent(Submission):
    """What was submitted, and how that ended."""

    state: receipts.State
    url: str | None
    message: str
    receipt: str
    bundle: str | None
    """None where it could not be written."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A submission that has passed every check, and what would be sent.

    `report` is the score report; `scores` holds ours and the client's by metric, nothing for a competition;
    `warnings` is what the quick checks had to say.
    """

    place: Place
    card: SubmissionCard
    task: Task
    predictions: Predictions
    report: ScoreReport | UnscoredReport
    scores: dict[str, dict[str, float | None]]
    upload: Upload
    warnings: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        return self.place.predictions or self.place.folder / self.card.predictions


# ---- checks


def make_ready(
    place: Place, task_folder: Path, *, owner: str | None = None, env_file: Path | None = None, say: Say
) -> Ready:
    """Check and score a submission; nothing is asked of the Hub.

    Raises:
        DataError: The card does not fit the task, or the predictions or scores are not fit to be sent.
        UsageError: The task is one that the Hub does not have.
    """
    card = _owned(place.card, owner)
    task = load_task(task_folder)
    _refuse_local(task)
    file = place.predictions or place.folder / card.predictions
    predictions = read_predictions(file, task)
    if predictions.reading:
        say(predictions.reading)
    warnings = _check(file, task, predictions, say)
    from polaris_rxrx.hub import payloads
    from polaris_rxrx.hub.benchmarks import open_saved

    scored = None if task.active is None else score(task, predictions).to_dict()
    artifact = open_saved(task_folder)
    _refuse_other(artifact.task, task, task_folder)
    ours = None if scored is None else scored["official"]
    made = payloads.build(artifact, card, predictions.values, ours, env_file=env_file, say=say)
    if scored is None:
        return Ready(place, card, task, predictions, _unscored(task, predictions), {}, made, warnings)
    scores = {"ours": dict(scored["official"]), "client": made.client}
    report: ScoreReport = {**scored, "client": made.client}
    return Ready(place, card, task, predictions, report, scores, made, warnings)


def _check(file: Path, task: Task, predictions: Predictions, say: Say) -> tuple[str, ...]:
    """The quick checks: what should be explained is said, what nobody means to send is refused."""
    checks = quick.check(task, predictions.values)
    if wrong := quick.refused(checks, task):
        told = "; ".join(quick.lines(wrong))
        raise DataError(
            f"{file}: {told[0].lower()}{told[1:]}. Such predictions are not sent, with --force neither: give "
            "scores of a model's own (polaris-rxrx audit tells more)"
        )
    warnings = tuple(quick.lines(checks))
    for line in warnings:
        say(f"Warning: {line}")
    return warnings


def _owned(card: SubmissionCard, owner: str | None) -> SubmissionCard:
    if owner is None:
        return card
    try:
        return SubmissionCard.model_validate({**card.model_dump(exclude_unset=True), "owner": owner})
    except ValidationError as error:
        raise UsageError(f"--owner {owner}: expected {complaints(error)[0].rule}") from None


def _refuse_local(task: Task) -> None:
    if task.artifact_id is None or task.artifact_id.startswith("local/"):
        raise UsageError(
            f"{task.name} was made here and the Hub does not have it (its owner is `local`), so there is "
            "nothing to submit to. Prepare the Hub's benchmark: polaris-rxrx prepare --out ANOTHER, then "
            "--task ANOTHER"
        )


def _refuse_other(saved: Task, task: Task, folder: Path) -> None:
    """The artifact that is sent for must be the one that was predicted, row by row."""
    if (saved.artifact_id, saved.inputs) != (task.artifact_id, task.inputs) or (saved.active is None) != (
        task.active is None
    ):
        raise DataError(
            f"{folder}: the artifact in polaris/ is not that of task.json; prepare it again with --force"
        )


def _unscored(task: Task, predictions: Predictions) -> UnscoredReport:
    return {
        "schema_version": 1,
        "task": task.name,
        "predictions": predictions.source,
        "predictions_sha256": predictions.sha256,
        "n_pairs": len(task),
        "n_treatments": len(set(task.treatment)),
        "notes": ["a competition: its labels stay on the Hub, which scores the predictions"],
    }


def describe(ready: Ready) -> list[str]:
    """What will be sent, for a person to look at."""
    card, upload = ready.card, ready.upload
    kind = {"v1": "a V1 benchmark", "v2": "a V2 benchmark", "competition": "a competition"}[upload.kind]
    rows = [
        ("To", f"{upload.hub}, {ready.task.name} ({kind})"),
        ("Name", f"{card.name} (owner {card.owner})"),
        (
            "Predictions",
            f"{ready.file}, {len(ready.task):,} pairs, SHA-256 {(ready.predictions.sha256 or '')[:12]}",
        ),
    ]
    if upload.kind == "competition":
        rows.append(("Open", str(_window(ready))))
        rows.append(("Sent", "every prediction; the Hub has the labels and scores them"))
    for name, value in ready.scores.get("client", {}).items():
        ours = ready.scores["ours"].get(name)
        if ours is None or value is None:
            agreed = "by the client"
        else:
            agreed = (
                f"the client differs by {abs(ours - value):.0e}" if ours != value else "the client agrees"
            )
        rows.append(("Score", f"{name} = {value if ours is None else ours:.6f} ({agreed})"))
    for label, text in (
        ("Supervision", card.supervision),
        ("Description", " ".join(card.description.split())),
        ("Contributors", ", ".join(card.contributors)),
        ("Tags", ", ".join(card.tags)),
        ("Code", card.code_url),
        ("Paper", card.paper_url),
        ("Report", card.report_url),
    ):
        if text:
            rows.append((label, text))
    if card.model is not None:
        told = (
            f"{card.model.artifact}, which the Hub has"
            if card.model.artifact
            else f"{card.model.name}, created first"
        )
        rows.append(("Model", f"{told}"))
    return [f"{label:13}{text}" for label, text in rows]


def already(ready: Ready, say: Say) -> str | None:
    """Why these predictions must not be sent again, from this or any other folder, if so."""
    values_sha256 = receipts.hash_values(ready.predictions.values)
    found = receipts.blocking(
        receipts.read_everywhere(ready.place.folder, values_sha256, say),
        values_sha256=values_sha256,
        task=ready.task.name,
        name=ready.card.name,
        hub=ready.upload.hub,
    )
    return receipts.explain(*found) if found else None


def closed(ready: Ready) -> str | None:
    """Why a competition does not take these predictions now, if so; it is the clock of this computer."""
    if ready.upload.kind != "competition":
        return None
    told = _window(ready).closed(datetime.now(timezone.utc))
    return told and (
        f"the competition {ready.task.name} {told}. Should its times have changed, prepare it again with "
        "--force"
    )


def _window(ready: Ready) -> Window:
    from polaris_rxrx.hub.competitions import window

    return window(ready.upload.competition)


def _refuse_closed(ready: Ready) -> None:
    if (told := closed(ready)) is not None:
        raise PolarisRxrxError(f"{told}.\nNothing was sent")


# ---- sending


def send(
    ready: Ready, *, force: bool, env_file: Path | None, ask: Ask, say: Say
) -> tuple[Path, Receipt] | None:
    """Send a submission, once; None if `ask` said no.

    Raises:
        UsageError: It was sent before, or may have been, and `force` is not given.
        PolarisRxrxError: The competition is not open; `force` does not help.
        UploadError: It was refused, or nobody knows; the receipt says the same.
    """
    ready.place.folder.mkdir(parents=True, exist_ok=True)
    values_sha256 = receipts.hash_values(ready.predictions.values)
    with receipts.lock(ready.place.folder), receipts.lock_scores(values_sha256):
        if (told := already(ready, say)) is not None:
            if not force:
                raise UsageError(f"{told}.\nNothing was sent now")
            say(f"{told}.\nSending it again, as --force says")
        _refuse_closed(ready)
        if not ask(f"Send this to {ready.upload.host}?"):
            return None
        _refuse_closed(ready)  # an answer can take its time
        from polaris_rxrx.hub import account
        from polaris_rxrx.hub.failures import Watch
        from polaris_rxrx.hub.upload import Sender

        watch = Watch()
        with account.client(env_file=env_file, on_response=watch.response) as client:
            sender = Sender(ready.upload, client, watch, account.relogin, say)
            model = _create_model(ready, sender, force=force)
            path, _ = receipts.start(ready.place.folder, **_fields(ready), forced=force, say=say)
            return path, _send(sender, path, model)


def _create_model(ready: Ready, sender: Sender, *, force: bool) -> str:
    """Create the card's model, if it is to be; what to note of it."""
    if ready.upload.model is None:
        return ""
    name = ready.upload.model.artifact_id
    try:
        created = sender.create_model()
    except BaseException as error:
        how = "may have been created" if sender.watch.out else "was not created"
        told = f"the model {name} {how}; no predictions were sent"
        path, _ = receipts.start(ready.place.folder, **_fields(ready), forced=force)
        receipts.finish(path, "refused", message=f"{told} ({_reason(error)})")
        raise _with_receipt(
            error, f"{told}, and the next submit looks the model up first", path, "refused", sender
        ) from None
    return f"the model {name} was {'created' if created else 'there already'}"


def _send(sender: Sender, path: Path, model: str) -> Receipt:
    """Send the predictions and settle the receipt, whatever happens."""
    try:
        url = sender.send()
        return receipts.finish(path, "sent", url=url, message=model)
    except BaseException as error:
        watch = sender.watch
        state: receipts.State = "sent" if watch.accepted else "unknown" if watch.out else "refused"
        if receipts.read_receipt(path).state == "pending":
            said = model if state == "sent" else "; ".join(filter(None, [_reason(error), model]))
            receipts.finish(path, state, url=sender.address() if state == "sent" else None, message=said)
        raise _with_receipt(error, model, path, state, sender) from None


def _reason(error: BaseException) -> str:
    """What happened, in a few words."""
    from polaris_rxrx.hub.failures import UploadError

    if isinstance(error, UploadError):
        return error.happened
    return str(error) if isinstance(error, PolarisRxrxError) else "interrupted"


def _with_receipt(
    error: BaseException, more: str, path: Path, state: receipts.State, sender: Sender
) -> BaseException:
    """The same error, naming the receipt too; an interrupt stays one."""
    from polaris_rxrx.hub.failures import UploadError

    interrupt = isinstance(error, KeyboardInterrupt)
    if not interrupt and not isinstance(error, UpstreamError):
        return error
    happened = {
        "sent": f"it was sent, and is stored: {sender.address()}",
        "unknown": "it was on its way, and may or may not be stored",
    }.get(state, "nothing was stored")
    lines = [
        f"{sender.upload.host}: {sender.upload.what}: {happened}" if interrupt else str(error),
        *([f"As for the model: {more}"] if more else []),
        f"The receipt says {state}: {path}",
    ]
    if state == "unknown":
        lines.append(
            "The next submit of these predictions says how to find out, and sends nothing without --force"
        )
    if interrupt:
        return Interrupted("\n".join(lines))
    return UploadError("\n".join(lines), "unknown" if state == "unknown" else "refused")


def _fields(ready: Ready) -> Mapping[str, Any]:
    assert ready.task.folder is not None
    return {
        "name": ready.card.name,
        "owner": ready.card.owner,
        "hub": ready.upload.hub,
        "kind": ready.upload.kind,
        "task": ready.task.name,
        "task_sha256": sha256(ready.task.folder / MANIFEST),
        "predictions_sha256": ready.predictions.sha256,
        "values_sha256": receipts.hash_values(ready.predictions.values),
        "payload_sha256": ready.upload.payloads[-1].sha256,
        "scores": ready.scores,
        "warnings": ready.warnings,
        "versions": {"polaris_rxrx": __version__, "polaris_lib": ready.upload.polaris_lib},
    }


# ---- afterwards


def as_dry_run(ready: Ready, *, blocked: bool) -> DryRun:
    """For JSON."""
    requests = [payload.to_dict() for payload in ready.upload.payloads]
    return {**_submission(ready), "state": "dry-run", "blocked": blocked, "requests": requests}


def as_sent(ready: Ready, path: Path, receipt: Receipt, written: Path | None) -> Sent:
    """For JSON: its receipt, at `path`, and the bundle that was written."""
    return {
        **_submission(ready),
        "state": receipt.state,
        "url": receipt.url,
        "message": receipt.message,
        "receipt": str(path),
        "bundle": str(written) if written else None,
    }


def _submission(ready: Ready) -> Submission:
    return {
        "schema_version": 1,
        "hub": ready.upload.hub,
        "kind": ready.upload.kind,
        "task": ready.task.name,
        "name": ready.card.name,
        "owner": ready.card.owner,
        "predictions": str(ready.file),
        "predictions_sha256": ready.predictions.sha256,
        "scores": ready.scores,
        "warnings": list(ready.warnings),
    }


def bundle(ready: Ready, receipt: Path, *, pack: bool) -> Path:
    """Write the bundle, and with `pack` the archive of it; the path of the last of the two."""
    from polaris_rxrx.submission.bundle import archive, write_bundle

    assert ready.task.folder is not None
    folder = write_bundle(
        ready.place.folder,
        predictions=ready.file,
        card=ready.place.card_file,
        report=ready.report,
        task_folder=ready.task.folder,
        receipt=receipt,
    )
    return archive(folder, ready.place.folder / f"{slug(ready.card.name)}.tar.gz") if pack else folder
