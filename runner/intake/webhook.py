"""Takes the notifications that Dataverse posts: puts them on the queue, or runs synchronous steps and answers.

    notice = intake.read(body)        # cheap: may be done on an event loop
    if notice.inline: intake.answer(notice)     # runs the plug-ins
    else: intake.store(notice)                  # waits for the disk

Dataverse only looks at the status code: after 2xx the operation or system job succeeds, after 502, 503 and 504 it
tries once more, and after any other it fails.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azure_bridge.queues.contract import MessageQueue, MessageTooLargeError, QueueError, QueueMessage
from azure_bridge.redaction import redact
from azure_bridge.webhook import Reply
from runner.intake.directory import RemoteStep, StepDirectory
from runner.intake.envelope import Envelope
from runner.intake.errors import TooDeepError
from runner.intake.inline import InlineSteps
from runner.intake.messages import notification_messages, unopened_message
from runner.intake.notification_trace import NotificationTrace
from runner.intake.targets import is_multiple
from runner.plugin import InvalidPluginExecutionException, OperationStatus, PluginContext
from runner.remote_context.context import RemoteContext
from runner.remote_context.errors import RemoteContextError

#: Bytes. Dataverse sends at most 256 KB.
MAX_BODY = 512 * 1024


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification and the steps it is for. ``remote`` is None when only its envelope was read."""

    body: bytes
    told: PluginContext | Envelope
    steps: tuple[RemoteStep, ...]
    remote: RemoteContext | None = None

    @property
    def inline(self) -> bool:
        """Whether Dataverse waits for the result of the steps."""
        return any(each.inline for each in self.steps)

    def opened(self) -> RemoteContext:
        """The whole notification. Raises RemoteContextError when it is malformed."""
        return self.remote or RemoteContext.decode(self.body)


class WebhookIntake:
    """Takes notifications. Threads may share it. ``strict`` refuses those that no step is registered for."""

    def __init__(
        self,
        directory: StepDirectory,
        inline: InlineSteps,
        queue: MessageQueue,
        trace: NotificationTrace,
        *,
        strict: bool = False,
    ) -> None:
        self._directory = directory
        self._inline = inline
        self._queue = queue
        self._trace = trace
        self._strict = strict

    def read(self, body: bytes, *, size_exceeded: bool = False) -> Notice | Reply:
        """The notification in a request's body, or the reply if it is not to be processed."""
        envelope = None if size_exceeded else Envelope.read(body)
        step = self._directory.named(envelope.owning_extension_id) if envelope else None
        if envelope is None or step is None or step.inline or is_multiple(envelope.message_name):
            return self._open(body, size_exceeded)
        return Notice(body, envelope, (step,))

    def _open(self, body: bytes, size_exceeded: bool) -> Notice | Reply:
        try:
            remote = RemoteContext.decode(body, size_exceeded=size_exceeded)
        except RemoteContextError as error:
            return Reply(400, str(error))
        steps = self._directory.matching(remote.context)
        return Notice(body, remote.context, steps, remote) if steps else self._unknown(remote.context)

    def _unknown(self, context: PluginContext) -> Reply:
        text = (
            f"No step is registered for {context.message_name} of {context.primary_entity_name}: add one to the "
            f"registrations, or remove step {context.owning_extension.id} from the environment."
        )
        self._trace.record("ignored", context, text)
        return Reply(404 if self._strict else 202, text)

    def store(self, notice: Notice) -> Reply:
        """Put the notification on the queue. The reply is 2xx once it is stored durably."""
        return self.store_all([notice])[0]

    def store_all(self, notices: Sequence[Notice]) -> list[Reply]:
        """As :meth:`store`, for several at once; one reply for each."""
        try:
            self._queue.send([message for notice in notices for message in _messages(notice)])
        except MessageTooLargeError:
            # One of them is: none was stored.
            return [self.store(each) for each in notices] if len(notices) > 1 else [self._store_trimmed(notices[0])]
        except QueueError as error:
            return [Reply(503, f"The queue takes nothing: {redact(str(error))}")] * len(notices)
        for notice in notices:
            self._trace.record("queued", notice.told)
        return [Reply(202)] * len(notices)

    def _store_trimmed(self, notice: Notice) -> Reply:
        try:
            remote = notice.opened()
        except RemoteContextError as error:
            return Reply(400, str(error))
        trimmed = remote.trimmed()
        body = trimmed.encode()
        if remote.is_trimmed or len(body) >= len(notice.body):
            return Reply(413, "The notification is too long for the queue, even without Target and images.")
        return self.store(Notice(body, trimmed.context, notice.steps, trimmed))

    def answer(self, notice: Notice) -> Reply:
        """Run the steps Dataverse waits for. A 400 makes it roll the operation back."""
        try:
            self._inline.answer([each.step for each in notice.steps if each.inline], notice.opened())
        except InvalidPluginExecutionException as refusal:
            status = 503 if refusal.status is OperationStatus.RETRY else 400
            return self._veto(notice, status, refusal.message)
        except QueueError as error:
            return self._veto(notice, 503, f"The queue takes nothing: {error}")
        except TooDeepError as error:
            return self._veto(notice, 400, str(error))
        except Exception as error:
            name = notice.steps[0].step.plugin_name
            return self._veto(notice, 400, f"Plug-in {name} failed: {type(error).__name__}: {error}")
        self._trace.record("answered", notice.told)
        return Reply(200)

    def _veto(self, notice: Notice, status: int, text: str) -> Reply:
        self._trace.record("vetoed", notice.told, redact(text))
        return Reply(status, redact(text))


def _messages(notice: Notice) -> list[QueueMessage]:
    if isinstance(notice.told, Envelope):
        return [unopened_message(notice.body, notice.told)]
    return notification_messages(notice.body, notice.opened())
